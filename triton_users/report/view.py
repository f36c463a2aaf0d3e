"""What the page is given: a run's report whole, or the bounded cuts that follow it live. Pure functions, no markup."""

from __future__ import annotations

import json
from typing import Any

from triton_users.ledger.evidence import without_others
from triton_users.report.text import trend_lines

MAX_FAILURES = 30
"""Failures sent to the live page with their evidence; about 1.5 kB each. report.json has all that were kept."""
MAX_FIRST = 15
"""How many of them are the first ones of their scenarios, which tell most; the others are the newest."""
MAX_FINDINGS = 40
"""Newest stretches of time sent to the live page in which the client was the bottleneck."""
MAX_EXCEPTIONS = 10
"""Texts of exceptions sent to the live page, the most frequent ones."""
MAX_WINDOWS = 400
"""Windows of the self-check in a whole report, of all workers together: 40 bytes each, neighbours are made one."""
MAX_LIVE_ROWS = 60
"""Points of the server's series sent to the live page each time: a series takes 300 bytes then."""
LINE = 100
"""Characters of a failure's record that stand on one line."""

_SERIES = ("requests_per_s", "p50_ms", "p99_ms", "runs", "failures", "expected_deadlines")
_ARRIVALS = ("intended_per_s", "issued_per_s", "missed_per_s")
_TABLE_LEFT_OUT = ("rows", "evidence")
_ONCE = ("state", "started", "as_of", "duration_s", "reproduce", "verdict", "totals")
_WORKER = ("worker", "state", "last_seen_s", "runs", "requests", "event_loop_lag_ms")
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
    seen = _failures_seen(report)
    return {
        **_common(report, since_s, MAX_FINDINGS),
        "server": {name: report["server"].get(name, "") for name in ("name", "version", "address")},
        "failures": None if seen == failures_known else failures(report),
        "exceptions": dict(list(report["exceptions"].items())[:MAX_EXCEPTIONS]),
        "workers": [_worker(worker) for worker in report["workers"]],
        "server_side": {**report["server_side"], "series": fewer(report["server_side"]["series"], MAX_LIVE_ROWS)},
    }


