"""What `--rate` says: a rate of arrivals in phases, as a function of time and back. Pure functions of values."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triton_users.declaration import UsageError, shown

MAX_RATE = 1_000_000.0
"""Arrivals a second of the whole cluster: far beyond what a server answers. Picked arbitrarily."""
MAX_PHASES = 1_000
"""Phases of one rate. Picked arbitrarily."""
MAX_S = 366 * 86_400.0
"""The longest a phase can be, in seconds. Picked arbitrarily: a year."""

Times = npt.NDArray[np.float64]

EXAMPLE = "for instance 200, or 100 for 1m, 100 to 500 in 5m, 2000 for 10s"

_PHASE = re.compile(
    r"(?P<rate>\S+?)(?:/s)?(?:\s+(?:for\s+(?P<time>\S+)|to\s+(?P<top>\S+?)(?:/s)?\s+in\s+(?P<ramp>\S+)))?"
)
_TIME = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?")


@dataclass(frozen=True)
class Phase:
    """A stretch of time in which the rate is one and the same, or goes evenly from one to another."""

    low: float
    """Arrivals a second at its beginning."""
    high: float
    """Arrivals a second at its end."""
    duration_s: float
    """`math.inf`: it lasts."""

    def due(self, after_s: float) -> float:
        """How many arrivals are due in its first seconds, as a real number."""
        if self.low == self.high:
            return self.low * after_s if self.low else 0.0
        return self.low * after_s + (self.high - self.low) * after_s * after_s / (2 * self.duration_s)

    def when(self, due: Times) -> Times:
        """When so many are due, in seconds from its beginning; the inverse of `due`."""
        if self.low == self.high:
            return due / self.low if self.low else np.zeros_like(due)
        slope = (self.high - self.low) / self.duration_s
        root = np.sqrt(np.maximum(self.low * self.low + 2 * slope * due, 0.0))
        below = self.low + root  # so written it is exact where the ramp is nearly level, and needs no division by it
        return np.divide(2 * due, below, out=np.zeros_like(due), where=below > 0)


@dataclass(frozen=True)
class Rate:
    """Phases, one after the other; behind the last one nothing arrives any more."""

    phases: tuple[Phase, ...]
    text: str = ""
    """As a person wrote it."""

    @classmethod
    def of(cls, per_s: float) -> Rate:
        """One that lasts."""
        return cls((Phase(per_s, per_s, math.inf),), f"{per_s:g}")

    @property
    def duration_s(self) -> float:
        return sum(phase.duration_s for phase in self.phases)

    @property
    def total(self) -> float:
        """How many arrivals are due in all."""
        return self.due(self.duration_s)

    def due(self, at_s: float) -> float:
        """How many arrivals are due by then, as a real number."""
        due = 0.0
        for phase in self.phases:
            if at_s <= 0:
                break
            due += phase.due(min(at_s, phase.duration_s))
            at_s -= phase.duration_s
        return due

    def when(self, due: Times) -> Times:
        """When so many are due, in seconds from the beginning, for each number of an ascending array.

        The inverse of `due`; infinity for what is beyond the last phase.
        """
        times = np.full_like(due, math.inf)
        begun_s = before = 0.0
        rest = 0
        for phase in self.phases:
            lasts = phase.duration_s == math.inf
            until = math.inf if lasts and phase.high else before + (0.0 if lasts else phase.due(phase.duration_s))
            end = int(np.searchsorted(due, until, side="left"))
            if end > rest:
                times[rest:end] = begun_s + phase.when(due[rest:end] - before)
            rest, begun_s, before = max(rest, end), begun_s + phase.duration_s, until
        return times


def parse_rate(text: str) -> Rate | None:
    """The rate that a person wrote, None for "". Raises UsageError for what is none."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        return None
    if len(parts) > MAX_PHASES:
        raise UsageError(f"rate: these are {len(parts)} phases; it must be at most {MAX_PHASES}")
    phases = tuple(_phase(part) for part in parts)
    for phase, part in zip(phases[:-1], parts, strict=False):
        if phase.duration_s == math.inf:
            raise UsageError(
                f"rate: {shown(part)} does not say for how long, so that what comes after it never would: "
                "write it for instance 100 for 1m"
            )
    if not any(phase.low or phase.high for phase in phases):
        raise UsageError(f"rate: {shown(text.strip())} lets nothing arrive; write a rate over 0, {EXAMPLE}")
    return Rate(phases, ", ".join(parts))


def _phase(text: str) -> Phase:
    match = _PHASE.fullmatch(text)
    if match is None:
        raise UsageError(f"rate: {shown(text)} is no rate; write {EXAMPLE}")
    low = _number(match["rate"], text)
    if match["ramp"]:
        return Phase(low, _number(match["top"], text), _seconds(match["ramp"], text))
    return Phase(low, low, _seconds(match["time"], text) if match["time"] else math.inf)


def _number(text: str, phase: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= MAX_RATE:
        raise UsageError(
            f"rate: {_within(phase, text)}{shown(text)} is no number of arrivals a second from 0 to {MAX_RATE:.0f}; "
            f"write {EXAMPLE}"
        )
    return number


def _seconds(text: str, phase: str) -> float:
    match = _TIME.fullmatch(text)
    seconds = sum(float(match[unit] or 0) * of for unit, of in (("h", 3600), ("m", 60), ("s", 1))) if match else 0.0
    if not 0 < seconds <= MAX_S:
        raise UsageError(
            f"rate: {_within(phase, text)}{shown(text)} is no length of time over 0; "
            "write for instance 90, 10s, 5m or 1h30m"
        )
    return seconds


def _within(phase: str, text: str) -> str:
    """Where a wrong text stands, unless it is all there is."""
    return "" if phase == text else f"{shown(phase)}: "
