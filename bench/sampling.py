"""One measured window of one client on one server, and what rounds of them come to.

The server counts the requests and the kernel counts the CPU time, over the same window for every client, so that no
client's own idea of a request or of a second enters the comparison. Latencies are the client's own, over its whole
run: nobody else can see them.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.procs import BenchError, Pins, cpu_seconds, running, tail, wait_for, wake_ups

#: A window begins this many requests, and then the warm-up, after the client's start: perf_analyzer asks some ten
#: questions first.
STARTED_REQUESTS = 50
#: A server has done with the former client when it completes nothing for this many seconds; and how often to look.
SETTLE_S = 0.1
SETTLE_TRIES = 100
#: Seconds a client may take from its start to its first requests, and from the window's end to its own.
LIMIT_S = 60.0


class Server(Protocol):
    """A running server that counts."""

    @property
    def address(self) -> str: ...

    @property
    def pid(self) -> int | None:
        """Its process; None for a server elsewhere, whose CPU time cannot be seen."""

    def completed(self) -> int:
        """Requests answered well since its start."""

    def failed(self) -> int:
        """Requests answered with an error since its start."""


@dataclass(frozen=True)
class Said:
    """What a client says of its whole run."""

    requests: int | None
    """Requests it counted; None where the output does not say for the whole run."""
    errors: int
    """Requests that failed or went unanswered, and anything else it complained of."""
    p50_us: float | None = None
    p90_us: float | None = None
    p99_us: float | None = None
    complaint: str = ""
    """What the errors were."""
    unanswered: int = 0
    """Requests under way when it ended, which the server may have counted: Locust's stop timeout spares most users, but
    kills one that is about to begin its next task."""


class Client(Protocol):
    """A load generator that can be started on a server."""

    @property
    def name(self) -> str: ...

    @property
    def endless(self) -> bool:
        """Whether it runs until SIGTERM; the others end by themselves."""

    def command(self, address: str, seconds: float, folder: Path) -> Sequence[str]:
        """The command line that sends requests, for at least `seconds` or endlessly; its files go to `folder`."""

    def env(self) -> Mapping[str, str]:
        """Environment variables to add."""

    def said(self, exit_code: int, log: Path, folder: Path) -> Said:
        """Read the output of a run that has ended."""


@dataclass(frozen=True)
class Sample:
    """One window. Latencies in microseconds, CPU in microseconds per request."""

    requests: int
    requests_per_s: float
    client_cpu_us: float
    server_cpu_us: float | None
    p50_us: float | None
    p90_us: float | None
    p99_us: float | None
    errors: int
    complaint: str = ""
    seconds: float = 0.0
    """How long the window really was."""
    wake_ups: float = 0.0
    """How often the client's main thread waited and went on, per request."""


def settled(server: Server) -> int:
    """What the server has completed, once it has done with what an earlier client left behind."""
    completed = server.completed()
    for _ in range(SETTLE_TRIES):
        time.sleep(SETTLE_S)
        before, completed = completed, server.completed()
        if completed == before:
            return completed
    raise BenchError(f"the server still completes requests {SETTLE_S * SETTLE_TRIES:.0f} s after the last client")


def measure(server: Server, client: Client, warm_up_s: float, window_s: float, pins: Pins) -> Sample:
    """Run the client once and measure a window of it.

    Raises BenchError when the client does not start sending, or hangs. A client that ends early, fails requests, or
    counts more or fewer requests than the server saw gives a sample with errors.
    """
    with tempfile.TemporaryDirectory(prefix="bench-client-") as name:
        folder = Path(name)
        log = folder / "log"
        first, first_failed = settled(server), server.failed()
        command = client.command(server.address, warm_up_s + window_s + 1.0, folder)
        with running(command, log, pins.client, client.env(), folder) as child:
            wait_for(client.name, lambda: server.completed() >= first + STARTED_REQUESTS, child, log, LIMIT_S)
            time.sleep(warm_up_s)
            before = _Reading.take(server, child.pid)
            time.sleep(window_s)
            after = _Reading.take(server, child.pid)
            early = child.poll() is not None
            if client.endless and not early:
                child.terminate()
            try:
                exit_code = child.wait(LIMIT_S)
            except Exception as exc:
                raise BenchError(f"{client.name}: still running {LIMIT_S:.0f} s late\n{tail(log)}") from exc
            said = client.said(exit_code, log, folder)
        served = server.completed() - first
        failed = server.failed() - first_failed
    requests = after.requests - before.requests
    seconds = after.time_s - before.time_s
    complaints = [said.complaint] if said.complaint else []
    errors = said.errors + failed
    if failed:
        complaints.append(f"the server failed {failed} requests")
    if early:
        errors += 1
        complaints.append("ended before the window did")
    if said.requests is not None and not said.requests <= served <= said.requests + said.unanswered:
        errors += 1
        complaints.append(f"counted {said.requests} requests and {said.unanswered} cut off, the server {served}")
    server_cpu_us = None
    if before.server_s is not None and after.server_s is not None:
        server_cpu_us = 1e6 * (after.server_s - before.server_s) / max(1, requests)
    return Sample(
        requests=requests,
        requests_per_s=requests / seconds,
        client_cpu_us=1e6 * (after.client_s - before.client_s) / max(1, requests),
        server_cpu_us=server_cpu_us,
        p50_us=said.p50_us,
        p90_us=said.p90_us,
        p99_us=said.p99_us,
        errors=errors,
        complaint="; ".join(complaints),
        seconds=seconds,
        wake_ups=(after.wake_ups - before.wake_ups) / max(1, requests),
    )


@dataclass(frozen=True)
class _Reading:
    time_s: float
    requests: int
    client_s: float
    server_s: float | None
    wake_ups: int

    @classmethod
    def take(cls, server: Server, client_pid: int) -> _Reading:
        requests = server.completed()
        server_s = None if server.pid is None else cpu_seconds(server.pid)
        return cls(time.perf_counter(), requests, cpu_seconds(client_pid), server_s, wake_ups(client_pid))


def paired(
    rounds: int,
    sides: Mapping[str, Callable[[], Sample]],
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, list[Sample]]:
    """Measure the sides in turn, A B C A B C …, so that the machine's moods fall on all of them."""
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for number in range(1, rounds + 1):
        for name, side in sides.items():
            sample = side()
            samples[name].append(sample)
            trouble = f"  {sample.errors} errors: {sample.complaint}" if sample.errors else ""
            progress(f"round {number}/{rounds} {name}: {sample.requests_per_s:.0f} requests/s{trouble}")
    return samples


def median_of(samples: Sequence[Sample], field: str) -> float | None:
    """The median of one field over the rounds, or None where a round has no value."""
    values = [getattr(sample, field) for sample in samples]
    if not values or any(value is None for value in values):
        return None
    return float(statistics.median(values))


def ratio_of(ours: Sequence[Sample], peer: Sequence[Sample], field: str) -> float | None:
    """The median of the rounds' ratios ours/peer.

    None, and so no claim, where either side had an error or has no such value, or the rounds do not pair up.
    """
    if len(ours) != len(peer) or any(sample.errors for sample in [*ours, *peer]):
        return None
    ratios = []
    for our, their in zip(ours, peer, strict=True):
        above, below = getattr(our, field), getattr(their, field)
        if above is None or not below:
            return None
        ratios.append(above / below)
    return float(statistics.median(ratios)) if ratios else None
