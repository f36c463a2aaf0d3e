"""A line for each request, written and read back."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.declaration import UsageError
from triton_users.exports import request_log, requests
from triton_users.exports.request_log import ENDINGS, Line, RequestLog, file_for
from triton_users.exports.requests import LogError, groups, read

NAMES = [f"log{ending}" for ending in ENDINGS]


def request(**changes: Any) -> dict[str, Any]:
    """What `events.request` says of one."""
    return {
        "request_type": "grpc",
        "response_time": 250.0,
        "response_length": 30,
        "exception": None,
        "response": SimpleNamespace(id="7"),
        "start_time": 1_700_000_000.0,
        "scenario": "bert",
        "model": "bert",
        "method": "ModelInfer",
        "request_length": 20,
        "expected_error": None,
        **changes,
    }


@pytest.fixture(params=NAMES)
def log(request: Any, tmp_path: Path) -> Iterator[RequestLog]:
    made = RequestLog(file_for(str(tmp_path / request.param)))
    yield made
    made.close()


def test_a_request_of_a_closed_run(log: RequestLog) -> None:
    log.taken(**request())
    log.close()
    (line,) = read(log.path)
    assert (float(line["sent"]), float(line["last"])) == (1_700_000_000.0, 1_700_000_000.25)
    assert not line["intended"]
    assert not line["first"]
    assert {name: str(line[name]) for name in Line._fields[4:]} == {
        "scenario": "bert", "model": "bert", "method": "ModelInfer", "id": "7", "sent_bytes": "20",
        "received_bytes": "30", "outcome": "answered", "error": "",
    }  # fmt: skip


def test_a_request_of_an_open_run_says_when_it_was_to_begin_and_a_stream_s_when_its_first_response_came(
    log: RequestLog,
) -> None:
    log.taken(**request(measures={"issue_delay": (50_000,), "service": (200_000,), "first_response": (10_000,)}))
    log.close()
    (line,) = read(log.path)
    times = [float(line[name]) - 1_700_000_000 for name in ("intended", "sent", "first", "last")]
    assert times == pytest.approx([0.0, 0.05, 0.06, 0.25], abs=1e-6)


def test_a_failed_request_has_its_error_on_one_line_and_one_that_was_wanted_is_no_failure(log: RequestLog) -> None:
    log.taken(**request(response=None, exception=ValueError('one\n"two", three')))
    log.taken(**request(response=None, expected_error=ValueError("START")))
    log.close()
    failed, wanted = read(log.path)
    assert (failed["outcome"], failed["error"], failed["id"]) == ("failed", 'one "two", three', "")
    assert (wanted["outcome"], wanted["error"]) == ("expected", "START")


def test_a_log_that_is_closed_keeps_nothing_more(log: RequestLog) -> None:
    log.close()
    log.taken(**request())
    log.close()
    assert log.lines == 0


def test_requests_beyond_what_may_wait_are_written_at_once(log: RequestLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "MOST_WAITING", 10)
    for _ in range(25):
        log.taken(**request())
    assert log.lines == 20
    log.close()
    assert len(list(read(log.path))) == 25


def test_a_disk_that_is_full_ends_the_log_and_not_the_run(log: RequestLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(request_log, "MOST_WAITING", 1)
    monkeypatch.setattr(log, "_write", full)
    log.taken(**request())
    assert "No space left on device" in log.failed
    log.taken(**request())
    log.close()


def test_what_a_killed_process_leaves_is_read_up_to_its_last_whole_line(log: RequestLog) -> None:
    for _ in range(3):
        log.taken(**request())
    log.close()
    whole = log.path.read_bytes()
    packed = log.path.name.endswith(".gz")
    text = (gzip.decompress(whole) if packed else whole)[:-5]
    log.path.write_bytes(gzip.compress(text)[:-9] if packed else text)
    assert len(list(read(log.path))) in ((0, 1, 2) if packed else (2,))


def test_a_worker_s_file_has_its_name_and_no_file_is_written_over(tmp_path: Path) -> None:
    first = file_for(str(tmp_path / "log.csv.gz"), "host_1/x")
    assert first.name == "log.host_1_x.csv.gz"
    first.touch()
    assert file_for(str(tmp_path / "log.csv.gz"), "host_1/x").name == "log.host_1_x-2.csv.gz"


@pytest.mark.parametrize(("name", "why"), [("log.txt", "says no format; end it in"), ("no/log.csv", "is not there")])
def test_a_name_that_cannot_be_used_is_a_clear_error(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        file_for(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.csv", "a,b\n1,2\n", "its first line is not intended,sent"),
        ("a.csv", f"{','.join(Line._fields)}\n1,2\n", "line 2"),
        ("a.jsonl", '{"a": 1}\n', "line 1: it has not the members"),
        ("a.jsonl", "nonsense\n", "line 1"),
        ("a.csv.gz", "no gzip\n", "Not a gzipped file"),
    ],
)
def test_a_file_that_is_no_request_log_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, why: str
) -> None:
    (tmp_path / name).write_text(text)
    assert requests.main([str(tmp_path / name)]) == 2
    error = capsys.readouterr().err
    assert why in error
    assert name in error


def line(**changes: Any) -> dict[str, Any]:
    plain = Line(None, 10.0, None, 10.25, "s", "m", "ModelInfer", "", 1, 1, "answered", "")._asdict()
    return {**plain, **changes}


def test_a_slice_is_chosen_and_grouped() -> None:
    lines = [line(model="a"), line(model="b"), line(model="a", outcome="failed"), line(model="a", scenario="other")]
    found = groups(lines, {"scenario": "s"}, ["model"])
    assert {name: group.outcomes for name, group in found.items()} == {
        "a": {"answered": 1, "failed": 1},
        "b": {"answered": 1},
    }
    assert found["a"].latency.total == 1


def test_too_many_groups_are_an_error_and_no_endless_table() -> None:
    with pytest.raises(LogError, match="more than 1000 groups by model"):
        groups((line(model=str(number)) for number in range(1_001)), {}, ["model"])


def test_the_command_prints_percentiles_of_several_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for name in ("log.csv", "log.jsonl.gz"):
        made = RequestLog(file_for(str(tmp_path / name)))
        for latency_ms in (10.0, 20.0):
            made.taken(**request(response_time=latency_ms, measures={"issue_delay": (5_000,)}))
        made.close()
        paths.append(str(made.path))
    assert requests.main([*paths, "--by", "scenario,model"]) == 0
    latency, service = capsys.readouterr().out.split("\n\n")
    assert latency.splitlines()[-1].split() == [*"440", "10.0", *["20.0"] * 5, "bert", "bert"]
    assert service.startswith("Service, from the real start")
    assert service.splitlines()[-1].split() == [*"440", "5.02", *["15.0"] * 5, "bert", "bert"]


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=20))
def test_whatever_names_and_errors_are_every_line_is_read_back(names: list[tuple[str, str]]) -> None:
    lines = [Line(None, 1.0, None, 2.0, name, "m", "x", "", 1, 1, "failed", error) for name, error in names]
    for as_csv in (True, False):
        text = request_log.rendered(lines, as_csv=as_csv).decode()
        assert text.count("\n") == len(lines)
