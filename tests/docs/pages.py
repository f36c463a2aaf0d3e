"""What the tests of the documentation share."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

NEVER_CLIENT_LIMITED: Mapping[str, str] = {
    f"LOCUST_{name}": "0"
    for name in ("MAX_EVENT_LOOP_LAG_MS", "MAX_CPU_PERCENT", "MAX_QUEUE_TIME_MS", "MAX_GC_PAUSE_MS")
}
"""A client on a machine that tests keep busy is slow, and nothing is compared with a run in which it was the limit."""


def stretched(report: Mapping[str, Any], faster: float = 1.0) -> dict[str, Any]:
    """The report of a run of seconds as that of one of 10 minutes, every answer of which took `faster` as long."""
    longer = deepcopy(dict(report))
    longer["duration_s"] = 600.0
    (point,) = [each for each in longer["timeline"] if any(part["p50_ms"] for part in each["scenarios"].values())][:1]
    for part in point["scenarios"].values():
        for quantile in ("p50_ms", "p99_ms"):
            part[quantile] = part[quantile] and part[quantile] * faster
    longer["timeline"] = [{**point, "start_s": 5.0 * n, "end_s": 5.0 * (n + 1)} for n in range(120)]
    return longer
