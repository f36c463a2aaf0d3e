"""How many requests it takes to say that a percentile keeps its limit."""

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_users.judge.samples import enough, needed, tail


@pytest.mark.parametrize(("outside", "wanted"), [(0, 459), (1, 662), (2, 838), (5, 1307), (10, 2010)])
def test_a_99th_percentile_needs_as_many_requests_as_loadgen_says(outside: int, wanted: int) -> None:
    assert needed(outside, 0.01) == wanted


def test_a_higher_percentile_needs_more_and_a_median_few() -> None:
    assert (needed(0, 0.001), needed(0, 0.0001), needed(0, 0.5)) == (4603, 46050, 7)


@settings(deadline=None)
@given(st.integers(1, 150), st.data(), st.integers(1, 99))
def test_the_tail_is_that_of_the_binomial_distribution(values: int, data: st.DataObject, percent: int) -> None:
    outside = data.draw(st.integers(0, values))
    share = Fraction(percent, 100)
    exact = sum(comb(values, k) * share**k * (1 - share) ** (values - k) for k in range(outside + 1))
    if outside < values * share:
        assert tail(values, outside, percent / 100) == pytest.approx(float(exact), rel=1e-9)
    else:
        assert exact > Fraction(1, 100)
        assert not enough(values, outside, percent / 100)


@settings(deadline=None)
@given(st.integers(0, 300), st.sampled_from([0.5, 0.1, 0.05, 0.01, 0.001]))
def test_one_fewer_than_needed_is_not_enough_and_no_more_make_it_less(outside: int, allowed: float) -> None:
    least = needed(outside, allowed)
    assert enough(least, outside, allowed)
    assert not enough(least - 1, outside, allowed)
    assert enough(2 * least, outside, allowed)


def test_of_a_hundred_million_requests_the_answer_is_exact_to_many_digits_and_quick() -> None:
    million = 1_000_000
    assert not enough(100 * million, million, 0.01)
    assert enough(100 * million, million - 2_500, 0.01)  # 2.33 standard deviations are 2,318
    assert not enough(100 * million, million - 2_200, 0.01)
