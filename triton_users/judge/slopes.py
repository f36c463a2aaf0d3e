"""How fast something grows, and how sure that is: a robust slope with an interval. Pure functions of numbers.

The slope is Theil's and Sen's: the median of the slopes of all pairs of points, each with the weight of its distance.
Half of the points may be anything before it is. The interval comes from a moving-block bootstrap of the residuals: what
a server shows from one second to the next is alike, and points drawn one by one would promise far too narrow an
interval. The blocks are as long as the residuals remember; few of them make the interval wide (Student's t), so a short
run says little instead of something wrong. The draws have a seed of their own: the same series, the same verdict.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.99
"""Of each interval: a run has several series, and each is asked more than once."""
BINS = 48
"""Points that a series is brought down to: a quarter of an hour each in 12 h. All pairs of so many are 1,128 slopes."""
FEWEST_BINS = 16
"""With fewer points nothing is said."""
DRAWS = 200
"""Resamples: only their spread is used, and 200 tell it to 5 %."""
_UNEVEN_LOAD = 0.2
"""Load is no longer called even when nine tenths of it and one tenth lie further apart, as a share of its median."""
_MEMORY = 0.05
"""An autocorrelation under this counts as none."""


@dataclass(frozen=True)
class Slope:
    """Growth for each unit of x, and the interval that holds the true one."""

    value: float
    low: float
    high: float

    def times(self, factor: float) -> Slope:
        """The same in other units."""
        return Slope(self.value * factor, self.low * factor, self.high * factor)


Values = Sequence[float] | Floats


def slope(x: Values, y: Values, load: Values | None = None) -> Slope | None:
    """The slope of y over x, which ascends; None when there are too few points, or x stands still.

    `load`: what the server had to do at each point. Where it was uneven, what y owes to it, and to the highest it has
    been so far (memory once taken is kept), is taken out of both first: a day's load that rises is no growth.
    """
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    if len(xs) < FEWEST_BINS or not xs[-1] > xs[0]:
        return None
    taken_out = 2
    if load is not None and uneven(load):
        at = np.asarray(load, float)
        explained = np.column_stack([np.ones_like(at), at, np.maximum.accumulate(at)])
        xs, ys = (each - explained @ np.linalg.lstsq(explained, each, rcond=None)[0] for each in (xs, ys))
        taken_out += 2
    value = float(_theil_sen(xs, ys[None, :])[0])
    residuals = ys - value * xs
    residuals -= residuals.mean()
    block = _block(residuals)
    again = value * xs + _resampled(residuals, block)
    error = float(_theil_sen(xs, again).std())
    # The line has taken some of the residuals' own wandering for itself, the more the longer the blocks are.
    error *= math.sqrt(len(xs) / max(1.0, len(xs) - taken_out * block))
    margin = error * student_quantile((1 + CONFIDENCE) / 2, max(1, len(xs) // block - 2))
    return Slope(value, value - margin, value + margin)


def steepness(x: Values, y: Values) -> float | None:
    """The slope alone; None where x stands still."""
    xs, ys = np.asarray(x, float), np.asarray(y, float)
    return float(_theil_sen(xs, ys[None, :])[0]) if len(xs) > 1 and xs[-1] > xs[0] else None


def uneven(load: Values) -> bool:
    """Whether the load changed so much that a series must be freed of it first."""
    low, middle, high = np.quantile(np.asarray(load, float), [0.1, 0.5, 0.9])
    return bool(high - low > _UNEVEN_LOAD * max(middle, 1e-9))


def binned(times: Values, values: Values, edges: Values) -> Floats:
    """The median of the values between each two edges; NaN where there are none."""
    at, what, bounds = np.asarray(times, float), np.asarray(values, float), np.asarray(edges, float)
    cuts = np.searchsorted(at, bounds)
    return np.array([np.median(what[a:b]) if b > a else math.nan for a, b in pairwise(cuts)])


def student_quantile(p: float, freedom: int) -> float:
    """The p quantile (0.5 < p < 1) of Student's t with a whole number of degrees of freedom."""
    low, high = 0.0, 1.0
    while _student(high, freedom) < p:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student(middle, freedom) < p else (low, middle)
    return high


def _student(t: float, freedom: int) -> float:
    """The distribution function, as a finite sum (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, square = math.sin(angle), math.cos(angle) ** 2
    term, total = 1.0, 0.0
    odd = freedom % 2
    for k in range(freedom // 2):
        total += term
        term *= square * (2 * k + 1 + odd) / (2 * k + 2 + odd)
    inside = (angle + sine * math.cos(angle) * total) * 2 / math.pi if odd else sine * total
    return 0.5 + inside / 2


def _theil_sen(x: Floats, ys: Floats) -> Floats:
    """The weighted median of all pairs' slopes, of each row of `ys`."""
    i, j = np.triu_indices(len(x), 1)
    dx = x[j] - x[i]
    apart = np.abs(dx) > 1e-9 * (x.max() - x.min())
    i, j, dx = i[apart], j[apart], dx[apart]
    slopes = (ys[:, j] - ys[:, i]) / dx
    order = np.argsort(slopes, axis=1)
    weights = np.cumsum(np.abs(dx)[order], axis=1)
    middle = (weights < weights[:, -1:] / 2).sum(axis=1)
    picked: Floats = np.take_along_axis(slopes, np.take_along_axis(order, middle[:, None], 1), 1)[:, 0]
    return picked


def _block(residuals: Floats) -> int:
    """How many neighbours belong together: three times the autocorrelation time, from n^(1/3) to a quarter of all."""
    n = len(residuals)
    power = float(residuals @ residuals)
    time = 1.0
    for lag in range(1, n // 2):
        alike = float(residuals[lag:] @ residuals[:-lag]) / power if power > 0 else 0.0
        alike += (1 + 4 * max(0.0, alike)) / n  # what a line through them has taken away (Kendall's bias)
        if power <= 0 or alike < _MEMORY:
            break
        time += 2 * alike
    return int(min(max(math.ceil(n ** (1 / 3)), math.ceil(3 * time)), n // 4))


def _resampled(residuals: Floats, block: int) -> Floats:
    """The residuals put together anew from blocks, DRAWS times; the last block meets the first (circular)."""
    n = len(residuals)
    blocks = -(-n // block)
    starts = np.random.default_rng(1).integers(0, n, (DRAWS, blocks))
    indices = (starts[:, :, None] + np.arange(block)).reshape(DRAWS, -1)[:, :n] % n
    drawn: Floats = residuals[indices]
    return drawn
