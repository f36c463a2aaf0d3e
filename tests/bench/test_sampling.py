"""Rounds, medians and ratios: no claim where something went wrong."""

from __future__ import annotations

import dataclasses

import pytest

from bench.sampling import Sample, median_of, paired, ratio_of

GOOD = Sample(3000, 1000.0, 100.0, 50.0, 800.0, 900.0, 1500.0, 0)


def at_rate(rate: float, errors: int = 0) -> Sample:
    return dataclasses.replace(GOOD, requests_per_s=rate, errors=errors)


def test_sides_take_turns() -> None:
    turns: list[str] = []

    def side(name: str) -> Sample:
        turns.append(name)
        return GOOD

    samples = paired(2, {"a": lambda: side("a"), "b": lambda: side("b")})
    assert turns == ["a", "b", "a", "b"]
    assert {name: len(rounds) for name, rounds in samples.items()} == {"a": 2, "b": 2}


def test_the_median_is_not_moved_by_one_bad_round() -> None:
    assert median_of([at_rate(100), at_rate(5), at_rate(110)], "requests_per_s") == 100


def test_a_ratio_pairs_the_rounds() -> None:
    # Both sides were slow in the second round; the medians alone would give 300 / 100.
    ours = [at_rate(300), at_rate(20), at_rate(300)]
    peer = [at_rate(200), at_rate(10), at_rate(100)]
    assert ratio_of(ours, peer, "requests_per_s") == 2.0


@pytest.mark.parametrize("errors", [(1, 0), (0, 1)])
def test_an_error_on_either_side_leaves_no_ratio(errors: tuple[int, int]) -> None:
    ours, peer = errors
    assert ratio_of([GOOD, at_rate(1, ours)], [GOOD, at_rate(1, peer)], "requests_per_s") is None


def test_a_value_that_one_side_does_not_give_leaves_no_ratio() -> None:
    peer = dataclasses.replace(GOOD, p50_us=None)
    assert ratio_of([GOOD], [peer], "p50_us") is None
    assert median_of([GOOD, peer], "p50_us") is None


def test_rounds_that_do_not_pair_up_leave_no_ratio() -> None:
    assert ratio_of([GOOD, GOOD], [GOOD], "requests_per_s") is None
