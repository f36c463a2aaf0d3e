"""One worker's share of the cluster's arrivals, over workers that come and go and rates that change. Knows no clock.

Times are seconds of the cluster: since its first schedule began. What is to change is said with the time from which on
it holds, the same on all workers, so that no arrival falls between two of them or to both.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from operator import neg

import numpy as np
import numpy.typing as npt

from triton_users.arrivals.schedule import Block, Schedule

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """A schedule, and from when on it holds. It ends where the next one begins."""

    begin_s: float
    schedule: Schedule | None
    """None: nothing arrives."""


@dataclass(frozen=True)
class Share:
    """Which arrivals are this worker's, from when on."""

    from_s: float
    index: int
    """This worker's number among those that take a share; below 0: it takes none."""
    count: int

    @property
    def any(self) -> bool:
        return 0 <= self.index < self.count

    def mask(self, block: Block) -> Mask:
        """Which arrivals of a block these are."""
        if not self.any:
            return np.zeros(len(block.times_s), dtype=np.bool_)
        if block.lots is not None:
            mine: Mask = (block.lots * self.count).astype(np.int64) == self.index
        else:
            mine = np.arange(block.first, block.first + len(block.times_s)) % self.count == self.index
        return mine


ALL = Share(-math.inf, 0, 1)
"""Every arrival."""


class Timetable:
    """This worker's arrivals, in their order. `next_s` is when the next one is due; `take` goes on to the one after.

    `change` may be called at any time. What lies before the time of a change stays as it was.
    """

    __slots__ = ("_block", "_numbers", "_part", "_parts", "_shares", "_times", "next_s", "spacing_s")

    def __init__(self, parts: Sequence[Part] = (), shares: Sequence[Share] = (ALL,), from_s: float = 0.0) -> None:
        """Arrivals that are due before `from_s` are not in it."""
        self.next_s = math.inf
        """When the next one is due; infinity when there are no more."""
        self.spacing_s = math.inf
        """The mean distance of those about now."""
        self._times: list[float] = []
        self._numbers: list[int] = []
        """Of the arrivals of a block that are left, the last one first."""
        self._part = self._block = 0
        self._parts = list(parts)
        self._shares = list(shares)
        self._seek(from_s)

    def change(self, now_s: float, parts: Sequence[Part] | None = None, shares: Sequence[Share] | None = None) -> None:
        """Other parts or shares hold than before; what was due by `now_s` and has not been taken stays in it.

        `now_s`: no change is from earlier on than that, or it holds from then on.
        """
        kept = self._before(now_s)
        if parts is not None:
            self._parts = list(parts)
        if shares is not None:
            self._shares = list(shares)
        self._seek(max(now_s, 0.0))
        if kept:
            self._put_first(kept)

    def take(self) -> tuple[float, int]:
        """The next arrival: when it is due, and its number in its schedule."""
        times = self._times
        taken = times.pop(), self._numbers.pop()
        if times:
            self.next_s = times[-1]
        else:
            self._look()
        return taken

    def skip_until(self, before_s: float) -> int:
        """Leave out what is due earlier than that; returns how many those were."""
        skipped = 0
        while self.next_s < before_s:
            kept = bisect_right(self._times, -before_s, key=neg)  # they descend
            skipped += len(self._times) - kept
            del self._times[kept:], self._numbers[kept:]
            self._look()
        return skipped

    def clear(self) -> None:
        """Nothing arrives any more."""
        self._parts, self._part, self._times, self._numbers, self.next_s = [], 0, [], [], math.inf

    def part_at(self, at_s: float) -> int:
        """The number of the schedule that holds then."""
        return max(0, sum(part.begin_s <= at_s for part in self._parts) - 1)

    def _before(self, now_s: float) -> list[tuple[float, int]]:
        kept = []
        while self.next_s < now_s:
            kept.append(self.take())
        return kept

    def _put_first(self, kept: list[tuple[float, int]]) -> None:
        self._times += [time_s for time_s, _ in reversed(kept)]
        self._numbers += [number for _, number in reversed(kept)]
        self.next_s = self._times[-1]

    def _look(self) -> None:
        """Find the next one, in this block or a later one."""
        while not self._times:
            if self._part >= len(self._parts):
                self.next_s = math.inf
                return
            self._load(-math.inf)
        self.next_s = self._times[-1]

    def _seek(self, from_s: float) -> None:
        self._times, self._numbers = [], []
        self._part = self.part_at(from_s)
        part = self._parts[self._part] if self._parts else None
        schedule = part.schedule if part is not None else None
        self._block = schedule.block_at(from_s - part.begin_s) if schedule is not None and part is not None else 0
        while not self._times and self._part < len(self._parts):
            self._load(from_s)
        self._look()

    def _load(self, from_s: float) -> None:
        """The next block of this part or, behind its last one, the first one of the next."""
        part, later = self._parts[self._part], self._parts[self._part + 1 : self._part + 2]
        end_s = later[0].begin_s if later else math.inf
        block = part.schedule.block(self._block) if part.schedule is not None else None
        self._block += 1
        if block is None or block.times_s[0] + part.begin_s >= end_s:
            self._part, self._block = self._part + 1, 0
            return
        last = self._shares[-1]
        if not last.any and block.times_s[0] + part.begin_s >= last.from_s:
            self._part = len(self._parts)
            return
        times_s = block.times_s + part.begin_s
        mine = np.zeros(len(times_s), dtype=np.bool_)
        for place, share in enumerate(self._shares):
            until_s = self._shares[place + 1].from_s if place + 1 < len(self._shares) else math.inf
            mine |= (times_s >= share.from_s) & (times_s < until_s) & share.mask(block)
        mine &= (times_s >= max(from_s, part.begin_s)) & (times_s < end_s)
        self._times = times_s[mine][::-1].tolist()
        self.spacing_s = float(times_s[-1] - times_s[0]) / len(self._times) if self._times else math.inf
        self._numbers = (np.flatnonzero(mine)[::-1] + block.first).tolist()
