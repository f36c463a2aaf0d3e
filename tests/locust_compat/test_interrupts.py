"""Ctrl+C at any time, also several at once, is one interrupt: on the real locust command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LOCUSTFILE = """
import os, time
import gevent
from locust import User, constant, events, task
from triton_users.locust_compat.command_line import act_before_locust_forks
from triton_users.locust_compat.interrupts import take_interrupts_that_locust_does_not_expect

@events.init_command_line_parser.add_listener
def on_parser(parser, **_):
    act_before_locust_forks(parser, lambda options: take_interrupts_that_locust_does_not_expect())

@events.init.add_listener
def on_init(environment, **_):
    print("starting", flush=True)
    gevent.sleep(float(os.environ.get("START_S", "0")))
    environment.events.test_stop.add_listener(lambda **_: print("test stop", flush=True))
    environment.events.quitting.add_listener(on_quitting)
    take_interrupts_that_locust_does_not_expect().expect_them(environment)

def on_quitting(environment, **_):
    print("ending", flush=True)
    environment.runner.quit()
    gevent.sleep(0.5)
    print("ended", flush=True)

class Busy(User):
    wait_time = constant(0.01)

    @task
    def work(self):
        print("working", flush=True) if not hasattr(Busy, "said") else None
        Busy.said = True
        gevent.sleep(float(os.environ.get("TASK_S", "0.01")))
"""


class Command:
    """A locust command in a session of its own."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        (folder / "busy.py").write_text(LOCUSTFILE)
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "locust", "-f", "busy.py", "--headless", *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), str(ROOT)]), **environment},
                start_new_session=True,
            )

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def interrupt(self, times: int) -> None:
        for _ in range(times):
            os.killpg(self.process.pid, signal.SIGINT)

    def until(self, true: Callable[[str], object], limit_s: float = 30.0) -> None:
        end = time.monotonic() + limit_s
        while not true(self.log()):
            assert time.monotonic() < end, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.02)

    def end(self) -> int:
        """The exit code; ends it where it does not end."""
        try:
            return self.process.wait(20)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


@pytest.mark.parametrize("times", [1, 3])
def test_during_the_start_it_ends_with_one_line(tmp_path: Path, times: int) -> None:
    command = Command(tmp_path, START_S="20")
    command.until(lambda log: "starting" in log)
    command.interrupt(times)
    assert command.end() == 1
    assert command.log().count("interrupted before the run began") == 1
    assert "Traceback" not in command.log()


@pytest.mark.parametrize("times", [1, 3])
def test_during_the_start_of_forked_workers_it_ends_with_one_line(tmp_path: Path, times: int) -> None:
    command = Command(tmp_path, "--processes", "2", "--master-bind-host", "127.0.0.1", START_S="20")
    command.until(lambda log: log.count("starting") == 3)
    command.interrupt(times)
    assert command.end() == 1
    assert command.log().count("interrupted before the run began") == 1
    assert "Traceback" not in command.log()


@pytest.mark.parametrize("times", [1, 3])
def test_in_the_middle_of_a_run_it_ends_whole(tmp_path: Path, times: int) -> None:
    command = Command(tmp_path)
    command.until(lambda log: "working" in log)
    command.interrupt(times)
    assert command.end() == 0
    assert (command.log().count("test stop"), command.log().count("ended")) == (1, 1)
    assert "Traceback" not in command.log()


@pytest.mark.parametrize("times", [1, 3])
def test_while_a_run_that_is_over_stops_its_users_it_changes_nothing(tmp_path: Path, times: int) -> None:
    command = Command(tmp_path, "--run-time", "1s", "--stop-timeout", "10", TASK_S="3")
    command.until(lambda log: "limit reached" in log)
    command.interrupt(times)
    assert command.end() == 0
    assert (command.log().count("test stop"), command.log().count("ended")) == (1, 1)
    assert "Traceback" not in command.log()


@pytest.mark.parametrize("times", [1, 3])
def test_at_the_very_end_it_changes_nothing(tmp_path: Path, times: int) -> None:
    command = Command(tmp_path, "--run-time", "1s")
    command.until(lambda log: "ending" in log)
    command.interrupt(times)
    assert command.end() == 0
    assert (command.log().count("test stop"), command.log().count("ended")) == (1, 1)
    assert "Traceback" not in command.log()
