"""How many values a claim about a percentile needs. Pure functions of numbers; knows no threshold and no histogram.

"99 of 100 requests take less than 50 ms" is a claim about the server, of which a run saw some requests only. It is made
with confidence 0.99 when, were the claim false, so few requests over the limit would be seen once in 100 runs at the
most: the tail of the binomial distribution. This is the rule by which LoadGen of MLPerf ends a run early.
"""

from __future__ import annotations

import math
from functools import lru_cache

CONFIDENCE = 0.99
"""As LoadGen's early stopping has it."""

_NEGLIGIBLE = 1e-17
"""A term of the sum that is this much smaller than the sum, and those behind it, change no digit of it."""


def enough(values: int, outside: int, allowed: float) -> bool:
    """Whether `values`, of which `outside` do not hold, say that at most the share `allowed` (0 to 1) does not."""
    return tail(values, outside, allowed) <= 1 - CONFIDENCE


@lru_cache(maxsize=1024)
def needed(outside: int, allowed: float) -> int:
    """The fewest values that are enough when `outside` of them do not hold."""
    low = high = outside + 1
    while not enough(high, outside, allowed):
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle, outside, allowed) else (middle + 1, high)
    return high


def tail(values: int, outside: int, allowed: float) -> float:
    """The probability that at most `outside` of `values` do not hold when each does not with probability `allowed`."""
    if outside >= values:
        return 1.0
    if outside >= values * allowed:
        return 0.5  # beyond the mean: at least about this, and nobody asks for more than that it is not small
    log_term = (
        math.lgamma(values + 1)
        - math.lgamma(outside + 1)
        - math.lgamma(values - outside + 1)
        + outside * math.log(allowed)
        + (values - outside) * math.log1p(-allowed)
    )
    term = total = 1.0  # of the last and largest term; those before it shrink ever faster
    for k in range(outside, 0, -1):
        term *= k * (1 - allowed) / ((values - k + 1) * allowed)
        total += term
        if term < _NEGLIGIBLE * total:
            break
    return math.exp(log_term + math.log(total))
