"""The arrivals of the whole cluster, block by block, each computed from its number alone. Knows no clock, no workers.

Every worker computes the whole cluster's schedule and takes its share of it, so that the union of all shares is that
schedule exactly, however workers come and go. A block of 1,024 arrivals takes some 50 us; one in the middle of a long
run is found without those before it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from triton_users.arrivals.rate import Rate, Times

BLOCK = 1_024
"""Arrivals of a block. A longer one would hold up those that are due while it is made."""

_LENGTHS = 4_096
"""Lengths of blocks that are drawn at once."""


@dataclass(frozen=True)
class Block:
    """Consecutive arrivals of a schedule."""

    first: int
    """The number of the first of them, from 0."""
    times_s: Times
    """When each is due, in seconds from the schedule's beginning, ascending."""
    lots: Times | None = None
    """For each a random number under 1 that says whose it is; None: they are dealt out in turn."""


class Schedule(Protocol):
    """The arrivals of the whole cluster."""

    def block(self, index: int) -> Block | None:
        """Those of this block, from 0; None behind the last one."""
        ...

    def block_at(self, at_s: float) -> int:
        """The first block that may have an arrival that is due then or later."""
        ...


class Even:
    """`--arrivals constant`: the n-th of a second is due after n/rate of it; in a ramp the distances change with it."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate

    def block(self, index: int) -> Block | None:
        first = index * BLOCK
        times_s = self._rate.when(np.arange(first, first + BLOCK, dtype=np.float64))
        return _cut_off(first, times_s, None)

    def block_at(self, at_s: float) -> int:
        return max(0, int(self._rate.due(at_s)) // BLOCK)


class Renewal:
    """`--arrivals gamma:K`, and `poisson`, which is K = 1: independent random distances, Gamma(K) of mean 1/rate.

    A ramp stretches them. The length of a whole block is drawn first, a Gamma(K * BLOCK), and then how it is divided,
    which for Gamma distances is independent of it: so any block is found by adding up the lengths of those before.
    """

    def __init__(self, rate: Rate, shape: float, seed: Sequence[int], *, by_lot: bool) -> None:
        """`by_lot`: the share of each worker is random too. Of a Poisson process it is one then (thinning)."""
        self._rate = rate
        self._shape = shape
        self._seed = [part & 0xFFFFFFFF for number in seed for part in (number, number >> 32)]
        self._by_lot = by_lot
        self._ends = np.empty(0)
        """Where each block ends that was asked for so far, in arrivals that are due by then."""
        self._lengths = _generator([*self._seed, 0])

    def block(self, index: int) -> Block | None:
        while len(self._ends) <= index:
            self._draw_lengths()
        begins = float(self._ends[index - 1]) if index else 0.0
        if begins >= self._rate.total:
            return None
        draw = _generator([*self._seed, 1, index & 0xFFFFFFFF, index >> 32])
        parts = np.cumsum(draw.standard_gamma(self._shape, BLOCK))
        lots = draw.random_sample(BLOCK) if self._by_lot else None
        due = begins + parts * ((float(self._ends[index]) - begins) / parts[-1])
        return _cut_off(index * BLOCK, self._rate.when(due), lots)

    def block_at(self, at_s: float) -> int:
        due = self._rate.due(at_s)
        while not len(self._ends) or self._ends[-1] < due:
            self._draw_lengths()
        return int(np.searchsorted(self._ends, due, side="left"))

    def _draw_lengths(self) -> None:
        lengths = self._lengths.standard_gamma(self._shape * BLOCK, _LENGTHS) / self._shape
        last = float(self._ends[-1]) if len(self._ends) else 0.0
        self._ends = np.concatenate([self._ends, last + np.cumsum(lengths)])


class Trace:
    """`--arrivals FILE`: the times that stand in a file."""

    def __init__(self, times_s: Times) -> None:
        self._times_s = times_s

    def block(self, index: int) -> Block | None:
        first = index * BLOCK
        return _cut_off(first, self._times_s[first : first + BLOCK], None)

    def block_at(self, at_s: float) -> int:
        return int(np.searchsorted(self._times_s, at_s, side="left")) // BLOCK


def _cut_off(first: int, times_s: Times, lots: Times | None) -> Block | None:
    """Without what is never due."""
    count = int(np.searchsorted(times_s, math.inf, side="left"))
    return Block(first, times_s[:count], None if lots is None else lots[:count]) if count else None


def _generator(seed: Sequence[int]) -> np.random.RandomState:
    """numpy promises that this one draws the same on all its versions, which those of workers may be."""
    return np.random.RandomState(np.array(seed, dtype=np.uint32))
