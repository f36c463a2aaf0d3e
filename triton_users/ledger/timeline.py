"""A run's history in a fixed number of points: older points are merged, never dropped. Knows no clock and no Locust.

    timeline = Timeline()
    change = collector.merge(snapshot, now_s)
    if change:
        timeline.add(change)
    timeline.gauge(now_s, users=..., open_sequences=...)     # now and then, with collector.gauges(now_s)

Runs, failures and deadlines count in the point in which their snapshot came. Requests are spread evenly over the time
that the snapshot covers: snapshots come every few seconds, and without this a point that meets two of them would show
twice the throughput. Latencies are kept as histograms a quarter as fine as the ledger's: a quantile is within 3.2 %, or
2 us.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from triton_users.ledger import Change, Histogram, Row
from triton_users.ledger.histogram import bounds_us

CAPACITY = 720
"""Points kept: a pixel or two each in a chart. With nine busy scenarios they take about 5 MiB."""
RECENT = 240
"""The newest points, which keep their full resolution (20 minutes at 5 s) for the live view."""
INTERVAL_S = 5.0
"""What a new point covers, in seconds: at least as long as a worker takes between two reports (Locust's 3 s)."""
_COARSER = 2
"""Bits by which a bucket key is coarser here than in the ledger."""


class Buckets:
    """A histogram for keeping, which never changes: two flat arrays, 10 bytes for each bucket in use."""

    __slots__ = ("_counts", "_keys", "_known")

    def __init__(self, items: Iterable[tuple[int, int]] = ()) -> None:
        """`items` are (coarse key, count), ascending."""
        self._keys = array("H")
        self._counts = array("Q")
        self._known: dict[float, float | None] = {}
        for key, count in items:
            self._keys.append(key)
            self._counts.append(count)

    @classmethod
    def of(cls, histogram: Histogram) -> Buckets:
        """The histogram with four neighbouring buckets made one."""
        coarse: dict[int, int] = {}
        for key, count in histogram:
            coarse[key >> _COARSER] = coarse.get(key >> _COARSER, 0) + count
        return cls(coarse.items())

    def plus(self, other: Buckets) -> Buckets:
        """Both together."""
        if not other._keys:
            return self
        merged = dict(zip(self._keys, self._counts, strict=True))
        for key, count in zip(other._keys, other._counts, strict=True):
            merged[key] = merged.get(key, 0) + count
        return Buckets(sorted(merged.items()))

    @property
    def total(self) -> int:
        """How many values."""
        return sum(self._counts)

    def quantile_us(self, q: float) -> float | None:
        """The middle of the bucket with the value at this rank (nearest rank); None when empty. Remembered."""
        if q not in self._known:
            self._known[q] = self._quantile_us(q)
        return self._known[q]

    def _quantile_us(self, q: float) -> float | None:
        rank = max(1, math.ceil(q * self.total))
        for key, count in zip(self._keys, self._counts, strict=True):
            rank -= count
            if rank <= 0:
                low, _ = bounds_us(key << _COARSER)
                top, width = bounds_us((key << _COARSER) + 2**_COARSER - 1)
                return (low + top + width - 1) / 2
        return None


@dataclass(slots=True)
class Slice:
    """One scenario in one point."""

    runs: int = 0
    failures: int = 0
    expected_deadlines: int = 0
    requests: float = 0.0
    """Requests that were answered, as the rows count them; not whole where a snapshot covers two points."""
    latency: Buckets = field(default_factory=Buckets)

    def add(self, other: Slice) -> None:
        self.runs += other.runs
        self.failures += other.failures
        self.expected_deadlines += other.expected_deadlines
        self.requests += other.requests
        self.latency = self.latency.plus(other.latency)


@dataclass(slots=True)
class Point:
    """A stretch of the run."""

    start_s: float
    """Seconds into the run."""
    end_s: float
    scenarios: dict[str, Slice] = field(default_factory=dict)
    gauges: dict[str, int] = field(default_factory=dict)
    """The highest value of each gauge seen in this stretch."""
    arrivals: dict[str, float] = field(default_factory=dict)
    """How many arrivals of an open loop were `intended`, `issued` and `missed`; empty in a closed one."""
    _dumped: dict[str, Any] | None = None

    @property
    def span_s(self) -> float:
        return self.end_s - self.start_s

    def slice(self, scenario: str) -> Slice:
        """The scenario's slice, to be changed."""
        self._dumped = None
        found = self.scenarios.get(scenario)
        if found is None:
            found = self.scenarios[scenario] = Slice()
        return found

    def absorb(self, later: Point) -> None:
        """Cover the next point's time as well."""
        self.end_s = later.end_s
        self._dumped = None
        for name, part in later.scenarios.items():
            self.slice(name).add(part)
        self.note(later.gauges)
        for what, number in later.arrivals.items():
            self.arrive(what, number)

    def arrive(self, what: str, number: float) -> None:
        """So many more arrivals were `intended`, `issued` or `missed`."""
        self._dumped = None
        self.arrivals[what] = self.arrivals.get(what, 0.0) + number

    def note(self, gauges: Mapping[str, int]) -> None:
        """Keep the higher of each gauge's values."""
        self._dumped = None
        for name, value in gauges.items():
            self.gauges[name] = max(value, self.gauges.get(name, value))

    def dump(self, end_s: float) -> dict[str, Any]:
        """The point as the report has it, cut off at `end_s`; remembered, since most points never change again."""
        if end_s < self.end_s:
            return _dump(self, end_s)
        if self._dumped is None:
            self._dumped = _dump(self, self.end_s)
        return self._dumped


class Timeline:
    """The points of one run, oldest first, without gaps."""

    def __init__(self, interval_s: float = INTERVAL_S, capacity: int = CAPACITY, recent: int = RECENT) -> None:
        self._interval_s = interval_s
        self._capacity = capacity
        self._recent = recent
        self.points: list[Point] = []

    def add(self, change: Change) -> None:
        """Take in what a snapshot brought."""
        counted = change.counted
        self._reach(change.now_s)
        here = self._index(change.now_s)
        spread = self._spread(change.now_s - change.span_s, change.now_s)
        for name, counts in counted.scenarios.items():
            part = self.points[here].slice(name)
            part.runs += counts.runs
            part.failures += counts.failed
            part.expected_deadlines += counts.expected_deadlines
        rows: dict[str, Row] = {}
        for (name, _), row in counted.rows.items():
            rows.setdefault(name, Row()).add(row)
        for name, row in rows.items():
            part = self.points[here].slice(name)
            part.latency = part.latency.plus(Buckets.of(row.latency))
            for point, share in spread:
                point.slice(name).requests += row.answered * share
        if counted.arrivals.ended:
            for point, share in spread:
                point.arrive("issued", counted.arrivals.issued * share)
                point.arrive("missed", counted.arrivals.missed * share)

    def intended(self, arrivals: int, start_s: float, end_s: float) -> None:
        """So many arrivals of an open loop were due between these times."""
        self._reach(end_s)
        for point, share in self._spread(start_s, end_s):
            point.arrive("intended", arrivals * share)

    def gauge(self, now_s: float, values: Mapping[str, int]) -> None:
        """Note values of this moment; a point shows the highest it saw."""
        self._reach(now_s)
        self.points[self._index(now_s)].note(values)

    def reset(self) -> None:
        """Forget everything."""
        self.points.clear()

    def dump(self, end_s: float) -> list[dict[str, Any]]:
        """The points as the report has them (docs/report.md), the last one cut off at `end_s`."""
        return [point.dump(end_s) for point in self.points if point.start_s < end_s]

    def _index(self, now_s: float) -> int:
        starts = bisect_right(self.points, now_s, key=lambda point: point.start_s)
        return max(0, starts - 1)

    def _reach(self, now_s: float) -> None:
        """Make points until one holds `now_s`, and merge older ones beyond the capacity."""
        if not self.points:
            self.points.append(Point(0.0, self._interval_s))
        last = self.points[-1]
        if now_s - last.end_s > self._recent * self._interval_s:
            # Nothing came for longer than the recent points cover: one point is enough for that gap.
            self.points.append(Point(last.end_s, now_s - (now_s - last.end_s) % self._interval_s))
        while now_s >= self.points[-1].end_s:
            start = self.points[-1].end_s
            self.points.append(Point(start, start + self._interval_s))
        while len(self.points) > self._capacity:
            self._merge_two()

    def _merge_two(self) -> None:
        """Merge the two neighbours among the older points that make the shortest new one; of several, the oldest."""
        older = len(self.points) - self._recent
        left = min(range(older - 1), key=lambda i: self.points[i + 1].end_s - self.points[i].start_s)
        self.points[left].absorb(self.points.pop(left + 1))

    def _spread(self, start_s: float, end_s: float) -> list[tuple[Point, float]]:
        """The points between `start_s` and `end_s`, and the share of that time that each has."""
        start_s = max(start_s, 0.0)
        here = self._index(end_s)
        if end_s <= start_s:
            return [(self.points[here], 1.0)]
        found = []
        for point in self.points[self._index(start_s) : here + 1]:
            shared = min(point.end_s, end_s) - max(point.start_s, start_s)
            if shared > 0:
                found.append((point, shared / (end_s - start_s)))
        return found


def _dump(point: Point, end_s: float) -> dict[str, Any]:
    span_s = end_s - point.start_s
    return {
        "start_s": round(point.start_s, 3),
        "end_s": round(end_s, 3),
        **{name: point.gauges.get(name) for name in ("users", "open_sequences")},
        **{f"{what}_per_s": _per_s(point.arrivals.get(what), span_s) for what in ("intended", "issued", "missed")},
        "scenarios": {
            name: {
                "runs": part.runs,
                "failures": part.failures,
                "expected_deadlines": part.expected_deadlines,
                "requests_per_s": round(part.requests / span_s, 3) if span_s > 0 else 0.0,
                "p50_ms": _ms(part.latency.quantile_us(0.5)),
                "p99_ms": _ms(part.latency.quantile_us(0.99)),
            }
            for name, part in point.scenarios.items()
        },
    }


def _per_s(number: float | None, span_s: float) -> float | None:
    return None if number is None or span_s <= 0 else round(number / span_s, 3)


def _ms(value_us: float | None) -> float | None:
    return None if value_us is None else round(value_us / 1e3, 3)
