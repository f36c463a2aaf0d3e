"""What a comparison comes to, out of the reports of its rounds; and what it refuses."""

import copy
import json
from typing import Any
from xml.etree import ElementTree

import pytest

from triton_users.compare.alike import Refused
from triton_users.compare.outcome import compare_reports, compare_rounds
from triton_users.compare.render import render_html, render_junit, render_text

NAMES = ("Triton 2.48", "Triton 2.51")


def report(slower: float = 1.0, failed: int = 0, **changes: Any) -> dict[str, Any]:
    """A run of one scenario, 120 s long, each answer of which takes `slower` times as long."""
    scenario = {"name": "S", "weight": 1, "failed": failed, "unexcused": failed, "runs": 100, "requests": 400}
    point = {"requests_per_s": 100 / slower, "p50_ms": 10 * slower, "p99_ms": 20 * slower}
    made = {
        "schema": 2,
        "state": "finished",
        "started": "2026-11-25T00:00:00Z",
        "duration_s": 120.0,
        "seed": 1,
        "settings": {"seed": 1, "trials": ["custom"]},
        "server": {"models": ["m"]},
        "client": {"cpus": 2},
        "scenarios": [{**scenario, "allowed_to_fail": False}],
        "totals": {
            "requests_per_s": 100 / slower,
            "latency_ms": {"p50": 10 * slower, "p95": 15 * slower, "p99": 20 * slower},
        },
        "timeline": [
            {"start_s": 5.0 * i, "end_s": 5.0 * (i + 1), "users": 8, "scenarios": {"S": dict(point)}} for i in range(24)
        ],
        "selfcheck": {"findings": []},
    }
    return {**made, **changes}


def rounds(slower: float, count: int = 10, **changes: Any) -> list[dict[str, Any]]:
    return [report(slower * (1 + 0.002 * (i % 3)), **changes) for i in range(count)]


def test_a_slower_side_is_a_regression_in_each_measure_and_the_exit_code_is_1() -> None:
    outcome = compare_rounds(NAMES, rounds(1.0), rounds(1.2), 0.05)
    assert {each.difference.answer for each in outcome.measures} == {"worse"}
    assert outcome.exit_code == 1
    assert len(outcome.regressions) == 4


def test_a_faster_side_is_better_and_the_exit_code_is_0() -> None:
    outcome = compare_rounds(NAMES, rounds(1.2), rounds(1.0), 0.05)
    assert {each.difference.answer for each in outcome.measures} == {"better"}
    assert outcome.exit_code == 0


def test_sides_that_are_alike_say_what_difference_could_have_been_shown() -> None:
    outcome = compare_rounds(NAMES, rounds(1.0), rounds(1.01), 0.05)
    assert {each.difference.answer for each in outcome.measures} == {"no difference shown"}
    assert "could have shown 5.0 %" in render_text(outcome)
    assert outcome.exit_code == 0


def test_too_few_rounds_say_nothing_and_how_many_it_takes() -> None:
    outcome = compare_rounds(NAMES, rounds(1.0, 2), rounds(2.0, 2), 0.05)
    assert {each.difference.answer for each in outcome.measures} == {"too few rounds to say"}
    assert outcome.notes == ["4 measures need 8 pairs of rounds; there are 2"]
    assert outcome.exit_code == 2, "nothing was shown either way: no release goes to production by that"


def test_a_measure_that_some_rounds_lack_is_left_out_and_said() -> None:
    """Streams that B does not answer any more are no silent end of a row."""
    first = {"first_response_ms": {"p50": 1.0, "p99": 2.0}}
    a = rounds(1.0)
    for each in a:
        each["totals"]["measures"] = first
    outcome = compare_rounds(NAMES, a, rounds(1.0), 0.05)
    assert "first response p50 is not compared: 10 of 10 rounds of A have it, and 0 of 10 of B" in outcome.notes


def test_failures_on_b_alone_are_a_regression_however_fast_it_is() -> None:
    outcome = compare_rounds(NAMES, rounds(1.2), rounds(1.0, failed=1), 0.05)
    assert outcome.correctness == ["S: 10 of 1000 failed on B, 0 of 1000 on A"]
    assert outcome.exit_code == 1


def test_failures_on_both_alike_are_no_regression() -> None:
    assert compare_rounds(NAMES, rounds(1.0, failed=1), rounds(1.0, failed=1), 0.05).exit_code == 0


def test_answers_that_differ_are_a_regression() -> None:
    answers = {"compared": 3, "different": ["m: OUTPUT0[0] is 2, not 1"], "models": ["m"], "notes": []}
    outcome = compare_rounds(NAMES, rounds(1.0), rounds(1.0), 0.05, answers)
    assert outcome.regressions == ["answers differ: m: OUTPUT0[0] is 2, not 1"]


