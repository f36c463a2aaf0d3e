"""Whether two runs asked the same of their servers, and what they cannot be compared for. Pure functions of reports."""

from __future__ import annotations

from typing import Any

from triton_users.compare.measures import Report

_MAY_DIFFER = ("seed", "perf_analyzer", "triton")
"""Settings that do not change what is asked of a server."""


class Refused(Exception):
    """The two cannot be compared; the message says why."""


def check_alike(a: Report, b: Report) -> None:
    """Raise Refused unless both runs asked the same of their servers."""
    if a["schema"] != b["schema"]:
        raise Refused(f"their reports have different forms (schema {a['schema']} and {b['schema']})")
    for report in (a, b):
        if report["state"] != "finished":
            raise Refused(f"a run that began at {report['started']} did not come to its end: it is {report['state']}")
        if report.get("capacity") and not report["capacity"]["settled"]:
            raise Refused(
                f"the search of a run that began at {report['started']} did not come to its end: "
                f"{report['capacity']['sentence']}. It takes more time (--round-time)"
            )
    for what, (x, y) in {
        "loads": (load_of(a), load_of(b)),
        "models": tuple(sorted(report["server"].get("models", ())) for report in (a, b)),
        "scenarios": tuple(_weights(report) for report in (a, b)),
        "settings": tuple(_settings(report) for report in (a, b)),
        "numbers of CPUs": tuple(report["client"]["cpus"] for report in (a, b)),
        "numbers of users": tuple(_users(report) for report in (a, b)),
    }.items():
        if x != y:
            raise Refused(f"their {what} differ: {_only(x, y)} and {_only(y, x)}")


def load_of(report: Report) -> str:
    """How a run's load was made, in words."""
    capacity, arrivals = report.get("capacity"), report.get("arrivals")
    if capacity:
        return f"a search for the highest number of {capacity['unit']} at which {capacity['limits']} hold"
    if arrivals:
        rates = ", then ".join(str(each["rate"]) for each in arrivals["rates"])
        return f"an open loop ({arrivals['schedule']}{rates and f'; {rates}'})"
    return "a closed loop of users that wait for each answer"


def client_limits(report: Report) -> str:
    """Where the client was the limit in this run, in words; "" where it was not.

    A search for the capacity goes up to where something is the limit, and says itself what that was.
    """
    if capacity := report.get("capacity"):
        return str(capacity["why"]) if capacity["limited_by"] not in ("", "server") else ""
    findings = report["selfcheck"]["findings"]
    return str(findings[0]["text"]) if findings else ""


def _weights(report: Report) -> list[str]:
    return sorted(f"{each['name']} {each['weight']}" for each in report["scenarios"] if each["weight"])


def _settings(report: Report) -> list[str]:
    return sorted(f"{name} {value}" for name, value in report["settings"].items() if name not in _MAY_DIFFER)


def _users(report: Report) -> int:
    """At most; a search goes its own way."""
    if report.get("capacity"):
        return 0
    return max((point["users"] or 0 for point in report["timeline"]), default=0)


def _only(x: Any, y: Any) -> str:
    """What is in x and not in y, for people."""
    if not isinstance(x, list):
        return str(x)
    only = [each for each in x if each not in y]
    return ", ".join(only[:3]) or "none of these"
