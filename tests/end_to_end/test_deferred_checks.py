"""The end of a run whose users may wait for the checks that are not due yet."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.locust_process import Locust, run_locust
from tests.end_to_end.test_main_job import DEFECTS, wait_for
from tests.transport.support import free_port
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton


def arguments(triton: EmbeddedTriton, *more: str) -> list[str]:
    port = str(free_port())
    return ["-H", f"grpc://{triton.grpc_url}", "-u", "4", "-r", "4", "-t", "8s", "--scenarios", "SequenceNoEnd",
            "--master-bind-port", port, "--master-port", port, *more]  # fmt: skip


@pytest.mark.parametrize("processes", [(), ("--processes", "2")])
def test_a_short_run_makes_all_its_checks(triton: EmbeddedTriton, tmp_path: Path, processes: tuple[str, ...]) -> None:
    ended = run_locust(tmp_path, *arguments(triton, "--deferred-check-wait-s", "60", *processes))
    assert ended.exit_code == 0, ended.output
    counted = ended.scenario("SequenceNoEnd")
    assert counted["confirmed"] == counted["passed"] > 0
    assert counted["unchecked"] == 0


def test_what_a_short_run_finds_only_by_waiting_fails_it_with_the_plan_of_the_run_that_left_it(tmp_path: Path) -> None:
    with EmbeddedTriton(DEFECTS / "never_reclaims", grace_s=0) as triton:
        ended = run_locust(tmp_path, *arguments(triton, "-u", "1", "--deferred-check-wait-s", "30"))
    assert ended.exit_code == 1, ended.output
    counted = ended.scenario("SequenceNoEnd")
    assert counted["failed"] > 0
    failure = counted["evidence"]["failures"][0]
    assert "its slot was not reclaimed" in failure["reason"]
    (record,) = re.findall(r"^sequence (\d+) ", failure["reason"])
    assert str(failure["record"]["evidence"]["correlation_id"]) == record
    assert int(record) % 2**20 == failure["record"]["plan"]["id_offset"]


@pytest.mark.parametrize(
    ("processes", "number", "to_all"),
    [
        ((), signal.SIGINT, True),
        ((), signal.SIGTERM, False),
        (("--processes", "2"), signal.SIGINT, True),
        (("--processes", "2"), signal.SIGINT, False),
    ],
)
def test_an_interrupt_ends_the_wait_at_once_with_the_report(
    triton: EmbeddedTriton, tmp_path: Path, processes: tuple[str, ...], number: signal.Signals, to_all: bool
) -> None:
    """`to_all`: as in a terminal; else the master alone hears of it, as with workers on other machines."""
    waiting = ("--idle-margin-s", "300", "--deferred-check-wait-s", "600", *processes)
    locust = Locust(tmp_path, *arguments(triton, *waiting))
    wait_for(lambda: "run-time limit reached" in locust.output())
    time.sleep(2)
    assert locust.running(), "its users wait for their checks"
    (locust.signal_all if to_all else locust.signal)(number)
    ended = locust.ended(limit_s=20)
    assert ended.exit_code == 0, ended.output
    assert ended.report["state"] == ("finished" if number == signal.SIGINT else "interrupted")
    counted = ended.scenario("SequenceNoEnd")
    assert counted["unchecked"] == counted["passed"] > 0
    assert "Traceback" not in ended.output


def test_an_interrupt_in_the_middle_of_a_run_waits_for_nothing(triton: EmbeddedTriton, tmp_path: Path) -> None:
    waiting = ("-t", "300s", "--idle-margin-s", "300", "--deferred-check-wait-s", "600")
    locust = Locust(tmp_path, *arguments(triton, *waiting))
    wait_for(lambda: "SequenceNoEnd custom" in locust.output())
    locust.signal(signal.SIGINT)
    ended = locust.ended(limit_s=20)
    assert ended.scenario("SequenceNoEnd")["unchecked"] > 0
