"""What the page is sent is bounded, exact in a browser, and only what it does not have yet."""

import json
from typing import Any

from triton_users.report import view

LARGE = 2**63 - 1
SERIES = {
    "t_s": [float(second) for second in range(200)],
    "series": [{"name": "memory", "unit": "MiB", "of": "", "values": [100.0 + second for second in range(200)]}],
}
WINDOWS = [{"start_s": 5.0 * n, "end_s": 5.0 * n + 5, "cpu_percent": 10.0 * (n % 7), "rss_mib": n} for n in range(50)]


def point(start_s: float, **scenarios: dict[str, Any]) -> dict[str, Any]:
    return {"start_s": start_s, "end_s": start_s + 5, "users": 4, "open_sequences": None, "scenarios": scenarios}


def part(runs: int) -> dict[str, Any]:
    return {"runs": runs, "failures": 0, "expected_deadlines": 0, "requests_per_s": 1.5, "p50_ms": 2.0, "p99_ms": 3.0}


def report(failures: list[dict[str, Any]], seen: int) -> dict[str, Any]:
    evidence = {"seen": seen, "dropped": 0, "failures": failures}
    return {
        **dict.fromkeys(("state", "started", "as_of", "reproduce"), ""),
        **{name: {} for name in ("verdict", "totals", "server")},
        "duration_s": 20.0,
        "exceptions": {},
        "seed": 2**62 + 1,
        "scenarios": [{"name": "SequenceValid", "rows": [], "evidence": evidence}],
        "timeline": [point(0, SequenceValid=part(1)), point(5, ResNet=part(2))],
        "workers": [
            {
                "worker": "a",
                "state": "lost",
                "last_seen_s": 4.0,
                "runs": 1,
                "requests": 2,
                "event_loop_lag_ms": {},
                "windows": WINDOWS[:2],
            }
        ],
        "server_side": {"sources": [], "models": [], "audit": {"text": "", "models": []}, "series": SERIES},
        "selfcheck": {
            "limits": {},
            "findings": [
                {"start_s": n, "end_s": n, "text": str(n), "worker": "a"} for n in range(view.MAX_FINDINGS + 3)
            ],
            "findings_left_out": 4,
        },
    }


def failure(at_s: float) -> dict[str, Any]:
    return {
        "scenario": "SequenceValid",
        "worker": "a",
        "at_s": at_s,
        "reason": "r",
        "record": {"evidence": {"id": LARGE}, "number": LARGE},
    }


def test_a_page_that_has_everything_is_sent_no_failure_again() -> None:
    sent = view.live(report([failure(1.0)], seen=1), since_s=-1, failures_known=1)
    assert sent["failures"] is None
    assert sent["failures_seen"] == 1


def test_the_newest_failures_and_the_first_one_are_sent_newest_first_and_bounded() -> None:
    sent = view.live(report([failure(float(n)) for n in range(100)], seen=100), since_s=-1, failures_known=-1)
    newest = range(99, 100 - view.MAX_FAILURES, -1)
    assert [(one["at_s"], one["first"]) for one in sent["failures"]] == [
        *((float(n), False) for n in newest),
        (0.0, True),
    ]


def test_the_first_failure_of_each_scenario_is_sent_however_many_are_newer() -> None:
    made = report([failure(float(n)) for n in range(100, 200)], seen=100)
    early = [{**failure(float(n)), "scenario": f"s{n}"} for n in (13, 14)]
    made["scenarios"] += [{"name": one["scenario"], "evidence": {"seen": 1, "failures": [one]}} for one in early]
    sent = view.failures(made)
    assert len(sent) == view.MAX_FAILURES
    assert [(one["scenario"], one["at_s"]) for one in sent if one["first"]] == [
        ("SequenceValid", 100.0),
        ("s14", 14.0),
        ("s13", 13.0),
    ]


