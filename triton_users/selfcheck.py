"""Whether this client was fast enough to be believed: hub lag, CPU, garbage collection, memory, send delay.

    check = SelfCheck(clock=node.elapsed_s, send_delay=node.recorder.ledger.delays)
    check.start()                                # a greenlet and a gc callback, until stop()
    recorder.snapshot(..., selfcheck=check.dump())
    findings(collector.workers.values(), limits) # on the master

A node looks at itself 20 times a second and closes a window every 5 seconds; what a window showed is kept as its worst
values, within bounds. Knows gevent, no Locust. It costs about 0.1 % of a core.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import gevent

from triton_users.ledger import Histogram, WorkerState
from triton_users.settings import UsageError

SAMPLE_S = 0.05
"""How often the hub's lag is looked at, in seconds."""
WINDOW_S = 5.0
"""How long one window is, in seconds: a hundred samples, so that a 99th percentile says something."""
MAX_WINDOWS = 200
"""Windows kept; when they are too many, neighbours are made one, keeping the worse value of each."""
MAX_TIMES = 5
"""Stretches of time that one sentence names."""


@dataclass(frozen=True)
class Limits:
    """Beyond which values the client is said to have been the bottleneck. A 0 turns a limit off."""

    hub_lag_ms: float = 50.0
    """99th percentile in a window of how late the gevent hub wakes a greenlet: what it adds to a latency by itself."""
    cpu_percent: float = 95.0
    """CPU time of this process in a window, out of one core: all that one gevent process can use."""
    gc_pause_ms: float = 50.0
    """The longest garbage collection in a window: every user of the process stands still."""
    send_delay_ms: float = 50.0
    """99th percentile in a window of the time between the call and the first byte on the socket."""

    def check(self) -> None:
        """Raise UsageError for the first limit that cannot be used."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < float("inf"):
                raise UsageError(f"the self-check limit {field.name} is {value}; it must be 0 (off) or more")


@dataclass(slots=True)
class Window:
    """What a stretch of time showed at its worst, see `Limits`. Times are the node's own, in seconds."""

    start_s: float
    end_s: float
    hub_lag_ms: float
    cpu_percent: float
    gc_pause_ms: float
    send_delay_ms: float
    rss_mib: float
    """Resident memory of the process. It has no limit: what is much depends on the tensors."""

    def absorb(self, later: Window) -> None:
        """Cover the next window's time as well, keeping the worse of each value."""
        self.end_s = later.end_s
        for name in (*_LIMITED, "rss_mib"):
            setattr(self, name, max(getattr(self, name), getattr(later, name)))


_LIMITED = tuple(field.name for field in fields(Limits))
LABELS: Mapping[str, tuple[str, str]] = {
    "hub_lag_ms": ("hub lag (p99)", "ms"),
    "cpu_percent": ("CPU", "% of a core"),
    "gc_pause_ms": ("garbage collection pause", "ms"),
    "send_delay_ms": ("send delay (p99)", "ms"),
}
"""Each limit's name and unit, for people."""


class SelfCheck:
    """Watches the process it runs in. `start` and `stop` own its greenlet and its gc callback."""

    def __init__(
        self,
        clock: Callable[[], float],
        send_delay: Callable[[], Histogram],
        cpu_s: Callable[[], float] = time.process_time,
    ) -> None:
        """`clock` gives this node's seconds, those of its snapshots; `send_delay` all send delays so far."""
        self._clock = clock
        self._send_delay = send_delay
        self._cpu_s = cpu_s
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._collection_began_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next window begins now."""
        self._windows: list[Window] = []
        self._lag = Histogram()
        self._longest_collection_s = 0.0
        self._delays_before = Histogram()
        self._open_window()

    def start(self) -> None:
        """Begin to watch. Does nothing when it already does."""
        if self._greenlet is None:
            gc.callbacks.append(self._on_collection)
            self._greenlet = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Stop watching. Does nothing when it does not."""
        if self._greenlet is not None:
            gc.callbacks.remove(self._on_collection)
            self._greenlet.kill(block=False)
            self._greenlet = None

    def dump(self) -> dict[str, Any]:
        """The windows so far as plain values, the open one included once it is a second old."""
        windows = [list(asdict(window).values()) for window in self._windows]
        if self._clock() - self._window_began_s >= 1.0:
            windows.append(list(asdict(self._measured()).values()))
        return {"windows": windows}

    def _watch(self) -> None:
        while True:
            due_s = time.perf_counter() + SAMPLE_S
            gevent.sleep(SAMPLE_S)
            self.sample(time.perf_counter() - due_s)

    def sample(self, lag_s: float) -> None:
        """Take one look; `lag_s` is how much later than planned the hub woke us."""
        self._lag.record(int(lag_s * 1e6))
        if self._clock() - self._window_began_s >= WINDOW_S:
            self._windows.append(self._measured())
            if len(self._windows) > MAX_WINDOWS:
                self._windows = _halved(self._windows)
            self._open_window()

    def _open_window(self) -> None:
        self._window_began_s = self._clock()
        self._cpu_began_s = self._cpu_s()
        self._lag.clear()
        self._longest_collection_s = 0.0
        self._delays_before = self._send_delay()

    def _measured(self) -> Window:
        now_s = self._clock()
        lag_us = self._lag.quantile(0.99) or 0.0
        delay_us = self._send_delay().since(self._delays_before).quantile(0.99) or 0.0
        span_s = max(now_s - self._window_began_s, 1e-3)
        return Window(
            start_s=round(self._window_began_s, 3),
            end_s=round(now_s, 3),
            hub_lag_ms=round(lag_us / 1e3, 3),
            cpu_percent=round((self._cpu_s() - self._cpu_began_s) / span_s * 100, 1),
            gc_pause_ms=round(self._longest_collection_s * 1e3, 3),
            send_delay_ms=round(delay_us / 1e3, 3),
            rss_mib=round(rss_mib(), 1),
        )

    def _on_collection(self, phase: str, _: Mapping[str, int]) -> None:
        # Called in the middle of whatever allocates: it touches nothing but two floats of ours.
        if phase == "start":
            self._collection_began_s = time.perf_counter()
        else:
            took_s = time.perf_counter() - self._collection_began_s
            if took_s > self._longest_collection_s:
                self._longest_collection_s = took_s


