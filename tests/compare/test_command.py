"""`triton-users compare`: sides, order of play, exit codes; two real comparisons."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.compare.test_outcome import report
from triton_users.compare import rounds as rounds_module
from triton_users.compare.alike import Refused
from triton_users.compare.command import main
from triton_users.compare.rounds import Plan, order, play
from triton_users.compare.sides import Live, Saved, side
from triton_users.declaration import UsageError
from triton_users.server import EmbeddedTriton

PLAN = Plan(2, 1, 1, 1, 1, ())


def test_rounds_alternate_so_that_each_side_is_first_as_often() -> None:
    assert ["AB"[number] for pair in range(4) for number in order(pair)] == list("ABBAABBA")


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(side, seconds) of each run; none is made. A side called "limited" is one whose client is always the limit."""
    calls: list[tuple[str, int]] = []

    def run(side: Live, plan: Plan, seconds: int, folder: Path) -> dict[str, Any]:
        calls.append((side.name, seconds))
        number = sum(name == side.name for name, _ in calls)
        limited = side.name == "limited" or number <= {"once": 2, "twice": 4}.get(side.name, 0)
        return report(selfcheck={"findings": [{"text": "CPU 99 %"}] if limited else []})

    monkeypatch.setattr(rounds_module, "run", run)
    monkeypatch.setattr(rounds_module, "warm_up", lambda side, plan, _: calls.append((side.name, plan.warm_up_s)))
    return calls


def test_each_round_is_warmed_up(played: list[tuple[str, int]], tmp_path: Path) -> None:
    play((Live("a", "grpc://a"), Live("b", "grpc://b")), Plan(1, 20, 5, 1, 1, ()), tmp_path, lambda _: None)
    assert played == [("a", 5), ("a", 20), ("b", 5), ("b", 20)]


def test_a_round_in_which_the_client_was_the_limit_is_played_once_more(
    played: list[tuple[str, int]], tmp_path: Path
) -> None:
    told: list[str] = []
    found = play((Live("once", "grpc://a"), Live("b", "grpc://b")), PLAN, tmp_path, told.append)
    assert not any(each["selfcheck"]["findings"] for each in (*found.a, *found.b))
    assert (len(found.a), len(found.b), found.left_out) == (2, 2, [])
    assert "the client was the limit (CPU 99 %); once more" in told


def test_a_second_time_another_pair_is_played_for_it_and_that_is_said(
    played: list[tuple[str, int]], tmp_path: Path
) -> None:
    plan = Plan(4, 1, 1, 1, 1, ())
    found = play((Live("twice", "grpc://a"), Live("b", "grpc://b")), plan, tmp_path, lambda _: None)
    assert (len(found.a), len(found.b)) == (4, 4)
    assert [each.rpartition("played anew: ")[2] for each in found.left_out] == [
        "the client was the limit in a round of twice, twice: CPU 99 %"
    ]


def test_a_client_that_is_the_limit_in_more_than_a_quarter_of_the_pairs_is_refused(
    played: list[tuple[str, int]], tmp_path: Path
) -> None:
    plan = Plan(8, 1, 1, 1, 1, ())
    with pytest.raises(Refused, match="in 3 of 3 pairs of rounds the client was the limit, twice: CPU 99 %"):
        play((Live("a", "grpc://a"), Live("limited", "grpc://b")), plan, tmp_path, lambda _: None)


def test_a_server_that_ended_by_itself_is_named_with_how(tmp_path: Path) -> None:
    """Else the reader sees only that nothing answers at some port."""

    class Ended(Live):
        def how_it_ended(self) -> str:
            return "the embedded Triton ended by itself, killed by signal 11"

    with pytest.raises(Refused, match=r"B's did not live through the rounds: .* killed by signal 11"):
        rounds_module.run(Ended("B's", "grpc://127.0.0.1:1"), PLAN, 1, tmp_path)


