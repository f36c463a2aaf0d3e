"""`triton-users compare`: sides, order of play, exit codes; two real comparisons."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient.grpc.service_pb2 import (
    ModelConfigResponse,
    ModelInferResponse,
    ModelMetadataResponse,
    RepositoryIndexResponse,
)

from tests.compare.test_outcome import report
from triton_users.compare import rounds as rounds_module
from triton_users.compare.answers import compare_answers
from triton_users.compare.command import main
from triton_users.compare.outcome import Refused
from triton_users.compare.rounds import Plan, order, play
from triton_users.compare.sides import Live, Saved, side
from triton_users.declaration import UsageError
from triton_users.server import EmbeddedTriton

PLAN = Plan(2, 1, 1, 1, 1, ())


def test_rounds_alternate_so_that_each_side_is_first_as_often() -> None:
    assert "".join("AB"[number] for _, number in order(4)) == "ABBAABBA"
    assert [pair for pair, _ in order(3)] == [0, 0, 1, 1, 2, 2]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """(side, seconds) of each run; none is made. A side called "limited" is one whose client is always the limit."""
    calls: list[tuple[str, int]] = []

    def run(side: Live, plan: Plan, seconds: int, folder: Path) -> dict[str, Any]:
        calls.append((side.name, seconds))
        first = sum(name == side.name for name, _ in calls) <= 2
        limited = side.name == "limited" or (side.name == "once" and first)
        return report(selfcheck={"findings": [{"text": "CPU 99 %"}] if limited else []})

    monkeypatch.setattr(rounds_module, "run", run)
    return calls


def test_each_round_is_warmed_up(played: list[tuple[str, int]], tmp_path: Path) -> None:
    play((Live("a", "grpc://a"), Live("b", "grpc://b")), Plan(1, 20, 5, 1, 1, ()), tmp_path, lambda _: None)
    assert played == [("a", 5), ("a", 20), ("b", 5), ("b", 20)]


def test_a_round_in_which_the_client_was_the_limit_is_played_once_more(
    played: list[tuple[str, int]], tmp_path: Path
) -> None:
    told: list[str] = []
    a, b = play((Live("once", "grpc://a"), Live("b", "grpc://b")), PLAN, tmp_path, told.append)
    assert not any(each["selfcheck"]["findings"] for each in (*a, *b))
    assert "the client was the limit (CPU 99 %); once more" in told


def test_twice_in_a_row_is_refused(played: list[tuple[str, int]], tmp_path: Path) -> None:
    with pytest.raises(Refused, match="the client was the limit in a round of limited, twice: CPU 99 %"):
        play((Live("a", "grpc://a"), Live("limited", "grpc://b")), PLAN, tmp_path, lambda _: None)


def test_the_time_left_is_told(played: list[tuple[str, int]], tmp_path: Path) -> None:
    told: list[str] = []
    play((Live("a", "grpc://a"), Live("b", "grpc://b")), PLAN, tmp_path, told.append)
    assert told[0] == "round 1 of 4: A, a; 1:12 left"


def test_a_side_is_a_host_a_release_or_a_report(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report()))
    assert side("grpc://h:1") == Live("grpc://h:1", "grpc://h:1")
    assert side("2.48") == Live("Triton 2.48", release="2.48")
    assert isinstance(side(str(path)), Saved)
    assert isinstance(side(str(tmp_path)), Saved)


@pytest.mark.parametrize(
    ("text", "told"), [("2.0", "neither an embedded release"), ("http://h", "neither an embedded")]
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
    assert code == 0, output
    found = json.loads((tmp_path / "compare.json").read_text())
    assert {each["name"] for each in found["measures"]} >= {"requests answered", "latency p50", "latency p99"}
    assert {each["difference"]["answer"] for each in found["measures"]} == {"too few rounds to say"}
    assert found["answers"]["compared"] > 0
    assert found["answers"]["different"] == []


class Answering:
    """A client whose server answers each request to the model "m" with one number."""

    def __init__(self, number: float) -> None:
        self.number = number
        self.channel = self

    def get_model_repository_index(self, **_: Any) -> Any:
        return RepositoryIndexResponse(models=[{"name": "m", "state": "READY"}])

    def get_model_metadata(self, name: str, **_: Any) -> Any:
        tensors = [[{"name": each, "datatype": "FP32", "shape": [1]}] for each in ("IN", "OUT")]
        return ModelMetadataResponse(name=name, inputs=tensors[0], outputs=tensors[1])

    def get_model_config(self, name: str, **_: Any) -> Any:
        return ModelConfigResponse(config={"name": name})

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        raw = np.float32(self.number).tobytes()
        output = {"name": "OUT", "datatype": "FP32", "shape": [1]}
        return lambda request, timeout: ModelInferResponse(
            model_name=request.model_name, outputs=[output], raw_output_contents=[raw]
        )


@pytest.mark.parametrize(("b", "differ"), [(1.0, []), (1.00001, []), (1.5, ["m: OUT[0] is 1.5, not 1.0"])])
def test_answers_are_compared_within_the_tolerance_of_their_datatype(b: float, differ: list[str]) -> None:
    found = compare_answers(Answering(1.0), Answering(b), 1)
    assert [each[: len(text)] for each, text in zip(found["different"], differ, strict=True)] == differ
    assert found["models"] == ["m"]