def changed(path: str, value: Any) -> dict[str, Any]:
    made = copy.deepcopy(report())
    *parents, last = path.split(".")
    where: Any = made
    for name in parents:
        where = where[int(name)] if name.isdecimal() else where[name]
    where[last] = value
    return made


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("schema", 1, "different forms"),
        ("state", "interrupted", "did not come to its end: it is interrupted"),
        ("server.models", ["other"], "their models differ: m and other"),
        ("scenarios.0.weight", 7, "their scenarios differ: S 1 and S 7"),
        ("settings.trials", ["other"], "their settings differ: trials ['custom'] and trials ['other']"),
        ("client.cpus", 64, "their numbers of CPUs differ: 2 and 64"),
        ("timeline.3.users", 80, "their numbers of users differ: 8 and 80"),
        (
            "selfcheck.findings",
            [{"text": "worker 1: CPU 99 %"}],
            "the client was the limit in Triton 2.51: worker 1: CPU",
        ),
        ("timeline", [], "numbers of users differ"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(path: str, value: Any, told: str) -> None:
    with pytest.raises(Refused, match=told.replace("[", r"\[").replace("]", r"\]")):
        compare_reports(NAMES, report(), changed(path, value), 0.05)


def searched(held: float | None, failed: float | None, **changes: Any) -> dict[str, Any]:
    """The report of a search for the capacity."""
    found = {
        "unit": "arrivals/s", "limits": "p99_ms<50", "held": held, "failed": failed, "why": "p99 is 60 ms",
        "limited_by": "server", "settled": True, "sentence": f"{held} arrivals/s held",
    }  # fmt: skip
    return report(capacity={**found, **changes}, selfcheck={"findings": [{"text": "CPU 99 %"}]})


def opened(rate: str) -> dict[str, Any]:
    """The report of an open loop."""
    return report(arrivals={"schedule": "poisson", "rates": [{"from_s": 0.0, "rate": rate}]})


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (report(), opened("200"), "their loads differ: a closed loop of users .* and an open loop (poisson; 200)"),
        (opened("200"), opened("300"), "an open loop (poisson; 200) and an open loop (poisson; 300)"),
        (opened("200"), searched(100, 105), "an open loop .* and a search for the highest number of arrivals/s"),
        (searched(100, 105), searched(100, 105, limits="p99_ms<9"), "p99_ms<50 hold and a .* p99_ms<9 hold"),
        (searched(100, 105), searched(100, 105, unit="users"), "number of arrivals/s .* number of users"),
        (searched(100, 105), searched(100, None, settled=False), "did not come to its end: 100 arrivals/s held"),
        (
            searched(100, 105),
            searched(100, 110, limited_by="client-limited"),
            "the client was the limit in Triton 2.51",
        ),
        (searched(100, 105), searched(None, 100), "no load held: 100 .* and None arrivals/s held"),
    ],
)
def test_loads_of_different_kinds_are_not_compared(a: dict[str, Any], b: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told.replace("(", r"\(").replace(")", r"\)")):
        compare_reports(NAMES, a, b, 0.05)


def test_open_loops_of_one_rate_are_compared() -> None:
    assert compare_reports(NAMES, opened("200"), opened("200"), 0.05).exit_code == 0


@pytest.mark.parametrize(
    ("b", "answer"), [((100, 105), "no difference shown"), ((70, 73), "worse"), ((150, 157), "better")]
)
def test_searches_are_compared_by_their_capacity_alone(b: tuple[float, float], answer: str) -> None:
    saved = compare_reports(NAMES, searched(100, 105), searched(*b), 0.05)
    assert [(each.name, each.difference.answer) for each in saved.measures] == [
        ("load at which the limits hold", answer)
    ]
    played = compare_rounds(NAMES, [searched(100, 105)] * 6, [searched(*b)] * 6, 0.05)
    assert [each.difference.answer for each in played.measures] == [answer]


def test_another_seed_is_no_reason_to_refuse() -> None:
    assert compare_reports(NAMES, report(), changed("settings.seed", 2), 0.05).exit_code == 0


def test_two_saved_reports_are_compared_by_stretches_and_said_to_be_unpaired() -> None:
    outcome = compare_reports(NAMES, report(), report(1.5), 0.05)
    assert [each.name for each in outcome.measures] == ["requests answered", "latency p50", "latency p99"]
    assert {each.difference.answer for each in outcome.measures} == {"worse"}
    assert "not paired" in render_text(outcome)


def test_two_saved_reports_that_are_too_short_are_refused() -> None:
    short = report(timeline=report()["timeline"][:5], duration_s=25.0)
    with pytest.raises(Refused, match="too short"):
        compare_reports(NAMES, short, short, 0.05)


def test_text_html_junit_and_json_say_the_same() -> None:
    outcome = compare_rounds(NAMES, rounds(1.0), rounds(1.2, failed=1), 0.05)
    dumped = json.loads(json.dumps(outcome.dump()))
    suite = ElementTree.fromstring(render_junit(outcome).encode())
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["correctness", *(each["name"] for each in dumped["measures"])]
    assert dumped["exit_code"] == 1
    for text in (render_text(outcome), render_html(outcome)):
        assert "5 REGRESSIONS" in text
        assert all(each["name"] in text for each in dumped["measures"])


def test_a_hostile_name_is_no_markup() -> None:
    page = render_html(compare_rounds(("<b>", "</style><script>"), rounds(1.0), rounds(1.0), 0.05))
    assert "<script>" not in page
    assert "<b>" not in page
