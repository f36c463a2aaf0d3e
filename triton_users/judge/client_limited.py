"""Where a client was too slow to be believed, decided from what its workers saw of themselves. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import groupby
from typing import Any

from triton_users.declaration import option
from triton_users.ledger import Histogram, WorkerState

CROWDED_PERCENT = 10.0
"""Waiting for a CPU for more than this share of a window is reported as a cause."""
MAX_TIMES = 5
"""Stretches of time that one sentence names."""


def _limit(default: float, help: str, *, what: str, unit: str = "ms", high: float = 3_600_000) -> Any:
    """A field of Limits; its option is `--max-` and its name."""
    said = f"Beyond this the client is said to be the bottleneck. {help} 0: off."
    return option(default, said, unit=unit, low=0, high=high, prefix="max_", label=f"limit of {what}")


@dataclass(frozen=True)
class Limits:
    """Beyond which values the client is said to have been the bottleneck. A 0 turns a limit off."""

    event_loop_lag_ms: float = _limit(
        50.0,
        "99th percentile in 5 s of how late the event loop wakes a greenlet, which adds as much to a latency.",
        what="event-loop lag",
    )
    cpu_percent: float = _limit(
        95.0,
        "CPU time of one process in 5 s, out of one core: all that one gevent process can use.",
        what="CPU",
        unit="percent",
        high=10_000,
    )
    gc_pause_ms: float = _limit(
        50.0,
        "The longest garbage collection in 5 s: every user of the process stands still.",
        what="garbage collection pause",
    )
    queue_time_ms: float = _limit(
        50.0,
        "99th percentile in 5 s of the time between a call and its first byte on the socket.",
        what="queue time",
    )


@dataclass(slots=True)
class Window:
    """What a stretch of time showed at its worst, see `Limits`. Times are the node's own, in seconds."""

    start_s: float
    end_s: float
    event_loop_lag_ms: float
    cpu_percent: float
    gc_pause_ms: float
    queue_time_ms: float
    rss_mib: float
    """Resident memory of the process. It has no limit: what is much depends on the tensors."""
    cpu_wait_percent: float
    """Share of the window in which the process was ready to run but had no CPU. It has no limit: it tells why another
    value is high, the process itself or the machine it shares."""

    def absorb(self, later: Window) -> None:
        """Cover the next window's time as well, keeping the worse of each value."""
        self.end_s = later.end_s
        for name in (*LIMITED, "rss_mib", "cpu_wait_percent"):
            setattr(self, name, max(getattr(self, name), getattr(later, name)))


LIMITED = tuple(field.name for field in fields(Limits))
LABELS: Mapping[str, tuple[str, str]] = {
    "event_loop_lag_ms": ("event-loop lag (p99)", "ms"),
    "cpu_percent": ("CPU", "% of a core"),
    "gc_pause_ms": ("garbage collection pause", "ms"),
    "queue_time_ms": ("queue time (p99)", "ms"),
}
"""Each limit's name and unit, for people."""


@dataclass(frozen=True)
class Finding:
    """A stretch of time in which one worker was client-limited, for one cause."""

    worker: str
    what: str
    """One of the names of `Limits`."""
    worst: float
    limit: float
    start_s: float
    """Seconds into the run."""
    end_s: float
    cpu_wait_percent: float
    """The worst of its windows, see `Window`."""

    def __str__(self) -> str:
        label, unit = LABELS[self.what]
        when = f"{hms(self.start_s)} to {hms(self.end_s)}"
        return f"worker {self.worker}, {when}: {label} {digits(self.worst)} {unit}, limit {self.limit:g}"


def windows_of(state: WorkerState) -> list[Window]:
    """One worker's windows in seconds of the run instead of its own."""
    shift_s = state.began_s
    return [
        Window(max(0.0, start + shift_s), end + shift_s, *rest)
        for start, end, *rest in state.selfcheck.get("windows", ())
    ]


def event_loop_lag(state: WorkerState) -> Histogram:
    """One worker's event-loop lag over the whole run, a sample every 50 ms; empty where it did not tell."""
    dumped = state.selfcheck.get("event_loop_lag")
    return Histogram.load(dumped) if dumped else Histogram()


def findings(
    workers: Iterable[WorkerState], limits: Limits, begun_s: float = 0.0, ended_s: float = math.inf
) -> list[Finding]:
    """Where a limit was passed: one finding for each worker, cause and unbroken stretch of time, in order of time.

    Of the windows whose middle is between `begun_s` and `ended_s`, in seconds of the run.
    """
    found: list[Finding] = []
    for state in workers:
        windows = [each for each in windows_of(state) if begun_s <= (each.start_s + each.end_s) / 2 <= ended_s]
        for what in LIMITED:
            if limit := getattr(limits, what):
                found += _stretches(state.worker, what, limit, windows)
    return sorted(found, key=lambda finding: (finding.start_s, finding.worker))


def _stretches(worker: str, what: str, limit: float, windows: list[Window]) -> Iterable[Finding]:
    for over, stretch in groupby(windows, key=lambda window: getattr(window, what) > limit):
        if over:
            first, *rest = stretch
            worst = replace(first)
            for window in rest:
                worst.absorb(window)
            yield Finding(worker, what, getattr(worst, what), limit, worst.start_s, worst.end_s, worst.cpu_wait_percent)


def sentences(found: Iterable[Finding]) -> list[str]:
    """One sentence for each worker and cause: what was passed by how much, and when."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in found:
        groups.setdefault((finding.worker, finding.what), []).append(finding)
    lines = []
    for (worker, what), group in groups.items():
        label, unit = LABELS[what]
        worst = max(finding.worst for finding in group)
        times = ", ".join(f"{hms(finding.start_s)} to {hms(finding.end_s)}" for finding in group[:MAX_TIMES])
        if len(group) > MAX_TIMES:
            times += f" and {len(group) - MAX_TIMES} more times, the last one until {hms(group[-1].end_s)}"
        waited = max(finding.cpu_wait_percent for finding in group)
        cause = f"; it waited for a CPU up to {waited:.0f} % of the time" if waited > CROWDED_PERCENT else ""
        lines.append(
            f"client-limited: {label} on worker {worker} was up to "
            f"{digits(worst)} {unit} (limit {group[0].limit:g}) from {times}{cause}"
        )
    return lines


def digits(value: float) -> str:
    """A measured value with three digits, thousands marked."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def hms(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = int(seconds + 0.5)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
