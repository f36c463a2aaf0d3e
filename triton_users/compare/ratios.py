"""How many times as much B has of something as A, and how sure that is. Pure functions of numbers.

Of rounds played in turn, each pair gives a ratio. Their middle is Hodges' and Lehmann's (the median of the means of all
pairs of them), and its interval is Wilcoxon's, exact for any distribution that is symmetric in its logarithm: a
machine's noise has tails for which Student's t would promise too much. Of two saved reports there is one run each: the
interval comes from stretches of them, and allows for what one run differs from the next by, which nobody has seen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, median, stdev
from typing import Literal

from triton_users.judge.slopes import student_quantile

Answer = Literal["better", "worse", "no difference shown", "too few rounds to say"]

FAMILY = 0.05
"""How often one or more of all measures of a comparison may seem to differ though none does."""
BETWEEN_RUNS = 0.03
"""What the same server's median differs by from one run to the next, as a share: two saved reports cannot show it."""


@dataclass(frozen=True)
class Ratio:
    """B over A, and the interval that holds the true one."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} times ({self.low:.3f} to {self.high:.3f})"


def paired(a: Sequence[float], b: Sequence[float], confidence: float, between_starts: float = 0.0) -> Ratio | None:
    """Of rounds played in turn, all values above 0; None where so few cannot give this confidence.

    `between_starts`: the share by which the measure differs from one start of the same server to the next. All rounds
    of a side are on one start, so no number of them shows it.
    """
    logs = [math.log(y / x) for x, y in zip(a, b, strict=True)]
    outside = _outside(len(logs), confidence)
    if outside is None:
        return None
    walsh = sorted((logs[i] + logs[j]) / 2 for i in range(len(logs)) for j in range(i, len(logs)))
    more = math.sqrt(2) * between_starts * NormalDist().inv_cdf((1 + confidence) / 2)
    return Ratio(math.exp(median(walsh)), math.exp(walsh[outside] - more), math.exp(walsh[-1 - outside] + more))


def unpaired(a: Sequence[float], b: Sequence[float], confidence: float) -> Ratio | None:
    """Of stretches of two runs, all values above 0; None for fewer than three of either."""
    if min(len(a), len(b)) < 3:
        return None
    logs = [[math.log(value) for value in side] for side in (a, b)]
    middle = fmean(logs[1]) - fmean(logs[0])
    error = math.sqrt(sum(stdev(side) ** 2 / len(side) + BETWEEN_RUNS**2 for side in logs))
    margin = error * student_quantile((1 + confidence) / 2, min(map(len, logs)) - 1)
    return Ratio(math.exp(middle), math.exp(middle - margin), math.exp(middle + margin))


def between(low_a: float, high_a: float, low_b: float, high_b: float, confidence: float) -> Ratio:
    """Of two values that each lie between two others, all above 0, and differ from run to run as medians do."""
    more = math.exp(math.sqrt(2) * BETWEEN_RUNS * NormalDist().inv_cdf((1 + confidence) / 2))
    return Ratio(low_b / low_a, low_b / high_a / more, high_b / low_a * more)


@dataclass(frozen=True)
class Difference:
    """The answer for one measure."""

    answer: Answer
    ratio: Ratio | None = None
    smallest: float = 0.0
    """The smallest difference that these rounds could have shown, as a share."""


def judged(ratio: Ratio | None, margin: float, *, less_is_better: bool) -> Difference:
    """A difference is one when the interval excludes 1 and the ratio is beyond the margin."""
    if ratio is None:
        return Difference("too few rounds to say")
    smallest = max(margin, math.sqrt(ratio.high / ratio.low) - 1)
    beyond = max(ratio.value, 1 / ratio.value) > 1 + margin
    if not beyond or ratio.low <= 1 <= ratio.high:
        return Difference("no difference shown", ratio, smallest)
    return Difference("worse" if (ratio.value > 1) == less_is_better else "better", ratio, smallest)


def confidence_of(measures: int) -> float:
    """What each interval must hold with, when so many are looked at together (Bonferroni)."""
    return 1 - FAMILY / max(1, measures)


def fewest_rounds(measures: int) -> int:
    """How many pairs of rounds it takes to say anything."""
    return next(n for n in range(2, 64) if _outside(n, confidence_of(measures)) is not None)


def more_often(failed_a: int, runs_a: int, failed_b: int, runs_b: int) -> float:
    """How likely B fails as often or more though both fail alike (Fisher's exact test, one side)."""
    failed, runs = failed_a + failed_b, runs_a + runs_b
    ways = math.comb(runs, failed)
    as_bad = range(failed_b, min(failed, runs_b) + 1)
    return sum(math.comb(runs_b, k) * math.comb(runs_a, failed - k) for k in as_bad) / ways if ways else 1.0


def _outside(n: int, confidence: float) -> int | None:
    """How many of the sorted means stay outside of the interval at each end, by Wilcoxon's signed ranks."""
    ways = [1]  # sum of ranks -> in how many of the 2^n ways it comes about
    for rank in range(1, n + 1):
        ways = [
            (ways[total] if total < len(ways) else 0) + (ways[total - rank] if total >= rank else 0)
            for total in range(len(ways) + rank)
        ]
    tail, found = 0, None
    for total, count in enumerate(ways[: len(ways) // 2]):
        tail += count
        if 2 * tail > (1 - confidence) * 2**n:
            break
        found = total
    return found
