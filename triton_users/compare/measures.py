"""What two sides are compared by, taken out of the reports of their runs. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

Report = Mapping[str, Any]

WARM_UP = 0.2
"""Share of a saved report's time that is left out at its beginning."""
STRETCHES = 10
"""Parts that the rest of it is cut into."""
MEMORY = "server_memory_mib"
"""Where a round's report carries what the server's processes had at its end, where they are processes of ours."""
BETWEEN_STARTS = 0.03
"""Of the memory of an embedded server: how its allocator lays out the same requests is settled early, by chance."""


@dataclass(frozen=True)
class Measure:
    """One thing both sides have."""

    name: str
    unit: str
    less_is_better: bool
    of: Callable[[Report], float | None]
    between_starts: float = 0.0
    """The share by which it differs from one start of the same server to the next, where rounds cannot show that."""


def _latency(quantile: str) -> Callable[[Report], float | None]:
    return lambda report: _number(report["totals"]["latency_ms"][quantile])


def _first_response(quantile: str) -> Callable[[Report], float | None]:
    def of(report: Report) -> float | None:
        return _number(report["totals"].get("measures", {}).get("first_response_ms", {}).get(quantile))

    return of


def _in_server(*parts: str) -> Callable[[Report], float | None]:
    """A mean request's time in the server, over all models by how often each was asked."""

    def of(report: Report) -> float | None:
        models = [each for each in report.get("server_side", {}).get("models", ()) if each["success"]]
        known = [each for each in models if all(each[part] is not None for part in parts) and not each["is_step"]]
        requests = sum(each["success"] for each in known)
        total = sum(each[part] * each["success"] for each in known for part in parts)
        return total / requests if requests else None

    return of


MEASURES: Sequence[Measure] = (
    Measure("requests answered", "1/s", False, lambda report: _number(report["totals"]["requests_per_s"])),
    Measure("latency p50", "ms", True, _latency("p50")),
    Measure("latency p95", "ms", True, _latency("p95")),
    Measure("latency p99", "ms", True, _latency("p99")),
    Measure("first response p50", "ms", True, _first_response("p50")),
    Measure("first response p99", "ms", True, _first_response("p99")),
    Measure("queue time in the server, mean", "ms", True, _in_server("queue_ms")),
    Measure("compute time in the server, mean", "ms", True, _in_server("input_ms", "infer_ms", "output_ms")),
    Measure("memory of the server", "MiB", True, lambda report: _number(report.get(MEMORY)), BETWEEN_STARTS),
)


CAPACITY = Measure("load at which the limits hold", "", False, lambda report: _number(report["capacity"]["held"]))
"""Of runs that search for it, which make loads of all kinds: nothing else of them compares."""


def measures_of(report: Report) -> Sequence[Measure]:
    """Those that runs of this kind are compared by."""
    return (CAPACITY,) if report.get("capacity") else MEASURES


def values(measure: Measure, reports: Sequence[Report]) -> list[float]:
    """The measure in those reports that have it, and something to divide by."""
    found = [measure.of(report) for report in reports]
    return [value for value in found if value is not None and value > 0]


def stretches(measure: Measure, report: Report) -> list[float]:
    """The measure in stretches of one long run, as far as its history has it: rate, p50 and p99."""
    column = {"requests answered": "requests_per_s", "latency p50": "p50_ms", "latency p99": "p99_ms"}.get(measure.name)
    points = [each for each in report["timeline"] if each["start_s"] >= WARM_UP * report["duration_s"]]
    each = len(points) // STRETCHES
    if column is None or not each:
        return []
    found = [_of_points(points[i * each : (i + 1) * each], column) for i in range(STRETCHES)]
    known = [value for value in found if value]
    return known if len(known) == len(found) else []


def _of_points(points: Sequence[Mapping[str, Any]], column: str) -> float | None:
    """The rate of all scenarios; a quantile of that with the most requests, whose median over the points it is."""
    totals: dict[str, float] = {}
    for point in points:
        for name, part in point["scenarios"].items():
            totals[name] = totals.get(name, 0.0) + part["requests_per_s"]
    if not totals:
        return None
    if column == "requests_per_s":
        return sum(totals.values()) / len(points)
    busiest = max(totals, key=lambda name: totals[name])
    seen = [part[column] for point in points if (part := point["scenarios"].get(busiest)) and part[column] is not None]
    return median(seen) if seen else None


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
