"""A case gets smaller while it still fails: properties of the search, on failures that are made up here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from triton_users.replay.case import Case, Play
from triton_users.replay.shrink import PLAIN_VALUE, least_list, least_number, minimise

VALUES = st.lists(st.integers(0, 2**20), min_size=1, max_size=30)
PAUSES = st.one_of(st.none(), st.fixed_dictionaries({"before": st.integers(1, 9), "share": st.floats(0.1, 0.8)}))


def is_part_of(part: Sequence[Any], whole: Sequence[Any]) -> bool:
    rest = iter(whole)
    return all(item in rest for item in part)


@given(st.lists(st.integers(0, 50), max_size=40), st.sets(st.integers(0, 50), max_size=4))
def test_what_a_failure_needs_is_left_and_nothing_else(items: list[int], needed: set[int]) -> None:
    if not needed <= set(items):
        return
    left = least_list(items, lambda part: needed <= set(part))
    assert sorted(left) == sorted(needed)
    assert is_part_of(left, items)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(0, 40))
def test_nothing_can_be_left_out_of_what_is_left(items: list[int], enough: int) -> None:
    def fails(part: Sequence[int]) -> bool:
        return sum(part) >= enough

    if not fails(items):
        return
    left = least_list(items, fails)
    assert fails(left)
    assert all(not fails([*left[:place], *left[place + 1 :]]) for place in range(len(left)))


@given(VALUES)
def test_a_list_that_may_not_be_empty_keeps_one(items: list[int]) -> None:
    assert len(least_list(items, lambda part: True, least=1)) == 1


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_the_least_number_that_fails_is_found(number: int, threshold: int) -> None:
    if number < threshold:
        return
    assert least_number(number, lambda smaller: smaller >= threshold, least=0) == threshold


@st.composite
def cases(draw: st.DrawFn) -> Case:
    def play() -> Play:
        sequences = draw(st.lists(VALUES, min_size=1, max_size=4))
        offsets = list(range(11, 11 + len(sequences)))
        if draw(st.booleans()):
            return Play("SequenceValid", {"model": "m", "id_offsets": offsets, "sequences": sequences})
        pauses = [draw(PAUSES) for _ in sequences]
        return Play("SequenceValidValid", {"model": "m", "id_offset": 1, "sequences": sequences, "pauses": pauses})

    return Case(play(), tuple(play() for _ in range(draw(st.integers(0, 3)))))


def values_in(play: Play) -> list[int]:
    return [value for each in play.plan["sequences"] for value in each]


def assert_whole(play: Play) -> None:
    """A scenario could run it."""
    plan = play.plan
    assert all(plan["sequences"])
    if "id_offsets" in plan:
        assert len(plan["id_offsets"]) == len(plan["sequences"])
        assert len(set(plan["id_offsets"])) == len(plan["id_offsets"])
    for pause in plan.get("pauses", ()):
        assert not pause or pause["before"] >= 1


@given(cases(), st.integers(0, 12), st.integers(0, 3))
def test_the_smallest_case_fails_can_be_run_and_is_as_small_as_its_failure_lets_it_be(
    case: Case, requests: int, partners: int
) -> None:
    """The failure here needs so many requests of its own and so many partners, whatever they send."""

    def fails(smaller: Case) -> bool:
        for each in (smaller.main, *smaller.partners):
            assert_whole(each)
        return len(values_in(smaller.main)) >= requests and len(smaller.partners) >= partners

    if not fails(case):
        return
    smallest = minimise(case, fails)
    assert fails(smallest)
    assert len(smallest.partners) == partners
    assert len(values_in(smallest.main)) == max(1, requests)
    assert set(values_in(smallest.main)) == {PLAIN_VALUE}
    assert not any(smallest.main.plan.get("pauses", ()))
    assert all(values_in(each) == [PLAIN_VALUE] for each in smallest.partners)


@given(cases())
def test_a_value_that_matters_is_kept(case: Case) -> None:
    wanted = max(values_in(case.main))
    smallest = minimise(case, lambda smaller: wanted in values_in(smaller.main))
    assert values_in(smallest.main) == [wanted]
    assert smallest.partners == ()


@given(cases())
def test_a_case_that_fails_no_more_stays_as_it_is(case: Case) -> None:
    assert minimise(case, lambda smaller: False) == case


def test_a_pause_that_matters_is_made_short_and_stays_before_a_request() -> None:
    plan = {"model": "m", "id_offset": 1, "sequences": [[5, 6, 7, 8]], "pauses": [{"before": 3, "share": 0.7}]}
    smallest = minimise(Case(Play("SequenceValid", plan)), lambda smaller: any(smaller.main.plan["pauses"]))
    assert smallest.main.plan["sequences"] == [[PLAIN_VALUE, PLAIN_VALUE]]
    assert smallest.main.plan["pauses"] == [{"before": 1, "share": 0.1}]


def test_pictures_and_numbers_shrink_too() -> None:
    pictures = Case(Play("ResNet", {"pictures": [4, 0, 2, 0]}))
    assert minimise(pictures, lambda smaller: 2 in smaller.main.plan["pictures"]).main.plan == {"pictures": [2]}
    stretch = Case(Play("Identity", {"model": "m", "start": 7, "count": 1_000_000}))
    smallest = minimise(stretch, lambda smaller: smaller.main.plan["count"] > 262_144)
    assert smallest.main.plan == {"model": "m", "start": 7, "count": 262_145}
