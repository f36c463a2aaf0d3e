"""Data that are made where the user has none."""

import numpy as np
import pytest

from tests.inputs.specs import ints, model
from triton_users.inputs.datatypes import NUMPY, decode
from triton_users.inputs.model import TensorSpec
from triton_users.inputs.random_data import POOL_BYTES, POOL_STEPS, Ranges, random_data


@pytest.mark.parametrize("datatype", sorted(NUMPY))
def test_every_datatype_is_made_in_its_shape(datatype: str) -> None:
    data = random_data(model(TensorSpec("IN", datatype, (3, 5))), seed=1)
    for index in range(data.streams[0]):
        assert decode(data.step(0, index).inputs["IN"].raw, datatype).size == 15


def test_the_same_seed_makes_the_same_data_and_another_seed_others() -> None:
    spec = model(TensorSpec("IN", "FP32", (8,)), TensorSpec("TEXT", "BYTES", (2,)))
    first, again, other = (random_data(spec, seed) for seed in (7, 7, 8))
    assert [first.step(0, i) for i in range(POOL_STEPS)] == [again.step(0, i) for i in range(POOL_STEPS)]
    assert first.step(0, 0) != other.step(0, 0)


def test_steps_differ_so_that_no_cache_answers_for_the_model() -> None:
    data = random_data(model(TensorSpec("IN", "FP32", (8,))), seed=1)
    assert len({data.step(0, i).inputs["IN"].raw for i in range(POOL_STEPS)}) == POOL_STEPS


def test_integers_are_small_unless_asked_otherwise_and_fit_their_type() -> None:
    def all_values(ranges: Ranges, datatype: str = "INT32") -> set[int]:
        data = random_data(model(TensorSpec("IN", datatype, (64,))), 1, {"": ranges})
        return {int(v) for i in range(data.streams[0]) for v in decode(data.step(0, i).inputs["IN"].raw, datatype)}

    assert all_values(Ranges()) == set(range(101))
    assert all_values(Ranges(integers=(-3, 2))) == {-3, -2, -1, 0, 1, 2}
    assert all_values(Ranges(integers=(-5, 10_000)), "UINT8") == set(range(256))


def test_a_large_tensor_makes_a_small_pool() -> None:
    data = random_data(model(TensorSpec("IN", "UINT8", (POOL_BYTES // 4,))), seed=1)
    assert data.streams[0] == 4


def test_an_optional_input_is_left_out() -> None:
    step = random_data(model(ints(), TensorSpec("MORE", "FP32", (-1,), optional=True)), seed=1).step(0, 0)
    assert set(step.inputs) == {"IN"}


def test_texts_have_the_length_that_was_asked_for() -> None:
    data = random_data(model(TensorSpec("IN", "BYTES", (4,))), 1, {"": Ranges(bytes_length=5)})
    assert {len(text) for text in decode(data.step(0, 0).inputs["IN"].raw, "BYTES")} == {5}


def test_floats_lie_in_their_range() -> None:
    data = random_data(model(TensorSpec("IN", "FP64", (1000,))), 1, {"IN": Ranges(floats=(-2, 3))})
    values = decode(data.step(0, 0).inputs["IN"].raw, "FP64")
    assert -2 <= np.min(values) < -1.5
    assert 2.5 < np.max(values) <= 3
