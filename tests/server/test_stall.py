"""A start that hangs is told from one that is slow by what its processes do, not by how long it takes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from triton_users.server.stall import STALL_S, Stall


class FakeClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def start() -> Iterator:
    """Starts a server of one line of Python, and waits until it has said so."""
    started = []

    def begin(program: str) -> int:
        command = [sys.executable, "-u", "-c", f"import time; print(1)\n{program}"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        started.append(server)
        server.stdout.readline()
        return server.pid

    yield begin
    for server in started:
        os.killpg(server.pid, signal.SIGKILL)  # its child as well
        server.wait()
        server.stdout.close()


SLEEPS = "time.sleep(600)"
WORKS = "while True: pass"
HAS_A_CHILD_THAT_WORKS = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{WORKS}'], timeout=60)"


def stalls_after(stall: Stall, clock: FakeClock, pid: int, *, limit_s: float = 3 * STALL_S) -> float:
    """Seconds after which it counts as hung; `limit_s` when it does not."""
    began_s = clock.now_s
    while clock.now_s - began_s < limit_s and not stall.stalled(pid):
        clock.now_s += 1.0
    return clock.now_s - began_s


def test_a_server_that_sleeps_for_long_is_hung(start, clock: FakeClock, tmp_path: Path) -> None:
    pid = start(SLEEPS)
    time.sleep(0.1)  # from its line to its sleep
    assert STALL_S <= stalls_after(Stall(tmp_path / "log", clock), clock, pid) <= STALL_S + 3


@pytest.mark.parametrize("program", [WORKS, HAS_A_CHILD_THAT_WORKS])
def test_a_server_that_works_or_waits_for_a_cpu_is_not(start, clock: FakeClock, tmp_path: Path, program: str) -> None:
    pid = start(program)
    time.sleep(1.0 if program != WORKS else 0.0)  # until its child runs
    assert stalls_after(Stall(tmp_path / "log", clock), clock, pid) == 3 * STALL_S


def test_a_server_that_writes_to_its_log_is_not(start, clock: FakeClock, tmp_path: Path) -> None:
    stall, log = Stall(tmp_path / "log", clock), tmp_path / "log"
    pid = start(SLEEPS)
    for number in range(10):
        log.write_text("line\n" * number)
        assert stalls_after(stall, clock, pid, limit_s=STALL_S - 1) == STALL_S - 1
