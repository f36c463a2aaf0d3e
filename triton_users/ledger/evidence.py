"""The failures that are kept to be read: the first ones and the last ones of each scenario. Plain values, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT_FIRST = 5
KEPT_LAST = 5
"""Failures kept of each scenario: its first ones, which began it, and its last ones. Picked arbitrarily."""


def without_others(record: Mapping[str, Any]) -> dict[str, Any]:
    """A failure's record without the runs that went on beside it: those are for a machine, which plays it again."""
    return {name: value for name, value in record.items() if name != "under_way"}


@dataclass(slots=True)
class Evidence:
    """One scenario's failures, the first and the last ones; `seen` counts them all.

    A failure is a dict: "scenario", "worker", "at_s" (seconds since the worker began), "reason", "record" (what
    reproduces it).
    """

    seen: int = 0
    first: list[dict[str, Any]] = field(default_factory=list)
    last: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_LAST))

    def keep(self, failure: dict[str, Any]) -> None:
        """Take one more failure in."""
        self.seen += 1
        if len(self.first) < KEPT_FIRST:
            self.first.append(failure)
        else:
            self.last.append(failure)

    @property
    def dropped(self) -> int:
        """How many failures were seen and not kept."""
        return self.seen - len(self.first) - len(self.last)

    def later(self, seconds: float) -> Evidence:
        """The same with every failure's time moved."""
        first, last = ([{**f, "at_s": f["at_s"] + seconds} for f in kept] for kept in (self.first, self.last))
        return Evidence(self.seen, first, deque(last, maxlen=KEPT_LAST))

    def dump(self) -> list[Any]:
        """Plain values, in the order of the fields."""
        return [self.seen, list(self.first), list(self.last)]

    @classmethod
    def load(cls, dumped: list[Any]) -> Evidence:
        """The evidence that was dumped. Raises ValueError when it is none."""
        seen, first, last = dumped
        return cls(seen, list(first), deque(last, maxlen=KEPT_LAST))

    @classmethod
    def together(cls, parts: Iterable[Evidence]) -> Evidence:
        """Several workers' evidence of one scenario as one, in the order of the time."""
        merged = cls()
        kept: list[dict[str, Any]] = []
        for part in parts:
            merged.seen += part.seen
            kept += [*part.first, *part.last]
        kept.sort(key=lambda failure: failure["at_s"])
        merged.first = kept[:KEPT_FIRST]
        merged.last.extend(kept[KEPT_FIRST:])
        return merged
