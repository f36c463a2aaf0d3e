"""Runs from the web UI's start form, with real processes: what one was started with holds for it, and for no other."""

import re
from pathlib import Path

import pytest

from tests.web.locusts import Locusts, wait_for
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

LOAD = {"user_count": "4", "spawn_rate": "4"}
QUICK = {"trials": "custom_nobatch", "sequence_length_mean": "2", "sequence_length_stdev": "0"}


def test_a_form_sent_in_the_middle_of_a_run_changes_its_load_and_nothing_else(
    triton: EmbeddedTriton, tmp_path: Path
) -> None:
    with Locusts(f"grpc://{triton.grpc_url}", tmp_path, "--enable-rebalancing", workers=1) as locusts:
        locusts.start(**LOAD, **QUICK, scenarios="SequenceValid", seed="7")
        wait_for(lambda: locusts.reports() and runs_by_worker(locusts), 20)
        for change in ({"scenarios": "Timeout"}, {"seed": "8"}, {"host": "grpc://127.0.0.1:9"}, {"trials": "onnx"}):
            answer = locusts.post("/swarm", **LOAD, **change)
            assert not answer["success"]
            assert "while the test runs" in answer["message"]
        locusts.join_late()
        locusts.start(user_count="6", spawn_rate="6")
        wait_for(lambda: len(runs_by_worker(locusts)) == 2, 20)
        locusts.stop()
        (report,) = locusts.reports()
    assert report["seed"] == 7
    assert [(scenario["name"], scenario["failed"]) for scenario in report["scenarios"]] == [("SequenceValid", 0)]


def runs_by_worker(locusts: Locusts) -> list[int]:
    """How many runs each worker that had any has counted so far."""
    workers = locusts.get("/triton/report/report.json")["workers"]
    return [worker["runs"] for worker in workers if worker["runs"]]


def test_the_next_run_goes_by_its_own_form(triton: EmbeddedTriton, tmp_path: Path) -> None:
    with Locusts(f"grpc://{triton.grpc_url}", tmp_path, workers=1) as locusts:
        for number, changes in enumerate(({"run_time": "1h"}, {"thresholds": "runs>=1000000"}), start=1):
            locusts.start(**LOAD, **QUICK, scenarios="SequenceValid", seed=str(number), **changes)
            wait_for(lambda number=number: len(locusts.reports()) == number and runs_by_worker(locusts), 20)
            locusts.stop()
        first, second = locusts.reports()
    assert (first["seed"], second["seed"]) == (1, 2)
    (reason,) = first["verdict"]["reasons"]
    assert re.fullmatch(r"it ended after 0:00:\d\d of the 1:00:00 it was to run", reason)
    (reason,) = second["verdict"]["reasons"]
    assert reason.startswith("threshold runs>=1e+06 does not hold")
    assert second["started"] > first["started"]