def test_many_scenarios_with_failures_leave_room_for_the_newest_ones() -> None:
    made = report([], seen=0)
    made["scenarios"] = [
        {"name": f"s{n}", "evidence": {"seen": 2, "failures": [failure(float(n)), failure(100.0 + n)]}}
        for n in range(90)
    ]
    sent = view.failures(made)
    assert [one["at_s"] for one in sent if one["first"]] == [float(n) for n in range(view.MAX_FIRST - 1, -1, -1)]
    assert [one["at_s"] for one in sent if not one["first"]] == [189.0 - n for n in range(15)]


def test_an_integer_that_a_browser_would_round_is_sent_as_text() -> None:
    sent = view.live(report([failure(1.0)], seen=1), since_s=-1, failures_known=-1)
    assert sent["seed"] == str(2**62 + 1)
    assert sent["failures"][0]["evidence"] == {"id": str(LARGE)}
    assert view.exact([2**53 - 1, 1.5, True, None, "x"]) == [2**53 - 1, 1.5, True, None, "x"]


def test_a_failures_record_is_sent_as_the_text_that_repeats_the_run() -> None:
    (sent,) = view.failures(report([failure(1.0)], seen=1))
    assert sent["record"] == f'{{"number": {LARGE}}}'


def test_only_points_that_end_later_are_sent() -> None:
    assert view.points(report([], 0)["timeline"], since_s=5.0)["start_s"] == [5]
    assert view.points(report([], 0)["timeline"], since_s=10.0)["start_s"] == []


def test_a_scenario_that_a_point_does_not_have_is_none_there() -> None:
    columns = view.points(report([], 0)["timeline"], since_s=-1)
    assert columns["scenarios"]["SequenceValid"]["runs"] == [1, None]
    assert columns["scenarios"]["ResNet"]["p99_ms"] == [None, 3.0]


def test_a_column_whose_values_are_all_alike_is_sent_as_one() -> None:
    columns = view.points([point(0, ResNet=part(1)), point(5, ResNet=part(2))], since_s=-1)
    assert columns["users"] == 4
    assert columns["open_sequences"] is None
    assert columns["scenarios"]["ResNet"]["runs"] == [1, 2]
    assert columns["scenarios"]["ResNet"]["failures"] == 0


def test_of_a_worker_the_newest_window_and_the_worst_values_are_sent() -> None:
    sent = view.live(report([], 0), since_s=-1, failures_known=-1)
    assert sent["workers"][0]["window"] == WINDOWS[1]
    assert sent["workers"][0]["worst"] == {"cpu_percent": 10.0, "rss_mib": 1}


def test_a_workers_windows_are_made_fewer_with_the_worst_of_neighbours() -> None:
    assert view.windows(WINDOWS, most=50)["rss_mib"] == list(range(50))
    fewer = view.windows(WINDOWS, most=20)
    assert fewer["start_s"] == [15.0 * n for n in range(17)]
    assert fewer["end_s"] == [*(15.0 * n for n in range(1, 17)), 250.0]
    assert fewer["rss_mib"] == [*range(2, 50, 3), 49]
    assert view.windows([], most=20) == {"start_s": []}


def test_findings_that_are_not_sent_are_counted() -> None:
    sent = view.live(report([], 0), since_s=-1, failures_known=-1)
    assert [one["text"] for one in sent["findings"]] == [str(n) for n in range(3, view.MAX_FINDINGS + 3)]
    assert sent["findings_left_out"] == 7


def test_the_table_has_no_rows_and_no_evidence() -> None:
    assert json.dumps(view.table(report([failure(1.0)], seen=1))) == '[{"name": "SequenceValid"}]'


def test_the_servers_series_are_sent_in_few_points_with_the_newest_one() -> None:
    [memory] = view.live(report([], 0), since_s=-1, failures_known=-1)["server_side"]["series"]["series"]

    assert len(memory["values"]) <= view.MAX_LIVE_ROWS
    assert memory["values"][-1] == 299
