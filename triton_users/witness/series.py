"""What was sampled of a server over a run, as series of values in a bounded number of points. Judges nothing.

    samples = Samples()
    samples.add(now_s, {MEMORY: 812.4, Key("requests", "", "resnet"): 1041})
    samples.times, samples.columns()              # what statistics, charts and the report read

All values of one moment stand in one row. When there are too many rows, every second one is left out, so that a run of
any length keeps points evenly over its whole time. Counters are kept as what they had come to, never as rates: what is
left out of those loses nothing, since a rate is the difference of any two points.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

CAPACITY = 720
"""Rows kept at most, and half of them at least once there were so many: a pixel or two each in a chart."""
MAX_SERIES = 1_000
"""Different series kept; further ones are left out. With all their rows they take 6 MiB."""


class Key(NamedTuple):
    """What a value is."""

    name: str
    """For instance "memory"."""
    unit: str = ""
    """For instance "MiB"; "" for a count."""
    of: str = ""
    """A model's, a process's or a GPU's name; "" for the server's own."""


class Samples:
    """Rows of values, oldest first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._every = 1
        """Each so many rows that come, one is kept for good."""
        self._seen = 0
        self._times = array("d")
        self._columns: dict[Key, array[float]] = {}

    def add(self, t_s: float, values: Mapping[Key, float]) -> None:
        """Take in the values of one moment; those of a moment before the newest are left out.

        The newest row is always there: one that is not to be kept gives way to the next.
        """
        if self._times and t_s <= self._times[-1]:
            return
        if self._seen and (self._seen - 1) % self._every:  # the newest row is not one of those to be kept
            self._pop()
        if len(self._times) >= self._capacity:
            self._thin()
        self._seen += 1
        missing = math.nan
        for key in values:
            if key not in self._columns and len(self._columns) < MAX_SERIES:
                self._columns[key] = array("d", [missing]) * len(self._times)
        self._times.append(t_s)
        for key, column in self._columns.items():
            column.append(values.get(key, missing))

    def clear(self) -> None:
        """Forget everything."""
        self._every, self._seen = 1, 0
        self._times = array("d")
        self._columns.clear()

    @property
    def times(self) -> tuple[float, ...]:
        """When each row was, in seconds of the run."""
        return tuple(self._times)

    def columns(self) -> dict[Key, tuple[float, ...]]:
        """Each series' value in each row, NaN where it was not there; in order of first sight."""
        return {key: tuple(column) for key, column in self._columns.items()}

    def __contains__(self, key: object) -> bool:
        """Whether it has this series."""
        return key in self._columns

    def keys(self) -> tuple[Key, ...]:
        """The series there are, in order of first sight."""
        return tuple(self._columns)

    def at(self, key: Key, rows: Sequence[int]) -> list[float]:
        """A series' values in these rows, NaN where it was not there, or is none."""
        column = self._columns.get(key)
        return [math.nan] * len(rows) if column is None else [column[i] for i in rows]

    def _pop(self) -> None:
        self._times.pop()
        for column in self._columns.values():
            column.pop()

    def _thin(self) -> None:
        """Keep every second row, the first one among them."""
        self._every *= 2
        self._times = self._times[::2]
        for key, column in self._columns.items():
            self._columns[key] = column[::2]
