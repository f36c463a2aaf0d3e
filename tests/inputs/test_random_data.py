"""Data that are made where the user has none."""

import numpy as np
import pytest

from tests.inputs.specs import ints, model
from triton_users.inputs.datatypes import NUMPY, decode
from triton_users.inputs.model import ModelSpec, TensorSpec
from triton_users.inputs.random_data import MAX_SETS, POOL_BYTES, POOL_STEPS, Ranges, random_data


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


def sets_of(spec: ModelSpec, *optional: list[str]) -> list[set[str]]:
    data = random_data(spec, 1, None, *optional)
    of_steps = [[set(data.step(i, step).inputs) for step in range(n)] for i, n in enumerate(data.streams)]
    assert all(each == steps[0] for steps in of_steps for each in steps), "a batch takes steps of one stream"
    assert not data.whole
    return [steps[0] for steps in of_steps]


def test_each_optional_input_of_known_size_is_in_part_of_the_steps_alone_and_with_the_others() -> None:
    open_size = TensorSpec("OPEN", "FP32", (-1,), optional=True)
    spec = model(ints(), ints("A", optional=True), open_size, ints("B", optional=True))
    assert sets_of(spec) == [{"IN"}, {"IN", "A"}, {"IN", "B"}, {"IN", "A", "B"}]
    assert sets_of(spec, ["B"]) == [{"IN"}, {"IN", "B"}]
    assert sets_of(spec, []) == [{"IN"}]


def test_a_model_of_many_optional_inputs_has_no_more_steps_than_another() -> None:
    spec = model(ints(), *(ints(f"O{i}", optional=True) for i in range(30)))
    found = sets_of(spec)
    assert len(found) == MAX_SETS
    assert len(found[0]) == 1
    assert len(found[-1]) == 31
    assert sum(random_data(spec, 1).streams) <= POOL_STEPS


def test_texts_have_the_length_that_was_asked_for() -> None:
    data = random_data(model(TensorSpec("IN", "BYTES", (4,))), 1, {"": Ranges(bytes_length=5)})
    assert {len(text) for text in decode(data.step(0, 0).inputs["IN"].raw, "BYTES")} == {5}


def test_floats_lie_in_their_range() -> None:
    data = random_data(model(TensorSpec("IN", "FP64", (1000,))), 1, {"IN": Ranges(floats=(-2, 3))})
    values = decode(data.step(0, 0).inputs["IN"].raw, "FP64")
    assert -2 <= np.min(values) < -1.5
    assert 2.5 < np.max(values) <= 3
