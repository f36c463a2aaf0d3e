"""The run that has a Triton of its own: which release it is, and what the report says when that one dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.locust_process import Locust, run_locust
from tests.end_to_end.test_main_job import wait_for


@pytest.mark.triton
def test_a_server_that_dies_in_mid_run_is_a_reason_of_the_verdict_with_its_stack_and_its_log(tmp_path: Path) -> None:
    locust = Locust(tmp_path, "-u", "2", "-r", "2", "-t", "10m", "--scenarios", "SequenceValid")
    wait_for(lambda: "SequenceValid custom" in locust.output(), limit_s=180)
    below = psutil.Process(locust.pid).children(recursive=True)
    (server,) = [process for process in below if process.name() == "tritonserver"]
    os.kill(server.pid, signal.SIGSEGV)
    ended = locust.ended()
    assert ended.exit_code == 1, ended.output
    assert ended.report["duration_s"] < 120, "the server does not come back, so the run ends with it"
    assert ended.report["state"] == "finished"
    assert any(line.startswith("it ended after 0:0") for line in ended.report["verdict"]["reasons"])
    audited = {model["outcome"] for model in ended.report["server_side"]["audit"]["models"]}
    assert audited == {"not auditable"}, "what it counted last nobody knows"
    (alert,) = [alert["text"] for alert in ended.report["verdict"]["alerts"] if alert["question"] == "Is it stable?"]
    assert "\n" not in alert
    (reason,) = [reason for reason in ended.report["verdict"]["reasons"] if "the embedded Triton ended" in reason]
    assert "ended by itself, by SIGSEGV: a fault of the embedded server" in reason
    assert "Signal (11) received" in reason
    log = reason.partition("Its log, ")[2].partition(":")[0]
    assert Path(log).exists()
    assert log in ended.output
    assert not psutil.pid_exists(server.pid)


@pytest.mark.triton
def test_the_release_that_is_asked_for_is_tested_and_stands_in_the_report_and_its_command(tmp_path: Path) -> None:
    ended = run_locust(tmp_path, "-u", "2", "-r", "2", "-t", "4s", "--scenarios", "SequenceValid", "--triton", "2.48")
    assert ended.exit_code == 0, ended.output
    assert ended.report["server"]["version"] == "2.48.0"
    assert "--triton 2.48" in ended.report["reproduce"]
    assert "-H" not in ended.report["reproduce"]


def test_a_release_for_a_host_is_a_mistake(tmp_path: Path) -> None:
    ended = run_locust(tmp_path, "-H", "grpc://127.0.0.1:1", "--triton", "2.48")
    assert ended.exit_code == 2
    assert "--triton 2.48 is a release of the embedded Triton, and the host is grpc://127.0.0.1:1" in ended.output
    assert "Traceback" not in ended.output