def whole(report: dict[str, Any]) -> dict[str, Any]:
    """The same for a page that is given everything at once, and what only such a page shows."""
    findings = report["selfcheck"]["findings"]
    most = max(10, MAX_WINDOWS // max(1, len(report["workers"])))
    kept = sum(len(scenario["evidence"]["failures"]) for scenario in report["scenarios"])
    return {
        **_common(report, -1.0, len(findings)),
        "server": report["server"],
        "failures": failures(report, most=kept, most_first=kept),
        "exceptions": report["exceptions"],
        "workers": [{**_worker(worker), "windows": windows(worker["windows"], most)} for worker in report["workers"]],
        "server_side": report["server_side"],
        "rows": [{"scenario": each["name"], **row} for each in report["scenarios"] for row in each["rows"]],
        "client": report["client"],
        "settings": exact(report["settings"]),
    }


def _common(report: dict[str, Any], since_s: float, most_findings: int) -> dict[str, Any]:
    selfcheck = report["selfcheck"]
    found = selfcheck["findings"]
    left_out = selfcheck["findings_left_out"] + max(0, len(found) - most_findings)
    return {
        **{name: report[name] for name in _ONCE},
        "arrivals": report.get("arrivals"),
        "capacity": report.get("capacity"),
        "trends": trend_lines(report.get("trends") or {"memory": [], "drift": []}),
        "seed": exact(report["seed"]),
        "scenarios": table(report),
        "points": points(report["timeline"], since_s),
        "failures_seen": _failures_seen(report),
        "limits": selfcheck["limits"],
        "findings": [
            {name: one[name] for name in ("start_s", "end_s", "text")}
            for one in found[max(0, len(found) - most_findings) :]
        ],
        "findings_left_out": left_out,
    }


def _failures_seen(report: dict[str, Any]) -> int:
    return sum(scenario["evidence"]["seen"] for scenario in report["scenarios"])


def points(timeline: list[dict[str, Any]], since_s: float) -> dict[str, Any]:
    """The points that end after `since_s`, by column: a list for each value, or the value itself where all are alike.

    A scenario that a point does not have is None there.
    """
    chosen = [point for point in timeline if point["end_s"] > since_s]
    names = dict.fromkeys(name for point in chosen for name in point["scenarios"])
    return {
        **{name: [point[name] for point in chosen] for name in ("start_s", "end_s")},
        **{name: _column([point[name] for point in chosen]) for name in ("users", "open_sequences")},
        **{name: _column([_brief(point.get(name)) for point in chosen]) for name in _ARRIVALS},
        "scenarios": {name: _series([point["scenarios"].get(name, {}) for point in chosen]) for name in names},
    }


def _series(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One scenario's columns."""
    return {name: _column([_brief(part.get(name)) for part in parts]) for name in _SERIES}


def _column(values: list[Any]) -> Any:
    return values[0] if values and values.count(values[0]) == len(values) else values


def _brief(value: float | None) -> float | None:
    """Three digits of what is drawn: as many as the time line's histograms promise, and half of the bytes."""
    if type(value) is not float or value < 1:
        return value
    return round(value, 2) if value < 10 else round(value, 1) if value < 100 else round(value)


def windows(found: list[dict[str, float]], most: int) -> dict[str, list[float | None]]:
    """A worker's windows by column, neighbours made one with the worse of each value until there are at most `most`."""
    each = -(-len(found) // most) or 1
    groups = [found[i : i + each] for i in range(0, len(found), each)]
    names = [name for name in (found[0] if found else ()) if name != "start_s"]
    worst = {name: [_brief(round(max(window[name] for window in group), 2)) for group in groups] for name in names}
    return {"start_s": [round(group[0]["start_s"], 1) for group in groups], **worst}


def fewer(series: dict[str, Any], most: int) -> dict[str, Any]:
    """The server's series in at most so many points, the newest among them; each is one of theirs, none is a mean."""
    times = series["t_s"]
    each = -(-len(times) // most) or 1
    kept = sorted(range(len(times) - 1, -1, -each))
    return {
        "t_s": [times[i] for i in kept],
        "series": [{**one, "values": [_brief(one["values"][i]) for i in kept]} for one in series["series"]],
    }


def _worker(worker: dict[str, Any]) -> dict[str, Any]:
    """One worker with the newest of its windows, and the worst value it had of each."""
    found = worker["windows"]
    values = [name for name in (found[0] if found else ()) if name not in ("start_s", "end_s")]
    return {
        **{name: worker[name] for name in _WORKER},
        "window": found[-1] if found else None,
        "worst": {name: round(max(window[name] for window in found), 3) for name in values},
    }


def failures(report: dict[str, Any], most: int = MAX_FAILURES, most_first: int = MAX_FIRST) -> list[dict[str, Any]]:
    """Each scenario's first failure and the newest of the others, newest first, at most `most`.

    "first" says which is its scenario's first; of those, the earliest `most_first` are there.
    """
    kept = [scenario["evidence"]["failures"] for scenario in report["scenarios"] if scenario["evidence"]["failures"]]
    firsts = sorted((failure for failure, *_ in kept), key=_at_s)[:most_first]
    others = sorted((failure for _, *later in kept for failure in later), key=_at_s, reverse=True)
    shown = [_failure(failure, True) for failure in firsts]
    shown += [_failure(failure, False) for failure in others[: most - len(firsts)]]
    return sorted(shown, key=_at_s, reverse=True)


def _at_s(failure: dict[str, Any]) -> float:
    return float(failure["at_s"])


def _failure(failure: dict[str, Any], first: bool) -> dict[str, Any]:
    """One failure; its record as text, since a browser would not give it back as it came, without the evidence."""
    record = {name: value for name, value in without_others(failure["record"]).items() if name != "evidence"}
    return {
        **{name: failure[name] for name in ("scenario", "worker", "at_s", "reason")},
        "first": first,
        "evidence": exact(failure["record"].get("evidence") or {}),
        "record": pretty(record),
    }


def pretty(value: Any, indent: str = "") -> str:
    """JSON with what fits into a line on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(line) + len(indent) <= LINE:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(item, deeper)}" for key, item in value.items()]
        return f"{{\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}}}"
    return f"[\n{deeper}" + f",\n{deeper}".join(pretty(item, deeper) for item in value) + f"\n{indent}]"


def exact(value: Any) -> Any:
    """`value` with each integer that a browser would round as text."""
    if isinstance(value, dict):
        return {name: exact(item) for name, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return str(value) if isinstance(value, int) and abs(value) > _EXACT else value
