"""Child processes of a measurement: started on chosen cores, accounted from /proc, always ended.

Knows no client, no server and no protocol.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Seconds a child gets between SIGTERM and SIGKILL.
GRACE_S = 5.0


class BenchError(Exception):
    """A measurement cannot be made; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Pins:
    """Which cores the server and the client may use; None leaves a side to the scheduler."""

    server: frozenset[int] | None = None
    client: frozenset[int] | None = None

    def describe(self) -> str:
        if self.server is None or self.client is None:
            return "nothing pinned"
        return f"server on {_words(self.server)}, client on {_words(self.client)}"

    def hold(self) -> None:
        """Keep this process, and so whatever it starts, to the cores of both sides: others may be measured beside it.

        Raises BenchError for a side without cores, for cores that this process may not use, and for shared ones.
        """
        if self.server is None and self.client is None:
            return
        if not self.server or not self.client:
            raise BenchError("--server-cores and --client-cores go together, and each is at least one core")
        allowed = os.sched_getaffinity(0)
        if missing := (self.server | self.client) - allowed:
            raise BenchError(f"this process may not use {_words(missing)}, only {_words(allowed)}")
        if shared := self.server & self.client:
            raise BenchError(f"{_words(shared)} cannot be both the server's and the client's")
        os.sched_setaffinity(0, self.server | self.client)


def _words(cores: Set[int]) -> str:
    return f"core{'s' if len(cores) > 1 else ''} {', '.join(map(str, sorted(cores)))}"


def cores(text: str) -> frozenset[int]:
    """Read cores as the kernel writes them: `0-3,8`. ValueError for anything else."""
    ends = [(int(first), int(last or first)) for first, _, last in (part.partition("-") for part in text.split(","))]
    return frozenset(core for first, last in ends for core in range(first, last + 1))


def one_core_each() -> Pins:
    """The first core for the server, the second for the client.

    Raises BenchError on a machine, or under a CPU mask, with fewer than two cores.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchError(f"--pin needs two cores, this process may use {cores}")
    return Pins(frozenset(cores[:1]), frozenset(cores[1:2]))


@contextmanager
def on_cores(cores: frozenset[int] | None) -> Iterator[None]:
    """Children started inside inherit these cores; the calling thread gets its own back afterwards."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start(
    command: Sequence[str],
    log: Path,
    cores: frozenset[int] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, its output in `log`.

    `setpriv` has the kernel kill it when this process dies, so that even `kill -9` of the bench leaves nothing.
    """
    with on_cores(cores), log.open("wb") as output:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
            start_new_session=True,
        )


def end(child: subprocess.Popen[bytes]) -> None:
    """Ask the child to end, then kill its whole session. Returns when the child is gone."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            pass  # the kill below covers it
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nothing of the session is left
    child.wait(GRACE_S)


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    cores: frozenset[int] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """`start`, and `end` on every way out."""
    child = start(command, log, cores, env, cwd)
    try:
        yield child
    finally:
        end(child)


def tree(pid: int) -> list[psutil.Process]:
    """The process and its living descendants; empty when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid: int) -> float:
    """User plus system time of the process tree so far, reaped descendants included.

    The kernel counts in ticks of 10 ms; over a window of 3 s that is 0.3 %.
    """
    total = 0.0
    for process in tree(pid):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def wake_ups(pid: int) -> int:
    """How often the process tree's living threads gave up their core by themselves, to go on later."""
    total = 0
    for process in tree(pid):
        try:
            total += process.num_ctx_switches().voluntary
        except psutil.NoSuchProcess:
            continue
    return total


def wait_for(what: str, ready: Callable[[], bool], child: subprocess.Popen[bytes], log: Path, limit_s: float) -> None:
    """Poll `ready()` until it is true.

    Raises BenchError with the end of the child's log when the child ends or the limit passes first.
    """
    deadline = time.monotonic() + limit_s
    while not ready():
        if child.poll() is not None:
            raise BenchError(f"{what}: the process ended with code {child.returncode}\n{tail(log)}")
        if time.monotonic() > deadline:
            raise BenchError(f"{what}: not ready after {limit_s:.0f} s\n{tail(log)}")
        time.sleep(0.02)


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log, for an error message."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def exit_on_sigterm() -> None:
    """Turn SIGTERM into SystemExit, so that context managers end what they started."""

    def leave(_signum: int, _frame: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, leave)


def free_ports(count: int) -> list[int]:
    """Different ports on loopback that nobody listened on a moment ago."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
