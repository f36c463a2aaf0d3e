"""Ctrl+C, again and again, while the embedded Triton starts: one line, and nothing left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.server.leavings import LIMIT_S, left_of, wait_for
from triton_users.server import EmbeddedTriton, StartError

pytestmark = pytest.mark.triton

#: Starts a Triton and does nothing about interrupts, as a script of somebody's own would not.
SCRIPT = """
from triton_users.server import EmbeddedTriton
with EmbeddedTriton(progress=lambda step, _: print(step, flush=True)):
    print("up", flush=True)
"""

#: The program that runs a Python model.
STUB = "triton_python_backend_stub"

COMMANDS = {
    "script": ["-c", SCRIPT],
    "server run": ["-m", "triton_users.server", "run"],
    "triton-users": ["-m", "triton_users", "--headless", "-t", "5s"],
}


@contextmanager
def command(folder: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """A command that starts a Triton, in a session of its own, and what it has printed so far."""
    output = folder / "output.txt"
    with output.open("w") as file:
        running = subprocess.Popen(
            [sys.executable, *arguments], cwd=folder, stdout=file, stderr=subprocess.STDOUT, text=True,
            start_new_session=True, env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        yield running, output.read_text
    finally:
        running.kill()
        running.wait()


def interrupt(running: subprocess.Popen[str]) -> None:
    """As a terminal does: the whole process group."""
    with suppress(ProcessLookupError):  # it has ended since the last one
        os.killpg(running.pid, signal.SIGINT)


def names_of(running: subprocess.Popen[str]) -> str:
    """How the names of everything begin that a Triton of this process has."""
    return f"triton-users-{running.pid}-"


def stubs_of(name: str) -> list[str]:
    """The processes of its models, which outlive a server that is killed as they begin."""
    return [path for path in left_of(name) if path.startswith("/proc/") and STUB in command_line(path)]


def command_line(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""  # it has just ended


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("number", [0, 1, 8], ids=["no model yet", "the first model", "many models"])
def test_two_interrupts_half_a_second_apart_leave_nothing(tmp_path: Path, name: str, number: int) -> None:
    with command(tmp_path, *COMMANDS[name]) as (running, printed):
        wait_for(lambda: "Starting Triton" in printed(), LIMIT_S)
        wait_for(lambda: len(stubs_of(names_of(running))) >= number, LIMIT_S)
        for _ in range(2):
            interrupt(running)
            time.sleep(0.5)
        running.wait(LIMIT_S)
    wait_for(lambda: not left_of(names_of(running)), limit_s=15)
    assert not list(tmp_path.glob("triton-users-*")), "the run folder"


@pytest.mark.parametrize(
    ("name", "exit_code", "line"),
    [("server run", 130, "Interrupted."), ("triton-users", 1, "locust: interrupted before the run began")],
)
@pytest.mark.parametrize("times", [1, 3])
def test_an_interrupt_during_the_start_is_one_line(
    tmp_path: Path, name: str, exit_code: int, line: str, times: int
) -> None:
    with command(tmp_path, *COMMANDS[name]) as (running, printed):
        wait_for(lambda: "Starting Triton" in printed(), LIMIT_S)
        for _ in range(times):  # at once, as a wrapper that forwards them sends them
            interrupt(running)
        assert running.wait(LIMIT_S) == exit_code
        assert printed().splitlines()[-1] == line
        assert "Traceback" not in printed()
    wait_for(lambda: not left_of(names_of(running)), limit_s=15)


def test_an_interrupt_while_it_installs_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_USERS_CACHE", str(tmp_path / "cache"))
    with command(tmp_path, "-m", "triton_users.server", "install") as (running, printed):
        wait_for(lambda: "Downloading" in printed(), LIMIT_S)
        interrupt(running)
        assert running.wait(LIMIT_S) == 130
        assert printed().splitlines()[-1] == "Interrupted."
        assert "Traceback" not in printed()
    assert {path.name for path in (tmp_path / "cache").iterdir()} == {"lock"}


@pytest.mark.parametrize("number", [0, 1, 8], ids=["no model yet", "the first model", "many models"])
def test_a_guard_that_is_killed_during_the_start_leaves_nothing(number: int) -> None:
    killed: list[int] = []

    def progress(step: str, fraction: float | None) -> None:
        if step == "Starting Triton" and not killed:
            wait_for(lambda: len(stubs_of(triton.log_path.stem)) >= number, LIMIT_S)
            assert triton._guard is not None
            triton._guard.kill()
            killed.append(number)

    triton = EmbeddedTriton(grace_s=0, progress=progress)
    with pytest.raises(StartError, match="before it was ready"):
        triton.start()
    assert killed
    assert left_of(triton.log_path.stem) == []
