"""A capacity search's levels as the rows of a table, with latency over load as bars. A pure function of the report."""

from __future__ import annotations

from typing import Any

BAR = 24
"""Characters of the longest bar."""
BEYOND = 2.0
"""A bar that is so many times as long as the longest of a level that held is cut off: what failed may be seconds."""


def rows(capacity: dict[str, Any]) -> list[list[str]]:
    """A row for each measurement, by load: load, answered/s, p50, p99, failed, the bar of p99, what it came to."""
    levels = sorted(capacity["levels"], key=lambda level: (level["load"], level["start_s"]))
    held = [level["p99_ms"] for level in levels if level["outcome"] == "held" and level["p99_ms"] is not None]
    known = held or [level["p99_ms"] for level in levels if level["p99_ms"] is not None]
    scale = BEYOND * max(known, default=1.0)
    return [
        [
            f"{level['load']:,.6g}",
            f"{level['requests_per_s']:,.1f}",
            _ms(level["p50_ms"]),
            _ms(level["p99_ms"]),
            f"{100 * level['failed'] / level['requests']:.3g} %" if level["requests"] else "-",
            _bar(level["p99_ms"], scale),
            level["outcome"],
        ]
        for level in levels
    ]


HEADS = ("Load", "Answered/s", "p50 ms", "p99 ms", "Failed", "p99", "Result")


def _bar(value_ms: float | None, scale_ms: float) -> str:
    if value_ms is None or scale_ms <= 0:
        return ""
    if value_ms > scale_ms:
        return "#" * (BAR - 1) + ">"
    return "#" * max(1, round(BAR * value_ms / scale_ms))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
