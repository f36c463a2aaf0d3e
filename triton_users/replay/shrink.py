"""Makes a case smaller while it still fails: fewer partners, sequences, steps, pictures, and plainer values. Pure.

Delta debugging (Zeller and Hildebrandt, 2002) on each list of a case, and a search for the least of each number. What
`fails` decides is another's business: it plays the case, remembers, and says no once its time is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from triton_users.replay.case import Case, Plan, Play

_Item = TypeVar("_Item")

PLAIN_VALUE = 1
"""What a value becomes that does not matter; with 0 a sum would not show what was added."""
SHORTEST_PAUSE = 0.1
"""Of the idle limit."""
MAX_ONE_BY_ONE = 16
"""Values of a sequence that are made plain one at a time, where all at once makes it pass."""

LISTS = ("pictures", "values")
"""Lists of a plan that may be shorter, but not empty."""
NUMBERS = {"checks": 0, "length": 1, "value": PLAIN_VALUE, "count": 1}
"""Numbers of a plan that may be smaller, and the least that each may be."""

Fails = Callable[[Case], bool]


def minimise(case: Case, fails: Fails) -> Case:
    """The smallest case found that still fails; `case` itself when nothing smaller does."""
    while (smaller := _once(case, fails)) != case:
        case = smaller
    return case


def _once(case: Case, fails: Fails) -> Case:
    partners = least_list(case.partners, lambda kept: fails(replace(case, partners=tuple(kept))))
    fewer = replace(case, partners=tuple(partners))
    case = replace(fewer, main=_smaller(fewer.main, lambda play: fails(replace(fewer, main=play))))
    for place in range(len(case.partners)):
        case = _smaller_partner(case, place, fails)
    return case


def _smaller_partner(case: Case, place: int, fails: Fails) -> Case:
    return _with_partner(
        case, place, _smaller(case.partners[place], lambda play: fails(_with_partner(case, place, play)))
    )


def _with_partner(case: Case, place: int, play: Play) -> Case:
    return replace(case, partners=(*case.partners[:place], play, *case.partners[place + 1 :]))


def least_list(items: Sequence[_Item], fails: Callable[[Sequence[_Item]], bool], least: int = 0) -> Sequence[_Item]:
    """A shortest part of `items` that still fails, in their order, of at least `least`: nothing can be left out of it.

    It is supposed that all of `items` fail.
    """
    if len(items) <= least:
        return items
    for number in range(least, 2):  # most of what is asked for is tiny: none, or one alone
        for start in range(len(items) if number else 1):
            part = items[start : start + number]
            if len(part) < len(items) and fails(part):
                return part
    pieces = 2
    while len(items) > least:
        size = max(1, len(items) // pieces)
        for start in range(0, len(items), size):
            rest = [*items[:start], *items[start + size :]]
            if len(rest) >= least and len(rest) < len(items) and fails(rest):
                items, pieces = rest, max(2, pieces - 1)
                break
        else:
            if size == 1:
                return items
            pieces = min(len(items), pieces * 2)
    return items


def least_number(number: int, fails: Callable[[int], bool], least: int) -> int:
    """A small number from `least` that still fails, by bisection: the least one where all larger ones fail."""
    if number <= least or fails(least):
        return min(number, least)
    passes = least
    while number - passes > 1:
        middle = (number + passes) // 2
        if fails(middle):
            number = middle
        else:
            passes = middle
    return number


def _smaller(play: Play, fails: Callable[[Play], bool]) -> Play:
    """The play with as little in its plan as still fails."""

    def still(plan: Plan) -> bool:
        return plan != play.plan and fails(replace(play, plan=plan))

    plan = play.plan
    if "sequences" in plan:
        plan = _fewer_sequences(plan, still)
        for place in range(len(plan["sequences"])):
            plan = _shorter_sequence(plan, place, still)
        for smaller in _plainer_sequences(plan):
            plan = smaller if still(smaller) else plan
        for place in range(len(plan["sequences"])):
            plan = _plainer_values(plan, place, still)
        for place in range(len(plan.get("pauses", ()))):
            plan = _shorter_pause(plan, place, still)
    for name in LISTS:
        plan = _least_list_of(plan, name, still)
    for name, lowest in NUMBERS.items():
        plan = _least_number_of(plan, name, lowest, still)
    if plan.get("delay_s") and still({**plan, "delay_s": 0.0}):
        plan = {**plan, "delay_s": 0.0}
    return replace(play, plan=plan)


def _least_list_of(plan: Plan, name: str, still: Callable[[Plan], bool]) -> Plan:
    items = plan.get(name)
    if not isinstance(items, (list, tuple)):
        return plan
    kept = least_list(items, lambda part: still({**plan, name: list(part)}), least=1)
    return plan if len(kept) == len(items) else {**plan, name: list(kept)}


def _least_number_of(plan: Plan, name: str, lowest: int, still: Callable[[Plan], bool]) -> Plan:
    number = plan.get(name, lowest)
    if number <= lowest:
        return plan
    return {**plan, name: least_number(number, lambda smaller: still({**plan, name: smaller}), lowest)}


def _fewer_sequences(plan: Plan, still: Callable[[Plan], bool]) -> Plan:
    count = len(plan["sequences"])
    if count < 2:
        return plan
    kept = least_list(range(count), lambda places: still(_only(plan, places)), least=1)
    return plan if len(kept) == count else _only(plan, kept)


def _only(plan: Plan, places: Sequence[int]) -> Plan:
    """The plan with the sequences at these places, each with its own id and pause."""
    parallel = [name for name in ("sequences", "id_offsets", "pauses") if name in plan]
    return {**plan, **{name: [plan[name][place] for place in places if place < len(plan[name])] for name in parallel}}


def _shorter_sequence(plan: Plan, place: int, still: Callable[[Plan], bool]) -> Plan:
    values = least_list(plan["sequences"][place], lambda part: still(_with_values(plan, place, part)), least=1)
    return plan if len(values) == len(plan["sequences"][place]) else _with_values(plan, place, values)


def _with_values(plan: Plan, place: int, values: Sequence[int]) -> Plan:
    """The plan with these values in one sequence, whose pause comes before its last request at the latest."""
    sequences = [*plan["sequences"][:place], list(values), *plan["sequences"][place + 1 :]]
    pauses = list(plan.get("pauses", ()))
    if place < len(pauses) and pauses[place]:
        before = min(pauses[place]["before"], len(values) - 1)
        pauses[place] = {**pauses[place], "before": before} if before else None
    return {**plan, "sequences": sequences, **({"pauses": pauses} if "pauses" in plan else {})}


def _plainer_sequences(plan: Plan) -> Iterator[Plan]:
    """All values plain at once; no pause at all."""
    yield {**plan, "sequences": [[PLAIN_VALUE] * len(each) for each in plan["sequences"]]}
    if any(plan.get("pauses", ())):
        yield {**plan, "pauses": [None] * len(plan["pauses"])}


def _plainer_values(plan: Plan, place: int, still: Callable[[Plan], bool]) -> Plan:
    values = plan["sequences"][place]
    for step in range(len(values) if len(values) <= MAX_ONE_BY_ONE else 0):
        if plan["sequences"][place][step] != PLAIN_VALUE:
            one = [*plan["sequences"][place][:step], PLAIN_VALUE, *plan["sequences"][place][step + 1 :]]
            plainer = _with_values(plan, place, one)
            plan = plainer if still(plainer) else plan
    return plan


def _shorter_pause(plan: Plan, place: int, still: Callable[[Plan], bool]) -> Plan:
    pause: Any = plan["pauses"][place]
    if not pause:
        return plan
    for shorter in (None, {**pause, "share": min(pause["share"], SHORTEST_PAUSE)}):
        pauses = [*plan["pauses"][:place], shorter, *plan["pauses"][place + 1 :]]
        if still({**plan, "pauses": pauses}):
            return {**plan, "pauses": pauses}
    return plan
