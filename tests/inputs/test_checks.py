"""What counts as the right answer, and what is said of a wrong one."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from triton_users.inputs.checks import TOLERANCES, Tolerance, compare
from triton_users.inputs.data import Tensor
from triton_users.inputs.datatypes import NUMPY, encode, from_values
from triton_users.inputs.model import TensorSpec


def tensor(datatype: str, values: list[Any], *shape: int) -> Tensor:
    shape = shape or (len(values),)
    return Tensor(TensorSpec("OUT", datatype, shape), shape, encode(from_values(values, datatype), datatype))


def answered(datatype: str, values: list[Any]) -> bytes:
    return encode(from_values(values, datatype), datatype)


@pytest.mark.parametrize("datatype", sorted(set(NUMPY) - set(TOLERANCES) - {"BYTES", "BOOL"}))
def test_integers_must_be_the_same(datatype: str) -> None:
    found = compare(tensor(datatype, [1, 2, 3]), answered(datatype, [1, 2, 4]), (3,), None)
    assert found is not None
    assert str(found) == "OUT[2] is 4, not 3; 1 of 3 elements differ, the largest difference is 1"


@pytest.mark.parametrize(
    ("wanted", "same"),
    [
        ("0.6:3:VULTURE", True),
        ("0.60001:3:VULTURE", True),
        ("VULTURE", True),
        ("3", True),
        ("0.7:3:VULTURE", False),
        ("0.6:4:VULTURE", False),
        ("0.6:3:EAGLE", False),
        ("0.6", False),
        ("EAGLE", False),
        ("4", False),
        ("", False),
        ("?:3:VULTURE", False),
    ],
)
def test_a_class_is_what_its_label_its_index_or_all_of_it_says_with_a_score_that_is_near(
    wanted: str, same: bool
) -> None:
    spec = TensorSpec("OUT", "BYTES", (1,), labels=True, classes=1)
    expected = Tensor(spec, (1,), answered("BYTES", [wanted]))
    found = compare(expected, answered("BYTES", ["0.600000:3:VULTURE"]), (1,), None)
    assert (found is None) is same


def test_texts_and_truths_must_be_the_same() -> None:
    assert str(compare(tensor("BYTES", ["a", "b"]), answered("BYTES", ["a", "c"]), (2,), None)).startswith(
        "OUT[1] is 'c', not 'b'; 1 of 2"
    )
    assert compare(tensor("BOOL", [True, False]), answered("BOOL", [True, True]), (2,), None) is not None
    assert compare(tensor("BYTES", ["a", "b"]), answered("BYTES", ["a", "b"]), (2,), None) is None


def test_the_place_of_the_first_wrong_element_is_its_index_in_the_tensor() -> None:
    wrong = list(range(1000))
    wrong[517] = -5
    found = compare(tensor("INT32", list(range(1000)), 10, 100), answered("INT32", wrong), (10, 100), None)
    assert found is not None
    assert (found.index, found.expected, found.got, found.different) == ((5, 17), 517, -5, 1)


def test_another_shape_is_wrong_even_with_the_same_bytes() -> None:
    found = compare(tensor("INT32", [1, 2]), answered("INT32", [1, 2]), (2, 1), None)
    assert str(found) == "OUT: its shape is [2, 1], not [2]"


def test_contents_that_do_not_fill_the_shape_are_wrong() -> None:
    assert "1 elements, not 2" in str(compare(tensor("INT32", [1, 2]), answered("INT32", [1]), (2,), None))
    assert "no INT32" in str(compare(tensor("INT32", [1, 2]), b"123", (2,), None))


@pytest.mark.parametrize("datatype", sorted(TOLERANCES))
def test_floats_may_differ_by_their_tolerance_and_no_more(datatype: str) -> None:
    tolerance = TOLERANCES[datatype]
    near, far = 1 + tolerance.rtol / 2, 1 + 3 * (tolerance.rtol + tolerance.atol)
    assert compare(tensor(datatype, [1.0]), answered(datatype, [near]), (1,), None) is None
    assert compare(tensor(datatype, [1.0]), answered(datatype, [far]), (1,), None) is not None


def test_a_tolerance_of_zero_wants_the_same_numbers() -> None:
    near = np.nextafter(np.float32(1), np.float32(2)).item()
    assert compare(tensor("FP32", [1.0]), answered("FP32", [near]), (1,), Tolerance()) is not None


def test_nan_and_infinity_are_only_themselves() -> None:
    special = [math.nan, math.inf, -math.inf]
    assert compare(tensor("FP32", special), answered("FP32", special), (3,), None) is None
    for wrong in ([0.0, math.inf, -math.inf], [math.nan, -math.inf, -math.inf], [math.nan, 3e38, -math.inf]):
        found = compare(tensor("FP32", special), answered("FP32", wrong), (3,), None)
        assert found is not None
        assert found.different == 1


@given(arrays(np.float32, 8, elements=st.floats(width=32)), st.integers(0, 7), st.integers(0, 31))
def test_no_flipped_bit_goes_unseen_without_a_tolerance(values: Any, index: int, bit: int) -> None:
    flipped = values.copy()
    flipped.view("<u4")[index] ^= np.uint32(1 << bit)
    expected = Tensor(TensorSpec("OUT", "FP32", (8,)), (8,), values.tobytes())
    found = compare(expected, flipped.tobytes(), (8,), Tolerance())
    both_nan = np.isnan(values[index]) and np.isnan(flipped[index])
    both_zero = values[index] == 0 == flipped[index]
    assert (found is None) == bool(both_nan or both_zero)


any_floats = st.floats(width=32) | st.sampled_from([0.0, 1.0, 1.0001, -1.0, np.inf, -np.inf, np.nan, 3.4e38])


@given(
    st.lists(st.tuples(any_floats, any_floats), min_size=1, max_size=6),
    st.sampled_from([0.0, 1e-4, 0.5]),
    st.sampled_from([0.0, 1e-5, 2.0]),
)
def test_floats_are_close_where_numpy_says_so(pairs: list[tuple[float, float]], rtol: float, atol: float) -> None:
    wanted, got = (np.array(each, np.float32) for each in zip(*pairs, strict=True))
    spec = TensorSpec("OUT", "FP32", wanted.shape)
    expected = Tensor(spec, wanted.shape, wanted.tobytes())
    found = compare(expected, got.tobytes(), wanted.shape, Tolerance(rtol, atol))
    with np.errstate(all="ignore"):
        close = np.isclose(got.astype(np.float64), wanted.astype(np.float64), rtol, atol, equal_nan=True)
    assert (0 if found is None else found.different) == int((~close).sum())
