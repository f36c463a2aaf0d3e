"""Whether a load is more than the server can take: what is under way and how long it takes both grow. Pure functions.

Under a load that a server can take, both go up and down; under one that it cannot, requests pile up for as long as it
lasts. That both grow is tested by their order alone (Mann-Kendall), so that one outlier decides nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, median

SIGNIFICANCE = 0.01
"""Of each of both tests."""
GROWTH = 2.0
"""So many times as much at the end as at the beginning: what grows by less in a level may be its warm-up."""
LEAST = 6
"""Values that a test needs; with fewer, not even ones that only grow are significant."""
PILE_S = 0.2
"""A pile is at least what arrives in so many seconds: a queue that goes up and down gets as long at worst."""
MIN_PILE = 8.0
"""And at least so many requests. Picked arbitrarily."""


def saturated(in_flight: Sequence[float], took: Sequence[float], per_s: float) -> bool:
    """Whether both grew: the requests under way, and how long they took. Values at equal distances in time.

    `per_s`: how many arrive in a second.
    """
    pile = max(MIN_PILE, PILE_S * per_s)
    return bool(in_flight) and in_flight[-1] - min(in_flight) >= pile and grows(in_flight) and grows(took)


def grows(values: Sequence[float]) -> bool:
    """Whether these grow, significantly and by much."""
    count = len(values)
    if count < LEAST:
        return False
    ordered = sum(_sign(values[j] - values[i]) for i in range(count) for j in range(i + 1, count))
    spread = math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    if ordered <= 0 or 1 - NormalDist().cdf((ordered - 1) / spread) > SIGNIFICANCE:
        return False
    third = max(1, count // 3)
    first, last = median(values[:third]), median(values[-third:])
    return last >= GROWTH * first and last > 0


def _sign(difference: float) -> int:
    return (difference > 0) - (difference < 0)
