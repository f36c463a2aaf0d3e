"""Says whether smaller cases still fail, by playing them, until its time is over; remembers those that did."""

from __future__ import annotations

import time
from collections.abc import Sequence

from triton_users.replay.case import Case
from triton_users.replay.player import Seen, ServerGone, Stage

PATIENCE = 4
"""How many times as many plays, and as long, a smaller case gets as it took to see the failure before."""
SLOT_WAIT_S = 8.0
"""How long a sequence may wait for the slot of one that failed before it had ended, in seconds: a little more than the
idle limit of most models, 5 s or 7 s."""


def ladder(failed: Sequence[Case], most: int) -> list[Case]:
    """At most so many of these cases, the last one first and the first one last."""
    last = len(failed) - 1
    return [failed[last - step * last // max(1, most - 1)] for step in range(min(most, len(failed)))]


class Search:
    """Whether smaller cases still fail, until its time is over."""

    def __init__(self, stage: Stage, case: Case, seen: Seen, limit_s: float) -> None:
        self._stage, self.seen = stage, seen
        self._began = time.monotonic()
        self._end = self._began + limit_s
        self.tried = 0
        self.failed = [case]
        """Cases that failed, each smaller than the one before."""
        self._plays, self._seconds = float(seen.plays), seen.elapsed_s
        self._known: dict[str, bool] = {}

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end

    def fails(self, case: Case, least_plays: int = 20, least_s: float = 1.0) -> bool:
        """Whether it fails in the same way within a few times of what the last one took; never when time is over."""
        key = repr(case)
        if key in self._known or self.over:
            return self._known.get(key, False)
        self.tried += 1
        plays = max(least_plays, round(PATIENCE * self._plays))
        limit_s = min(self._end - time.monotonic(), least_s + PATIENCE * self._seconds)
        try:
            wait_s = min(SLOT_WAIT_S, self._end - time.monotonic() - limit_s)
            seen = self._stage.until_it_fails(
                case, plays=plays, limit_s=limit_s, kind=self.seen.kind, wait_s=max(0.0, wait_s)
            )
        except ServerGone as gone:
            print(f"No smaller case is tried: {gone}", flush=True)
            self._end = time.monotonic()
            return False
        if seen is not None:
            self.seen = seen
            self.failed.append(case)
            # What came soon by luck must not make the next one's time short.
            self._plays = max(seen.plays, self._plays / 2)
            self._seconds = max(seen.elapsed_s, self._seconds / 2)
            print(f"  fails: {case}", flush=True)
        self._known[key] = seen is not None
        return seen is not None
