"""Ratios of rounds: how often they claim what is not there, and how often they miss what is."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compare.simulated import MARGIN, MEASURES, comparison
from triton_users.compare.ratios import (
    confidence_of,
    fewest_rounds,
    judged,
    more_often,
    paired,
    unpaired,
)

above_zero = st.lists(st.floats(0.01, 1e6), min_size=10, max_size=10)


def test_a_server_against_itself_has_a_regression_in_at_most_five_of_a_hundred_comparisons() -> None:
    assert sum("worse" in comparison(seed, 1.0) for seed in range(100)) <= 5


def test_ten_percent_are_found_in_nineteen_of_twenty_comparisons() -> None:
    assert sum("worse" in comparison(seed, 1.10) for seed in range(20)) >= 19


def test_three_percent_are_never_called_better() -> None:
    assert not any("better" in comparison(seed, 1.03) for seed in range(50))


@given(above_zero, above_zero)
def test_the_other_way_round_is_the_inverse(a: list[float], b: list[float]) -> None:
    one, other = paired(a, b, 0.95), paired(b, a, 0.95)
    assert one.value == pytest.approx(1 / other.value)
    assert one.low == pytest.approx(1 / other.high)
    assert one.low <= one.value <= one.high


@given(above_zero, st.floats(0.1, 10))
def test_a_side_that_is_the_other_times_a_number_has_that_ratio(a: list[float], factor: float) -> None:
    found = paired(a, [factor * value for value in a], 0.95)
    assert found.low == pytest.approx(factor)
    assert found.high == pytest.approx(factor)


@pytest.mark.parametrize("confidence", [0.95, 0.99])
@pytest.mark.parametrize("rounds", [8, 10])
def test_the_interval_is_exact_for_rounds_that_do_not_differ(rounds: int, confidence: float) -> None:
    """Of all signs that the logarithms may have, the interval leaves 1 out in no more than it promises."""
    logs = [0.1 * 1.37**i for i in range(rounds)]
    left_out = 0
    for signs in product((-1, 1), repeat=rounds):
        found = paired([1.0] * rounds, [math.exp(s * log) for s, log in zip(signs, logs, strict=True)], confidence)
        left_out += not found.low <= 1 <= found.high
    assert left_out / 2**rounds <= 1 - confidence


def test_what_differs_from_start_to_start_widens_the_interval_however_alike_the_rounds_are() -> None:
    """Ten rounds of one process are one sample of how its allocator laid things out."""
    a, b = [100.0] * 10, [107.0] * 10
    assert judged(paired(a, b, 0.99), MARGIN, less_is_better=True).answer == "worse"
    assert judged(paired(a, b, 0.99, 0.03), MARGIN, less_is_better=True).answer == "no difference shown"


def test_few_rounds_say_nothing_and_it_is_known_how_many_are_needed() -> None:
    need = fewest_rounds(MEASURES)
    assert paired([1.0] * (need - 1), [2.0] * (need - 1), confidence_of(MEASURES)) is None
    assert paired([1.0] * need, [2.0] * need, confidence_of(MEASURES)) is not None
    assert judged(None, MARGIN, less_is_better=True).answer == "too few rounds to say"


def test_a_difference_within_the_margin_is_none_however_sure() -> None:
    found = judged(paired([1.0] * 10, [1.03] * 10, 0.95), MARGIN, less_is_better=True)
    assert (found.answer, found.smallest) == ("no difference shown", MARGIN)


@pytest.mark.parametrize(
    ("factor", "less_is_better", "answer"),
    [(1.2, True, "worse"), (0.8, True, "better"), (1.2, False, "better"), (0.8, False, "worse")],
)
def test_more_is_worse_or_better_as_the_measure_says(factor: float, less_is_better: bool, answer: str) -> None:
    assert judged(paired([1.0] * 10, [factor] * 10, 0.95), MARGIN, less_is_better=less_is_better).answer == answer


def test_two_saved_runs_that_differ_by_what_runs_differ_by_are_alike() -> None:
    draw = np.random.default_rng(1)
    answers: Counter[str] = Counter()
    for _ in range(60):
        a, b = (np.exp(draw.normal(0, 0.03) + draw.normal(0, 0.02, 10)) for _ in "ab")
        answers[judged(unpaired(list(a), list(b), confidence_of(3)), MARGIN, less_is_better=True).answer] += 1
    assert answers["worse"] <= 2


def test_two_saved_runs_of_which_one_is_half_as_fast_are_not() -> None:
    found = judged(unpaired([1.0, 1.01, 0.99] * 3, [2.0, 2.02, 1.98] * 3, 0.98), MARGIN, less_is_better=True)
    assert found.answer == "worse"


def test_failures_are_compared_by_the_chance_of_them() -> None:
    assert more_often(0, 10, 10, 10) < 1e-4
    assert more_often(5, 100, 6, 100) > 0.3
    assert more_often(0, 0, 0, 0) == 1