@pytest.mark.parametrize(
    ("options", "told"),
    [(("--weights", "Nobody=1"), "was refused: .*Nobody"), (("--version",), "exit code 0 and no report: ")],
)
def test_a_round_without_a_report_says_what_its_run_said(options: tuple[str, ...], told: str, tmp_path: Path) -> None:
    plan = Plan(1, 1, 1, 1, 1, options)
    with pytest.raises(UsageError, match=re.compile(told, re.DOTALL)):
        rounds_module.run(Live("b", "grpc://127.0.0.1:1"), plan, 1, tmp_path)
    if options == ("--version",):
        rounds_module.warm_up(Live("b", "grpc://127.0.0.1:1"), plan, tmp_path)


def test_the_time_left_is_told(played: list[tuple[str, int]], tmp_path: Path) -> None:
    told: list[str] = []
    play((Live("a", "grpc://a"), Live("b", "grpc://b")), PLAN, tmp_path, told.append)
    assert told[0] == "pair 1 of 2: A, a; 1:12 left"


def test_a_side_is_a_host_a_release_or_a_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report()))
    assert side("grpc://h:1") == Live("grpc://h:1", "grpc://h:1")
    assert side("2.48") == Live("Triton 2.48", release="2.48")
    assert side(f"2.48:{tmp_path}") == Live(f"Triton 2.48:{tmp_path}", release="2.48", models=tmp_path)
    assert isinstance(side(str(path)), Saved)
    assert isinstance(side(str(tmp_path)), Saved)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2.0", "neither an embedded release"),
        ("http://h", "neither an embedded"),
        ("2.48:/nowhere", "the model repository '/nowhere' of '2.48:/nowhere' is no folder"),
    ],
)
def test_anything_else_is_an_error_that_says_what_there_is(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        side(text)


def test_a_file_that_is_no_report_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(UsageError, match="is no report of a run"):
        side(str(tmp_path))


@pytest.fixture
def saved(tmp_path: Path) -> tuple[str, str]:
    """A fast run's report and a slow one's."""
    paths = tmp_path / "fast.json", tmp_path / "slow.json"
    for path, slower in zip(paths, (1.0, 2.0), strict=True):
        path.write_text(json.dumps(report(slower)))
    return str(paths[0]), str(paths[1])


def test_a_regression_against_a_stored_baseline_ends_with_1(
    saved: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["--baseline", saved[0], saved[1], "--out", str(out)]) == 1
    assert "REGRESSIONS" in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["compare.html", "compare.json", "compare.txt", "junit.xml"]
    assert main([saved[1], saved[0], "--out", str(out)]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["2.48"], "there are 1 sides (2.48); name two"),
        (["a", "b", "c"], "there are 3 sides"),
        (["nowhere", "2.48"], "'nowhere' is neither"),
        (["2.48", "2.51", "--margin", "-1"], "the margin is -1 percent"),
        (["grpc://a", "grpc://b", "--", "--host=grpc://c"], "--host=grpc://c is no option of single rounds"),
        (["grpc://a", "grpc://b", "--", "-u", "9"], "-u is no option of single rounds"),
    ],
)
def test_mistakes_end_with_2_and_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_reports_that_cannot_be_compared_end_with_2(
    saved: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(report(server={"models": ["x"]})))
    assert main([saved[0], str(other)]) == 2
    assert "their models differ: m and x" in capsys.readouterr().err


@pytest.mark.triton
def test_a_server_against_itself(triton: EmbeddedTriton, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    host = f"grpc://{triton.grpc_url}"
    played = ["--rounds", "1", "--round-time", "3", "--warm-up", "0", "-u", "1", "--out", str(tmp_path)]
    limits = ["--max-event-loop-lag-ms", "0", "--max-cpu-percent", "0", "--max-queue-time-ms", "0"]
    code = main([host, host, *played, "--", "--scenarios", "SequenceValid", *limits, "--max-gc-pause-ms", "0"])
    output = capsys.readouterr()
    assert code == 2, output
    assert "too few rounds to say" in output.out
    found = json.loads((tmp_path / "compare.json").read_text())
    assert {each["name"] for each in found["measures"]} >= {"requests answered", "latency p50", "latency p99"}
    assert {each["difference"]["answer"] for each in found["measures"]} == {"too few rounds to say"}
    assert found["answers"]["compared"] > 0
    assert found["answers"]["different"] == []
