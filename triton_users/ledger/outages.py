"""When a node could not reach the server: from a failed connect until the next answer. Plain values, no clock."""

from __future__ import annotations

from typing import Any

MAX_OUTAGES = 50
"""Outages that are kept; further ones lengthen the last. A report needs no more."""


class Outages:
    """Stretches of time without an answer and with failed connects."""

    __slots__ = ("_spans", "open", "why")

    def __init__(self) -> None:
        self.open = False
        """Whether the server could not be reached the last time; `answered` need not be called otherwise."""
        self.why = ""
        """The last error."""
        self._spans: list[list[float]] = []

    def failed(self, at_s: float, why: str) -> None:
        """A connect failed."""
        self.why = why
        if self.open or len(self._spans) >= MAX_OUTAGES:
            self._spans[-1][1] = at_s
        else:
            self._spans.append([at_s, at_s])
        self.open = True

    def answered(self, at_s: float) -> None:
        """A request was answered: an outage is over."""
        if self.open:
            self._spans[-1][1] = at_s
            self.open = False

    def clear(self) -> None:
        """Forget everything."""
        self.open, self.why = False, ""
        self._spans.clear()

    def dump(self) -> list[Any]:
        """[whether the last one goes on, the last error, [[from, to], ...]], times as they were given."""
        return [self.open, self.why, [list(span) for span in self._spans]]
