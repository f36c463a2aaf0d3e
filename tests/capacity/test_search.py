"""Which level comes next, whatever the levels before came to."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.capacity.search import (
    CLOSE,
    FAILED,
    HELD,
    MAX_LEVELS,
    Plan,
    Tried,
    bracket,
    contradictions,
    next_level,
)

RATES = Plan(first=100.0, lowest=0.1, highest=1e6)
USERS = Plan(first=1.0, lowest=1.0, highest=1e5, whole=True)


def searched(plan: Plan, holds: object) -> list[Tried]:
    """The levels of a whole search; `holds` says of each load whether it does."""
    tried: list[Tried] = []
    while (load := next_level(plan, tried)) is not None:
        tried.append(Tried(load, bool(holds(load))))
    return tried


def loads(plan: Plan, limit: float) -> list[float]:
    return [each.load for each in searched(plan, lambda load: load <= limit)]


def test_it_doubles_until_one_fails_goes_on_in_the_middle_and_measures_both_ends_again() -> None:
    assert loads(RATES, 430) == [100, 200, 400, 800, 566, 476, 436, 418, 436, 418, 436]


def test_it_halves_when_the_first_level_fails() -> None:
    assert loads(RATES, 30) == [100, 50, 25, 35.4, 29.7, 32.4, 31, 31, 29.7, 31]


@given(st.floats(0.2, 9e5), st.floats(0.1, 1e6))
def test_a_server_with_a_limit_is_found_within_five_percent_whatever_the_first_level(
    limit: float, first: float
) -> None:
    tried = searched(Plan(first, 0.1, 1e6), lambda load: load <= limit)
    found = bracket(tried)
    assert found.held is not None
    assert found.failed is not None
    assert found.held <= limit < found.failed <= found.held * CLOSE
    assert len(tried) < 45
    for end, times in ((found.held, HELD), (found.failed, FAILED)):
        assert [each.load for each in tried].count(end) >= times


@given(st.integers(1, 99_999))
def test_users_are_whole_numbers_and_found_to_the_last_where_there_are_few(limit: int) -> None:
    tried = searched(USERS, lambda load: load <= limit)
    assert all(each.load == int(each.load) for each in tried)
    found = bracket(tried)
    assert found.held <= limit < found.failed
    assert found.failed - found.held <= max(1, 0.05 * found.held)


@pytest.mark.parametrize(("plan", "last"), [(RATES, 1e6), (USERS, 1e5)])
def test_a_server_without_a_limit_ends_the_search_at_the_most_that_is_tried(plan: Plan, last: float) -> None:
    tried = searched(plan, lambda _: True)
    assert (tried[-1].load, bracket(tried).failed) == (last, None)


@pytest.mark.parametrize(("plan", "last"), [(RATES, 0.1), (USERS, 1.0)])
def test_a_server_that_holds_nothing_ends_the_search_at_the_least(plan: Plan, last: float) -> None:
    tried = searched(plan, lambda _: False)
    assert (tried[-1].load, bracket(tried).held) == (last, None)


def test_one_level_that_fails_by_chance_is_measured_again_and_the_search_goes_on_above_it() -> None:
    seen: list[float] = []

    def holds(load: float) -> bool:
        seen.append(load)
        return load <= 5000 and not (load == 200 and seen.count(200) == 1)

    found = bracket(searched(RATES, holds))
    assert found.held <= 5000 < found.failed <= found.held * CLOSE


def test_a_minute_in_which_all_levels_fail_does_not_hide_what_the_server_can() -> None:
    """Other work on its machine began when the search was close to its end, and went on over the next level."""
    tried: list[Tried] = []
    while (load := next_level(RATES, tried)) is not None:
        busy = 4 <= len(tried) <= 8
        tried.append(Tried(load, load <= (350 if busy else 540)))
    found = bracket(tried)
    assert found.held == pytest.approx(540, rel=0.05)


def test_one_level_that_holds_by_chance_is_not_the_answer() -> None:
    seen: list[float] = []

    def holds(load: float) -> bool:
        seen.append(load)
        return load <= 430 or (load == 800 and seen.count(800) == 1)

    tried = searched(RATES, holds)
    found = bracket(tried)
    assert found.held <= 430 < found.failed <= found.held * CLOSE


@given(st.lists(st.booleans(), min_size=MAX_LEVELS, max_size=MAX_LEVELS), st.sampled_from([RATES, USERS]))
def test_whatever_levels_come_to_the_search_ends_and_its_ends_are_in_order(outcomes: list[bool], plan: Plan) -> None:
    coins = iter(outcomes)
    tried = searched(plan, lambda _: next(coins))
    assert len(tried) <= MAX_LEVELS
    found = bracket(tried)
    assert (found.held or 0) < (found.failed or math.inf)
    assert all(plan.lowest <= each.load <= plan.highest for each in tried)


def test_levels_that_contradict_each_other_are_named_closest_first() -> None:
    steady = [Tried(100, True), Tried(200, False), Tried(150, True), Tried(150, True)]
    assert contradictions(steady) == []
    assert contradictions([*steady, Tried(150, False), Tried(260, True)]) == [(150, 150), (260, 200), (200 + 60, 150)]
