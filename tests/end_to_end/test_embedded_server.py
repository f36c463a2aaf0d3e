"""The run that has a Triton of its own: what the report says when that one dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.locust_process import Locust
from tests.end_to_end.test_main_job import wait_for


@pytest.mark.triton
def test_a_server_that_dies_in_mid_run_is_a_reason_of_the_verdict_with_its_stack_and_its_log(tmp_path: Path) -> None:
    locust = Locust(tmp_path, "-u", "2", "-r", "2", "-t", "12s", "--scenarios", "SequenceValid")
    wait_for(lambda: "SequenceValid custom" in locust.output(), limit_s=60)
    below = psutil.Process(locust.pid).children(recursive=True)
    (server,) = [process for process in below if process.name() == "tritonserver"]
    os.kill(server.pid, signal.SIGSEGV)
    ended = locust.ended()
    assert ended.exit_code == 1, ended.output
    (reason,) = [reason for reason in ended.report["verdict"]["reasons"] if "the embedded Triton ended" in reason]
    assert "ended by itself, by SIGSEGV: a fault of the embedded server" in reason
    assert "Signal (11) received" in reason
    log = reason.partition("Its log, ")[2].partition(", says")[0]
    assert Path(log).exists()
    assert log in ended.output
    assert not psutil.pid_exists(server.pid)
