"""Reads the file of a trace: when each arrival is due, and where it says so, with which model and input.

A line for each arrival: `TIME[,MODEL[,INPUT]]`, comma separated, times in seconds from the beginning, ascending. A
first line that names the columns (`time`, or `interval` for the seconds since the arrival before, `model`, `input`)
may put them in another order. Empty lines and those that begin with # are left out.
"""

from __future__ import annotations

import csv
import hashlib
import math
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triton_users.arrivals.rate import Times
from triton_users.declaration import UsageError, shown

MAX_LINES = 20_000_000
"""Arrivals of a trace; each takes 16 bytes. Picked arbitrarily."""
MAX_NAMES = 100_000
"""Different pairs of model and input of a trace. Picked arbitrarily."""

_COLUMNS = ("time", "interval", "model", "input")


@dataclass(frozen=True)
class TraceFile:
    """What a trace says."""

    times_s: Times
    """When each arrival is due, ascending."""
    names: tuple[tuple[str, str], ...]
    """Each pair of model and input in it, "" for what a line leaves open."""
    of: array[int]
    """The pair of each arrival, as its place in `names`; empty where there is but one."""
    digest: str
    """Of the whole file: workers must have the same one."""

    def name(self, number: int) -> tuple[str, str]:
        """Model and input of an arrival."""
        return self.names[self.of[number] if self.of else 0]


def read_trace(path: Path, speed: float) -> TraceFile:
    """The trace in a file, `speed` times as fast. Raises UsageError for what cannot be read."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _read(path, _rows(file), speed, digest)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"arrivals: {shown(str(path))} is not constant, poisson or gamma:K, nor a trace that can be read: {why}"
        ) from None


def _rows(file: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
    for number, row in enumerate(csv.reader(file), 1):
        cells = [cell.strip() for cell in row]
        if any(cells) and not cells[0].startswith("#"):
            yield number, cells


def _read(path: Path, rows: Iterator[tuple[int, list[str]]], speed: float, digest: str) -> TraceFile:
    columns: Mapping[str, int] | None = None
    times, of, names = array("d"), array("L"), dict[tuple[str, str], int]()
    at_s = 0.0
    for line, cells in rows:
        if columns is None:
            if not _is_number(cells[0]):
                columns = _header(path, line, cells)
                continue
            columns = {"time": 0, "model": 1, "input": 2}
        at_s = _time(path, line, cells, columns, at_s)
        if len(times) >= MAX_LINES:
            raise UsageError(f"arrivals: {path}: it has more than {MAX_LINES:,} arrivals")
        times.append(at_s)
        model, name = (_cell(cells, columns.get(column)) for column in ("model", "input"))
        of.append(names.setdefault((model, name), len(names)))
        if len(names) > MAX_NAMES:
            raise UsageError(f"arrivals: {path}: it has more than {MAX_NAMES:,} different pairs of model and input")
    if not times:
        raise UsageError(f"arrivals: {path}: there is no arrival in it; write a line for each: TIME[,MODEL[,INPUT]]")
    return TraceFile(np.array(times) / speed, tuple(names), of if len(names) > 1 else array("L"), digest)


def _header(path: Path, line: int, cells: list[str]) -> dict[str, int]:
    named = [cell.lower() for cell in cells]
    unknown = [cell for cell in named if cell not in _COLUMNS]
    if unknown or ("time" in named) == ("interval" in named) or len(set(named)) < len(named):
        raise UsageError(
            f"arrivals: {path}, line {line}: {shown(','.join(cells))} names no columns of a trace: it must have time "
            "or interval, and may have model and input"
        )
    return {name: place for place, name in enumerate(named)}


def _time(path: Path, line: int, cells: list[str], columns: Mapping[str, int], before_s: float) -> float:
    text = _cell(cells, columns.get("time", columns.get("interval")))
    value = float(text) if _is_number(text) else math.nan
    if not 0 <= value < math.inf:
        raise UsageError(f"arrivals: {path}, line {line}: {shown(text)} is no number of seconds of 0 or more")
    at_s = value if "time" in columns else before_s + value
    if at_s < before_s:
        raise UsageError(
            f"arrivals: {path}, line {line}: {shown(text)} is earlier than the time before it, {before_s:g}; times "
            "must ascend, or be called interval in the first line"
        )
    return at_s


def _cell(cells: list[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
