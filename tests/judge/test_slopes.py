"""The slope of a series and the interval around it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.judge.simulated import remembering
from triton_users.judge.slopes import binned, slope, steepness, student_quantile, uneven

X = list(range(30))
small = st.floats(-1e3, 1e3, allow_nan=False)


@given(small, small)
@settings(max_examples=20)
def test_a_straight_line_has_its_own_slope_and_no_width(a: float, b: float) -> None:
    found = slope(X, [a + b * x for x in X])
    assert found.value == pytest.approx(b, abs=1e-6)
    assert found.high - found.low == pytest.approx(0, abs=1e-4)


@given(st.integers(0, 1_000), st.floats(0.1, 10), small)
@settings(max_examples=15)
def test_the_slope_follows_its_units(seed: int, factor: float, shift: float) -> None:
    y = np.random.default_rng(seed).normal(size=30)
    plain, other = slope(X, y), slope(X, factor * y + shift)
    for name in ("value", "low", "high"):
        assert getattr(other, name) == pytest.approx(factor * getattr(plain, name), rel=1e-3, abs=1e-5)


def test_a_quarter_of_the_points_may_be_anything() -> None:
    y = [2.0 * x + (1e6 if x % 4 == 0 else 0) for x in range(48)]
    assert steepness(list(range(48)), y) == pytest.approx(2, rel=0.2)


def test_the_same_series_has_the_same_interval_each_time() -> None:
    y = np.random.default_rng(3).normal(size=30)
    assert slope(X, y) == slope(X, y)


@pytest.mark.parametrize("memory", [0.0, 0.6, 0.9])
def test_noise_that_remembers_is_no_growth(memory: float) -> None:
    """Nominal: one series in a hundred. An interval for independent points would fail for most with a memory of 0.9."""
    draw = np.random.default_rng(11)
    series = [remembering(draw, 48, memory, 1.0) for _ in range(60)]
    found = [slope(list(range(48)), each) for each in series]
    assert sum(each.low > 0 or each.high < 0 for each in found) <= 4


def test_growth_under_noise_is_inside_its_interval() -> None:
    draw = np.random.default_rng(12)
    found = [slope(list(range(48)), 0.5 * np.arange(48) + remembering(draw, 48, 0.5, 1.0)) for _ in range(40)]
    assert sum(each.low <= 0.5 <= each.high for each in found) >= 38
    assert all(each.low > 0 for each in found)


def test_what_follows_the_load_is_no_growth() -> None:
    load = 100 + 60 * np.sin(np.arange(48) / 20)
    y = 800 + 0.5 * load + np.random.default_rng(5).normal(size=48)
    assert uneven(load)
    assert steepness(list(range(48)), y) > 0.2
    levelled = slope(list(range(48)), y, load)
    assert levelled.low < 0 < levelled.high


@pytest.mark.parametrize("x", [list(range(8)), [1.0] * 30])
def test_too_few_points_and_an_x_that_stands_still_say_nothing(x: list[float]) -> None:
    assert slope(x, x) is None


def test_bins_hold_medians_and_none_where_nothing_was_sampled() -> None:
    found = binned([0, 1, 2, 10], [1, 100, 3, 7], [0, 5, 9, 11])
    assert found[0] == 3
    assert math.isnan(found[1])
    assert found[2] == 7


@pytest.mark.parametrize(
    ("p", "freedom", "known"), [(0.995, 1, 63.657), (0.995, 5, 4.0321), (0.975, 10, 2.2281), (0.95, 30, 1.6973)]
)
def test_quantiles_of_student_are_those_of_the_tables(p: float, freedom: int, known: float) -> None:
    assert student_quantile(p, freedom) == pytest.approx(known, rel=1e-4)
