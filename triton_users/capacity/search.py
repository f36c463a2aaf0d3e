"""Which level a search for the highest one that holds measures next. A pure function of what the levels before came to.

It doubles from the first level until one fails (or halves until one holds), goes on in the middle of the two until
they are close, and measures both of these again before it believes them: a server that stood still for a moment makes
one level fail, not two. The lowest one that failed is measured once more after that: a machine that is busy with other
work for a minute makes levels fail, and none hold. The newest result is believed where two contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

CLOSE = 1.05
"""The lowest level that failed is at most so many times the highest one that held when the search ends."""
HELD, FAILED = 2, 3
"""How often the highest one that held and the lowest one that failed are measured, with the same outcome. Searches on
servers whose speed wanders by a quarter found values up to 1.36 times apart with two failures, 1.19 with three."""
MAX_LEVELS = 60
"""A search over six orders of magnitude takes some 30. With more, levels contradict each other and no end is near."""
DIGITS = 3
"""Significant digits of a rate that is measured: a person can read it, and CLOSE is ten times as much as is lost."""


@dataclass(frozen=True)
class Tried:
    """What one level came to."""

    load: float
    held: bool


@dataclass(frozen=True)
class Plan:
    """Where a search begins, and what it stays within."""

    first: float
    lowest: float
    highest: float
    whole: bool = False
    """Loads are whole numbers: users."""


@dataclass(frozen=True)
class Bracket:
    """The answer lies between these."""

    held: float | None
    """The highest level that held."""
    failed: float | None
    """The lowest level that failed."""


def bracket(tried: Iterable[Tried]) -> Bracket:
    """What is known after these levels, oldest first. `held` is under `failed` when there are both."""
    newest: dict[float, bool] = {}
    held = failed = None
    for each in tried:
        newest[each.load] = each.held
        if each.held:
            held = each.load if held is None else max(held, each.load)
            if failed is not None and failed <= each.load:
                failed = min((load for load, good in newest.items() if not good and load > each.load), default=None)
        else:
            failed = each.load if failed is None else min(failed, each.load)
            if held is not None and held >= each.load:
                held = max((load for load, good in newest.items() if good and load < each.load), default=None)
    return Bracket(held, failed)


def next_level(plan: Plan, tried: Sequence[Tried]) -> float | None:
    """The load to measure next; None: the search has its answer, or will not come to one (`settled` says which)."""
    if not tried:
        return plan.first
    if len(tried) >= MAX_LEVELS:
        return None
    known = bracket(tried)
    if known.failed is None:
        assert known.held is not None
        return _loads(plan, 2 * known.held) if known.held < plan.highest else None
    if known.held is None:
        return _loads(plan, known.failed / 2) if known.failed > plan.lowest else None
    if not _close(plan, known.held, known.failed):
        return _between(plan, known.held, known.failed)
    for load, times in ((known.failed, FAILED - 1), (known.held, HELD), (known.failed, FAILED)):
        if _times(tried, load) < times:
            return load
    return None


def settled(plan: Plan, tried: Sequence[Tried]) -> bool:
    """Whether these levels give the answer."""
    return bool(tried) and len(tried) < MAX_LEVELS and next_level(plan, tried) is None


def contradictions(tried: Sequence[Tried]) -> list[tuple[float, float]]:
    """(load that held, load that failed) where the one that held was the higher one, or the same, closest first."""
    held = {each.load for each in tried if each.held}
    failed = {each.load for each in tried if not each.held}
    pairs = [(good, bad) for good in held for bad in failed if good >= bad]
    return sorted(pairs, key=lambda pair: (pair[0] - pair[1], pair))


def _times(tried: Sequence[Tried], load: float) -> int:
    """How often this level came to what it came to last."""
    outcomes = [each.held for each in tried if each.load == load]
    return sum(outcome == outcomes[-1] for outcome in outcomes)


def _close(plan: Plan, held: float, failed: float) -> bool:
    return failed <= held * CLOSE or (plan.whole and failed - held <= 1)


def _between(plan: Plan, held: float, failed: float) -> float:
    middle = math.sqrt(held * failed)
    if plan.whole:
        return float(min(max(round(middle), held + 1), failed - 1))
    rounded = _rounded(middle)
    return rounded if held < rounded < failed else middle


def _loads(plan: Plan, load: float) -> float:
    load = float(max(round(load), 1)) if plan.whole else _rounded(load)
    return min(max(load, plan.lowest), plan.highest)


def _rounded(load: float) -> float:
    return float(f"{load:.{DIGITS}g}")
