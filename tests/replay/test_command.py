"""`triton-users replay`: a failure of a defective server again, smaller, and as a script; mistakes in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.replay.defects import DEFECTS, report_of
from triton_users import server
from triton_users.replay import at
from triton_users.replay.command import main

PLAN = {"model": "custom_sequence_int32", "id_offset": 1, "sequences": [[1, 2]], "pauses": [None]}


def a_report(folder: Path, **record: Any) -> str:
    failure = {
        "scenario": "SequenceValid",
        "worker": "local",
        "at_s": 61.0,
        "reason": "answer 0 is 3",
        "record": record,
    }
    path = folder / "report.json"
    path.write_text(json.dumps({"scenarios": [{"evidence": {"failures": [failure]}}], "server": {}, "reproduce": ""}))
    return str(path)


def test_without_a_number_the_failures_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([a_report(tmp_path, plan=PLAN)]) == 0
    assert "  1  SequenceValid, 0:01:01 into the run: answer 0 is 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--failure", "2"], "there is no failure 2 in"),
        (["--failure", "0"], "it has 1 to 1"),
        (["--failure", "1", "--time-limit", "0"], "the time limit is 0 s"),
        (["--failure", "1", "--bach-size", "3"], "there is no option --bach-size"),
        (["--failure", "1", "-H", "grpc://127.0.0.1:1"], "no server answers at grpc://127.0.0.1:1"),
        (["--failure", "1", "-H", "grpc://127.0.0.1:1", "--model-repository", "m"], "the host is grpc://127.0.0.1:1"),
        (["--failure", "1", "--model-repository", "/nowhere"], "No model repository at /nowhere"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any, arguments: list[str], told: str
) -> None:
    monkeypatch.setattr(at, "BACK_LIMIT_S", 0.0)
    assert main([a_report(tmp_path, plan=PLAN), *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "Traceback" not in said


@pytest.mark.parametrize("text", ["", "[]", "{}", "no json"])
def test_what_is_no_report_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    assert main([str(tmp_path / "report.json"), "--failure", "1"]) == 2
    assert "report" in capsys.readouterr().err


def test_a_report_that_is_not_there_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "report.json")]) == 2
    assert "No such file" in capsys.readouterr().err


def exit_code(script: Path, triton: server.EmbeddedTriton) -> tuple[int, str]:
    """Of the script, run by a Python that sees none of this project, so on tritonclient's own grpcio."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [sys.executable, "-I", str(script), triton.grpc_url]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=100)
    return done.returncode, done.stdout + done.stderr


SMALLEST = {
    "off_by_one": ("SequenceValid", "1 sequence of 3 requests", "[1, 1, 1]: answer 2 is [[4]], not 3"),
    "ignores_start": ("SequenceValidValid", "1 sequence of 1 request", "not 1"),
    "wrong_when_large": ("Timeout", "one request of 262,145 numbers", "the first at 262144"),
    "start_not_required": ("SequenceNoStart", "one request", "without START was answered"),
}


@pytest.mark.triton
@pytest.mark.parametrize("defect", SMALLEST)
def test_a_defect_is_played_again_shrunk_and_written_as_a_script_that_a_healthy_server_passes(
    triton: server.EmbeddedTriton, tmp_path: Path, capsys: pytest.CaptureFixture[str], defect: str
) -> None:
    scenario, smallest, told = SMALLEST[defect]
    script = tmp_path / "bug.py"
    with server.EmbeddedTriton(DEFECTS / defect, grace_s=0) as defective:
        report = report_of(defective, tmp_path, scenario)
        assert main([str(report), "--failure", "1", "--minimise", "--script", str(script)]) == 1
        said = capsys.readouterr().out
        assert f"Smallest that fails: {'Identity' if scenario == 'Timeout' else scenario}, {smallest}, alone" in said
        code, wrong = exit_code(script, defective)
    assert code == 1, wrong
    assert told in wrong
    assert exit_code(script, triton)[0] == 0


@pytest.mark.triton
def test_a_failure_that_does_not_come_again_is_no_failure(
    triton: server.EmbeddedTriton, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = a_report(tmp_path, plan=PLAN, under_way=[{"scenario": "SequenceValid", "plan": PLAN}])
    script = tmp_path / "bug.py"
    arguments = ["--failure", "1", "-H", f"grpc://{triton.grpc_url}", "--time-limit", "2", "--script", str(script)]
    assert main([report, *arguments]) == 0
    said = capsys.readouterr().out
    assert "Not seen alone in 1 s" in said
    assert "It did not fail again within 2 s" in said
    assert not script.exists()


@pytest.mark.triton
def test_a_named_server_that_dies_of_it_ends_the_search_and_is_no_smaller_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a server that is gone every case fails, whatever is in it."""
    monkeypatch.setattr(at, "BACK_LIMIT_S", 0.0)
    plan = {"signal": "SIGKILL", "id_offset": 99, "delay_s": 0.5, "values": [1, 2, 3]}
    report = Path(a_report(tmp_path, plan=plan))
    report.write_text(report.read_text().replace("SequenceValid", "Crashing"))
    with server.EmbeddedTriton(DEFECTS / "dies_with_its_client", grace_s=0) as defective:
        assert main([str(report), "--failure", "1", "-H", f"grpc://{defective.grpc_url}", "--minimise"]) == 1
    said = capsys.readouterr().out
    assert "No smaller case is tried: no server answers at" in said
    assert "Smallest that fails: Crashing, one request, alone (1 cases tried" in said
