"""What the pages are told: bounded cuts of a run's report. Pure functions; the report is `report.build_report`'s."""

from __future__ import annotations

from typing import Any

MAX_FAILURES = 30
"""Failures told with their evidence; about 1.5 kB each. report.json has all that were kept."""
MAX_FIRST = 15
"""How many of them are the first ones of their scenarios, which tell most; the others are the newest."""
MAX_FINDINGS = 40
"""Newest stretches of time told in which the client was the bottleneck."""

_SERIES = ("requests_per_s", "p50_ms", "p99_ms", "runs", "failures", "expected_deadlines")
_TABLE_LEFT_OUT = ("rows", "evidence")
_ONCE = ("state", "started", "as_of", "duration_s", "reproduce", "verdict", "totals")
_EXACT = 2**53 - 1
"""The largest integer that JavaScript's numbers hold exactly; correlation ids and seeds go beyond it."""


def table(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The scenarios with all their counts, without rows and evidence."""
    return [
        {name: value for name, value in scenario.items() if name not in _TABLE_LEFT_OUT}
        for scenario in report["scenarios"]
    ]


def live(report: dict[str, Any], *, since_s: float, failures_known: int) -> dict[str, Any]:
    """What the live page needs beyond what it has.

    `since_s`: only points that end later, in seconds of the run. `failures_known`: how many failures the page has
    heard of; when there are no others, "failures" is None.
    """
    seen = sum(scenario["evidence"]["seen"] for scenario in report["scenarios"])
    found = report["selfcheck"]["findings"]
    return {
        **{name: report[name] for name in _ONCE},
        "seed": exact(report["seed"]),
        "server": {name: report["server"].get(name, "") for name in ("name", "version", "address")},
        "scenarios": table(report),
        "points": points(report["timeline"], since_s),
        "failures_seen": seen,
        "failures": None if seen == failures_known else exact(failures(report)),
        "workers": [_worker(worker) for worker in report["workers"]],
        "findings": found[-MAX_FINDINGS:],
        "findings_left_out": report["selfcheck"]["findings_left_out"] + max(0, len(found) - MAX_FINDINGS),
    }


def points(timeline: list[dict[str, Any]], since_s: float) -> dict[str, Any]:
    """The points that end after `since_s`, by column: one list for each value, all of the same length.

    A scenario that a point does not have is None there.
    """
    chosen = [point for point in timeline if point["end_s"] > since_s]
    names = dict.fromkeys(name for point in chosen for name in point["scenarios"])
    return {
        **{name: [point[name] for point in chosen] for name in ("start_s", "end_s", "users", "open_sequences")},
        "scenarios": {
            name: {series: [point["scenarios"].get(name, {}).get(series) for point in chosen] for series in _SERIES}
            for name in names
        },
    }


def failures(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Each scenario's first failure and the newest of the others, newest first, at most MAX_FAILURES.

    "first" says which is its scenario's first; of those, the earliest MAX_FIRST are told.
    """
    kept = [scenario["evidence"]["failures"] for scenario in report["scenarios"] if scenario["evidence"]["failures"]]
    firsts = sorted((failure for failure, *_ in kept), key=_at_s)[:MAX_FIRST]
    others = sorted((failure for _, *later in kept for failure in later), key=_at_s, reverse=True)
    told = [{**failure, "first": True} for failure in firsts]
    told += [{**failure, "first": False} for failure in others[: MAX_FAILURES - len(firsts)]]
    return sorted(told, key=_at_s, reverse=True)


def _at_s(failure: dict[str, Any]) -> float:
    return float(failure["at_s"])


def exact(value: Any) -> Any:
    """`value` with each integer that a browser would round as text."""
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return str(value) if isinstance(value, int) and abs(value) > _EXACT else value


def _worker(worker: dict[str, Any]) -> dict[str, Any]:
    """One worker with the newest of its windows only."""
    windows = worker["windows"]
    return {
        **{name: worker[name] for name in ("worker", "state", "last_seen_s", "runs", "requests")},
        "window": windows[-1] if windows else None,
    }