def _halved(windows: list[Window]) -> list[Window]:
    """The windows with each pair of neighbours made one."""
    for left, right in zip(windows[::2], windows[1::2], strict=False):
        left.absorb(right)
    return windows[::2]


def rss_mib() -> float:
    """Resident memory of this process, in MiB; where /proc does not tell, the most it ever was."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)


@dataclass(frozen=True)
class Finding:
    """A stretch of time in which one worker was not to be trusted, for one cause."""

    worker: str
    what: str
    """One of the names of `Limits`."""
    worst: float
    limit: float
    start_s: float
    """Seconds into the run."""
    end_s: float

    def __str__(self) -> str:
        label, unit = LABELS[self.what]
        when = f"{hms(self.start_s)} to {hms(self.end_s)}"
        return f"worker {self.worker}, {when}: {label} {self.worst:.3g} {unit}, limit {self.limit:g}"


def windows_of(state: WorkerState) -> list[Window]:
    """One worker's windows in seconds of the run instead of its own."""
    shift_s = state.last_seen_s - state.at_s
    return [
        Window(max(0.0, start + shift_s), end + shift_s, *rest)
        for start, end, *rest in state.selfcheck.get("windows", ())
    ]


def findings(workers: Iterable[WorkerState], limits: Limits) -> list[Finding]:
    """Where a limit was passed: one finding for each worker, cause and unbroken stretch of time, in order of time."""
    found: list[Finding] = []
    for state in workers:
        windows = windows_of(state)
        for what in _LIMITED:
            if limit := getattr(limits, what):
                found += _stretches(state.worker, what, limit, windows)
    return sorted(found, key=lambda finding: (finding.start_s, finding.worker))


def _stretches(worker: str, what: str, limit: float, windows: list[Window]) -> Iterable[Finding]:
    worst, start_s, end_s = 0.0, 0.0, 0.0
    for window in windows:
        value = getattr(window, what)
        if value > limit:
            start_s = start_s if worst else window.start_s
            worst, end_s = max(worst, value), window.end_s
        elif worst:
            yield Finding(worker, what, worst, limit, start_s, end_s)
            worst = 0.0
    if worst:
        yield Finding(worker, what, worst, limit, start_s, end_s)


def sentences(found: Iterable[Finding]) -> list[str]:
    """One sentence for each worker and cause: what was passed by how much, and when."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in found:
        groups.setdefault((finding.worker, finding.what), []).append(finding)
    told = []
    for (worker, what), group in groups.items():
        label, unit = LABELS[what]
        worst = max(finding.worst for finding in group)
        times = ", ".join(f"{hms(finding.start_s)} to {hms(finding.end_s)}" for finding in group[:MAX_TIMES])
        if len(group) > MAX_TIMES:
            times += f" and {len(group) - MAX_TIMES} more times, the last one until {hms(group[-1].end_s)}"
        told.append(
            f"latencies are not to be trusted, the client was the bottleneck: {label} on worker {worker} was up to "
            f"{worst:.3g} {unit} (limit {group[0].limit:g}) from {times}"
        )
    return told


def hms(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = int(seconds + 0.5)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
