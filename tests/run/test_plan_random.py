"""The random numbers of plans: the same for the same plan, whatever came before, and as good as Python's own."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.run.plan_random import PlanRandom

plans = st.integers(0, 2**40)


def numbers(draw: random.Random) -> list[object]:
    return [draw.random(), draw.randrange(10**6), draw.choice("abc"), draw.getrandbits(200), draw.gauss(0, 1)]


@given(st.binary(max_size=80), plans, st.lists(st.tuples(plans, st.integers(0, 5)), max_size=4))
def test_a_plan_gets_its_numbers_whatever_was_drawn_before(
    key: bytes, plan: int, before: list[tuple[int, int]]
) -> None:
    fresh, used = PlanRandom(key), PlanRandom(key)
    for other, drawn in before:
        used.begin(other)
        for _ in range(drawn):
            used.gauss(0, 1)
    fresh.begin(plan)
    used.begin(plan)
    assert numbers(fresh) == numbers(used)


def test_a_seed_makes_the_same_plans_on_every_machine_and_python() -> None:
    draw = PlanRandom(b"42 0 7")
    draw.begin(3)
    assert [draw.randrange(1000) for _ in range(6)] == [634, 815, 893, 570, 657, 713]


def test_users_and_plans_differ() -> None:
    found = set()
    for user in range(100):
        draw = PlanRandom(f"1 0 {user}".encode())
        for plan in range(100):
            draw.begin(plan)
            found.add(draw.getrandbits(64))
    assert len(found) == 10_000


@given(st.integers(1, 400))
def test_so_many_bits_as_were_asked_for_come_and_each_is_used(bits: int) -> None:
    draw, together = PlanRandom(b"key"), 0
    for _ in range(64):
        drawn = draw.getrandbits(bits)
        assert 0 <= drawn < 2**bits
        together |= drawn
    assert together == 2**bits - 1


@pytest.mark.parametrize("of", [2, 3, 100], ids="{} values".format)
@pytest.mark.parametrize("how", ["first of each plan", "in one plan"])
def test_what_is_drawn_is_even(of: int, how: str) -> None:
    """Chi-squared of 100,000 draws: five standard deviations over its mean would be once in millions."""
    draw, counts, times = PlanRandom(b"even"), Counter[int](), 100_000
    for plan in range(times):
        if how != "in one plan":
            draw.begin(plan)
        counts[draw.randrange(of)] += 1
    expected = times / of
    chi_squared = sum((counts[value] - expected) ** 2 / expected for value in range(of))
    assert chi_squared < of - 1 + 5 * (2 * (of - 1)) ** 0.5


def test_the_first_numbers_of_plans_that_follow_each_other_do_not_go_together() -> None:
    draw = PlanRandom(b"pairs")
    first = []
    for plan in range(20_000):
        draw.begin(plan)
        first.append(draw.random() - 0.5)
    together = sum(a * b for a, b in zip(first, first[1:], strict=False)) / len(first)
    assert abs(together) < 5 / 12 / len(first) ** 0.5


def test_it_has_no_state_that_could_be_copied_unnoticed() -> None:
    with pytest.raises(NotImplementedError):
        PlanRandom(b"").getstate()
