"""Answers far outside of what their row's answers take, and times without any answer: as one node saw them."""

from __future__ import annotations

from typing import Any

from triton_users.ledger.counts import Row

LATE_S = 1.5
"""An answer that took less, in seconds, is never called late. Picked arbitrarily: more than a busy machine adds."""
LATE_RATIO = 10.0
"""A late answer took this much longer than nine of ten of its row."""
USUAL_AFTER = 100
"""Answers of a row before it is known what is usual in it."""
MAX_LATE = 200
"""Late answers that are kept with their time; further ones are counted."""
SILENT_S = 1.0
"""A shorter time without an answer is not kept, in seconds."""
MAX_SILENCES = 50
"""Times without an answer that are kept: the longest ones."""


class Lateness:
    """One node's. `answered` is on the hot path."""

    __slots__ = ("_last_s", "_late", "_seen", "_silences")

    def __init__(self) -> None:
        self._late: list[list[Any]] = []
        self._seen = 0
        self._silences: list[list[float]] = []
        self._last_s = 0.0

    def answered(self, at_s: float, scenario: str, model: str, row: Row, latency_s: float, floor_s: float) -> None:
        """An answer came at `at_s`; `floor_s`: below it one of this row is never late."""
        silent_s = at_s - self._last_s
        if silent_s >= SILENT_S:
            self._silence(self._last_s, at_s)
        self._last_s = at_s
        if latency_s < floor_s or row.latency.total < USUAL_AFTER:
            return
        usual_s = (row.latency.quantile(0.9) or 0.0) / 1e6
        if latency_s > LATE_RATIO * usual_s:
            self._seen += 1
            if len(self._late) < MAX_LATE:
                self._late.append([scenario, model, at_s, latency_s, usual_s])

    def clear(self) -> None:
        """Forget everything."""
        self._late.clear()
        self._silences.clear()
        self._seen, self._last_s = 0, 0.0

    def dump(self) -> list[Any]:
        """[how many were late, [[scenario, model, when, latency, what nine of ten take], ...], [[from, to], ...]]."""
        return [self._seen, [list(late) for late in self._late], [list(silence) for silence in self._silences]]

    def _silence(self, from_s: float, to_s: float) -> None:
        self._silences.append([from_s, to_s])
        if len(self._silences) > MAX_SILENCES:
            self._silences.remove(min(self._silences, key=lambda each: each[1] - each[0]))
