"""Values to bytes and back, for each of Triton's datatypes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.utils import deserialize_bytes_tensor, serialize_byte_tensor

from triton_users.inputs.datatypes import FLOATS, NUMPY, DataError, decode, element_size, encode, from_values

INTEGERS = sorted(name for name in NUMPY if name.startswith(("INT", "UINT")))


@st.composite
def integers(draw: st.DrawFn) -> tuple[str, list[int]]:
    datatype = draw(st.sampled_from(INTEGERS))
    limits = np.iinfo(NUMPY[datatype])
    return datatype, draw(st.lists(st.integers(int(limits.min), int(limits.max))))


@given(integers())
def test_an_integer_comes_back_as_it_was(case: tuple[str, list[int]]) -> None:
    datatype, values = case
    assert decode(encode(from_values(values, datatype), datatype), datatype).tolist() == values


@given(st.sampled_from(INTEGERS), st.integers() | st.floats())
def test_a_number_that_an_integer_cannot_hold_is_named(datatype: str, value: float) -> None:
    limits = np.iinfo(NUMPY[datatype])
    fits = math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max
    if fits:
        assert from_values([value], datatype).tolist() == [int(value)]
    else:
        with pytest.raises(DataError, match="element 0 is") as raised:
            from_values([value], datatype)
        assert repr(value) in str(raised.value)


@given(st.lists(st.floats(width=32)))
def test_a_float_comes_back_as_it_was_nan_and_infinity_included(values: list[float]) -> None:
    back = decode(encode(from_values(values, "FP32"), "FP32"), "FP32")
    np.testing.assert_array_equal(back, np.array(values, np.float32))


@given(st.lists(st.floats(-(2.0**127), 2.0**127, width=32) | st.just(math.inf), min_size=1))
def test_bf16_is_the_nearest_of_its_numbers(values: list[float]) -> None:
    back = decode(encode(from_values(values, "BF16"), "BF16"), "BF16")
    for value, got in zip(values, back.tolist(), strict=True):
        down = np.array([value], "<f4").view("<u4") & np.uint32(0xFFFF0000)
        neighbours = [float(bits.view("<f4")[0]) for bits in (down, down + np.uint32(0x10000))]
        if math.isinf(value):
            assert got == value
        else:
            assert abs(got - value) == min(abs(each - value) for each in neighbours)


def test_a_nan_stays_one_in_bf16() -> None:
    assert np.isnan(decode(encode(from_values([math.nan], "BF16"), "BF16"), "BF16")).all()
    bits = np.array([0x7F800001], "<u4").view("<f4")  # one that would round up to infinity
    assert np.isnan(from_values(bits.tolist(), "BF16")).all()


def test_bf16_is_the_upper_half_of_fp32() -> None:
    values = np.array([0.0, 1.0, -2.5, 3.140625], np.float32)
    assert encode(from_values(values.tolist(), "BF16"), "BF16") == values.view("<u2")[1::2].tobytes()


@given(st.lists(st.text()))
def test_bytes_are_what_tritonclient_sends_and_reads(texts: list[str]) -> None:
    raw = encode(from_values(texts, "BYTES"), "BYTES")
    assert decode(raw, "BYTES").tolist() == [text.encode() for text in texts]
    if texts:
        assert raw == serialize_byte_tensor(np.array([t.encode() for t in texts], object)).item()
        assert deserialize_bytes_tensor(raw).tolist() == [text.encode() for text in texts]


@given(st.binary())
def test_bytes_that_are_no_elements_are_refused_and_never_misread(raw: bytes) -> None:
    try:
        elements = decode(raw, "BYTES")
    except DataError:
        return
    assert encode(elements, "BYTES") == raw


@pytest.mark.parametrize("datatype", sorted(NUMPY))
def test_half_an_element_is_no_element(datatype: str) -> None:
    size = element_size(datatype)
    if size != 1:
        with pytest.raises(DataError):
            decode(b"\x01" * (size - 1 if size else 3), datatype)


@pytest.mark.parametrize(
    ("values", "datatype", "message"),
    [
        ([[1, 2], [3, 4]], "INT32", "nested"),
        ([1, [2]], "INT32", "nested"),
        ([1, "2"], "INT32", "element 1 is '2', not a number"),
        ([None], "FP32", "element 0 is None, not a number"),
        (["x", 1], "BYTES", "element 1 is 1, but BYTES takes texts"),
        ([2], "BOOL", "element 0 is 2, but BOOL takes true or false"),
        ([256], "UINT8", "element 0 is 256, but UINT8 takes a whole number from 0 to 255"),
        ([-1], "UINT64", "a whole number from 0"),
        ([1.5], "INT8", "element 0 is 1.5"),
        ([1.0, 1e10], "FP16", "element 1 is 10000000000.0, which is more than FP16 holds"),
        ([1e39], "FP32", "which is more than FP32 holds"),
        ([3.4e38], "BF16", "which is more than BF16 holds"),
    ],
)
def test_a_value_of_another_kind_is_named(values: list[object], datatype: str, message: str) -> None:
    with pytest.raises(DataError) as raised:
        from_values(values, datatype)
    assert message in str(raised.value)


@pytest.mark.parametrize("datatype", sorted(FLOATS))
def test_whole_numbers_are_floats_too(datatype: str) -> None:
    assert decode(encode(from_values([1, -2, 0], datatype), datatype), datatype).tolist() == [1.0, -2.0, 0.0]


def test_a_tensor_may_be_empty() -> None:
    for datatype in NUMPY:
        assert encode(from_values([], datatype), datatype) == b""
        assert decode(b"", datatype).size == 0
