"""What a sequence sends and what each of its answers must be, without a server."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.scenarios.sequence_models import draw_values, expected_answers


@given(st.integers(), st.floats(1, 50), st.floats(0, 50))
def test_a_sequence_has_at_least_one_value_and_all_are_in_range(seed: int, mean: float, stdev: float) -> None:
    values = draw_values(random.Random(seed), mean, stdev)
    assert values
    assert all(0 <= value < 1024 * 1024 for value in values)


def test_lengths_follow_the_mean() -> None:
    draw = random.Random(2)
    lengths = [len(draw_values(draw, 16, 8)) for _ in range(3_000)]
    assert np.mean(lengths) == pytest.approx(15.5, abs=0.6)  # int() takes half of one off


whole = st.lists(st.integers(0, 1024 * 1024 - 1), min_size=1, max_size=50).map(tuple)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=50).map(tuple))
def test_an_int32_accumulator_wraps_around(values: tuple[int, ...]) -> None:
    total, wanted = 0, []
    for value in values:
        total = (total + value + 2**31) % 2**32 - 2**31
        wanted.append(total)
    assert expected_answers(values, "INT32", accumulates=True) == wanted


@given(whole)
def test_an_fp32_accumulator_rounds_after_each_addition(values: tuple[int, ...]) -> None:
    total, wanted = np.float32(0), []
    for value in values:
        total = np.float32(total + np.float32(value))
        wanted.append(float(total))
    assert expected_answers(values, "FP32", accumulates=True) == wanted


@given(whole, st.sampled_from(["INT32", "FP32"]))
def test_other_models_answer_the_value_and_one_more_on_start(values: tuple[int, ...], datatype: str) -> None:
    answers = expected_answers(values, datatype, accumulates=False)
    assert answers == [values[0] + 1, *values[1:]]
    assert all(isinstance(answer, int if datatype == "INT32" else float) for answer in answers)
