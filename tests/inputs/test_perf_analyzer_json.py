"""perf_analyzer's input data: files as its documentation shows them, files that are wrong, and what the errors say."""

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inputs.specs import ints, model
from triton_users.inputs.data import InputData, Step
from triton_users.inputs.datatypes import DataError, decode
from triton_users.inputs.load import load
from triton_users.inputs.model import ModelSpec, TensorSpec
from triton_users.inputs.perf_analyzer_json import FIRST_LINES, JsonLines, read_json
from triton_users.settings import UsageError

OUT = TensorSpec("OUT", "INT32", (4,))
PLAIN = model(ints(), outputs=(OUT,))


def write(folder: Path, content: Any) -> Path:
    file = folder / "data.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def values(step: Step, name: str = "IN") -> list[Any]:
    tensor = step.inputs[name]
    found: list[Any] = decode(tensor.raw, tensor.spec.datatype).tolist()
    return found


def all_values(data: InputData) -> list[list[Any]]:
    return [[values(data.step(stream, i)) for i in range(count)] for stream, count in enumerate(data.streams)]


def test_objects_are_steps_of_one_stream(tmp_path: Path) -> None:
    data = read_json(write(tmp_path, {"data": [{"IN": [1, 2, 3, 4]}, {"IN": [5, 6, 7, 8]}]}), PLAIN)
    assert data.streams == (2,)
    assert all_values(data) == [[[1, 2, 3, 4], [5, 6, 7, 8]]]


def test_lists_are_streams_of_their_own(tmp_path: Path) -> None:
    texts = model(TensorSpec("INPUT", "BYTES", (1,)), sequences=True)
    streams = [[{"INPUT": [t]} for t in stream] for stream in ("1234", "11", "5")]
    data = read_json(write(tmp_path, {"data": streams}), texts)
    assert data.streams == (4, 2, 1)
    assert values(data.step(0, 3), "INPUT") == [b"4"]


def test_base64_is_the_raw_contents(tmp_path: Path) -> None:
    raw = np.array([1, -2, 3, 4], "<i4").tobytes()
    encoded = base64.b64encode(raw).decode()
    for tensor in ({"b64": encoded}, {"content": {"b64": encoded}}, {"content": {"b64": encoded}, "shape": [4]}):
        assert values(read_json(write(tmp_path, {"data": [{"IN": tensor}]}), PLAIN).step(0, 0)) == [1, -2, 3, 4]


def test_base64_of_bytes_carries_the_length_of_each_element(tmp_path: Path) -> None:
    raw = b"\x02\x00\x00\x00hi\x00\x00\x00\x00"
    entry = {"IN": {"b64": base64.b64encode(raw).decode()}}
    texts = model(TensorSpec("IN", "BYTES", (2,)))
    assert values(read_json(write(tmp_path, {"data": [entry]}), texts).step(0, 0)) == [b"hi", b""]


def test_a_shape_beats_the_one_of_the_option_and_may_differ_from_step_to_step(tmp_path: Path) -> None:
    open_ = model(TensorSpec("IN", "INT32", (-1, -1)))
    content = list(range(16))
    entries = [{"IN": {"content": content, "shape": shape}} for shape in ([2, 8], [8, 2], [4, 4])]
    data = read_json(write(tmp_path, {"data": entries}), open_)
    assert [data.step(0, i).inputs["IN"].shape for i in range(3)] == [(2, 8), (8, 2), (4, 4)]
    with pytest.raises(DataError, match=r'data\[0\]: IN: the model takes \[-1,-1\]: give a "shape" here'):
        read_json(write(tmp_path, {"data": [{"IN": content}]}), open_)


def test_what_must_be_answered_stands_beside_what_is_sent(tmp_path: Path) -> None:
    content = {"data": [{"IN": [1, 2, 3, 4]}], "validation_data": [{"OUT": [2, 4, 6, 8]}]}
    step = read_json(write(tmp_path, content), PLAIN).step(0, 0)
    assert decode(step.expected["OUT"].raw, "INT32").tolist() == [2, 4, 6, 8]


def test_nan_and_infinity_are_numbers(tmp_path: Path) -> None:
    floats = model(TensorSpec("IN", "FP32", (3,)))
    found = values(read_json(write(tmp_path, '{"data": [{"IN": [NaN, Infinity, -Infinity]}]}'), floats).step(0, 0))
    assert math.isnan(found[0])
    assert found[1:] == [math.inf, -math.inf]


def test_an_optional_input_may_be_absent(tmp_path: Path) -> None:
    spec = model(ints(), ints("MORE", 1, optional=True))
    assert set(read_json(write(tmp_path, {"data": [{"IN": [1, 2, 3, 4]}]}), spec).step(0, 0).inputs) == {"IN"}


def test_a_single_value_is_a_tensor_of_one_element(tmp_path: Path) -> None:
    one = model(TensorSpec("IN", "BYTES", (1,)))
    assert values(read_json(write(tmp_path, {"data": [{"IN": "hello"}]}), one).step(0, 0)) == [b"hello"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ([1], 'it has no list "data"'),
        ({"dat": []}, 'it has no list "data"'),
        ({"data": []}, 'its list "data" is empty'),
        ({"data": [[]]}, "data[0] is empty"),
        ({"data": [{"IN": [1, 2, 3, 4]}, [{"IN": [1, 2, 3, 4]}]]}, '"data" mixes objects and lists'),
        ({"data": [[{"IN": [1, 2, 3, 4]}], {"IN": [1, 2, 3, 4]}]}, "data[1] is no list"),
        ({"data": [{"INN": [1, 2, 3, 4]}]}, "data[0]: m has no input 'INN'; it has IN"),
        ({"data": [{}]}, "data[0]: no data for IN, which m needs"),
        ({"data": [{"IN": [1, 2, 3]}]}, "data[0]: IN: it has 3 elements, but [4] has 4"),
        ({"data": [{"IN": [1, 2, 3, 4.5]}]}, "data[0]: IN: element 3 is 4.5"),
        ({"data": [{"IN": [[1, 2], [3, 4]]}]}, "data[0]: IN: the values are nested"),
        ({"data": [{"IN": {"b64": "??"}}]}, "data[0]: IN: its b64 cannot be decoded"),
        ({"data": [{"IN": {"b64": "AAAA"}}]}, "data[0]: IN: 3 bytes are no whole number of INT32"),
        ({"data": [{"IN": {"values": [1]}}]}, "data[0]: IN: a tensor is a flat list"),
        ({"data": [{"IN": {"content": [1, 2, 3, 4], "shape": [2, 2]}}]}, "its shape is [2,2], but the model takes [4]"),
        ({"data": [{"IN": {"content": [1], "shape": "4"}}]}, 'its shape is "4", not a list of whole numbers'),
        ({"data": [7]}, "data[0]: a step is an object of input names and tensors, not 7"),
        ({"data": [{"IN": [1, 2, 3, 4]}], "validation_data": []}, "as many entries as"),
        ({"data": [{"IN": [1, 2, 3, 4]}], "validation_data": [{"X": [1]}]}, "m has no output 'X'; it has OUT"),
        ({"data": [[{"IN": [1, 2, 3, 4]}]], "validation_data": [[]]}, "validation_data[0] must be a list of 1 steps"),
    ],
)
def test_a_wrong_file_says_which_step_and_tensor_and_what_is_right(tmp_path: Path, content: Any, message: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(UsageError) as raised:
        load([file], PLAIN)
    assert f"input data of m: {file}: " in str(raised.value)
    assert message in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for name in ("no.json", "no.jsonl", "no.npz"):
        with pytest.raises(UsageError, match=f"{name}: No such file"):
            load([tmp_path / name], PLAIN)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["IN", "content", "shape", "b64"]), inner)
    ),
    max_leaves=12,
)


@given(json_values, json_values)
def test_whatever_a_file_holds_it_is_read_or_refused(tmp_path_factory: Any, data: Any, expected: Any) -> None:
    file = write(tmp_path_factory.mktemp("any"), {"data": data, "validation_data": expected})
    try:
        found = load([file], PLAIN)
    except UsageError:
        return
    for stream, count in enumerate(found.streams):
        for index in range(count):
            assert len(values(found.step(stream, index))) == 4


class TestJsonLines:
    def lines(self, folder: Path, *lines: str) -> Path:
        file = folder / "data.jsonl"
        file.write_text("\n".join(lines) + "\n")
        return file

    def test_each_line_is_a_step_with_or_without_its_answer(self, tmp_path: Path) -> None:
        file = self.lines(
            tmp_path,
            '{"IN": [1, 2, 3, 4]}',
            "",
            '{"data": {"IN": [5, 6, 7, 8]}, "validation_data": {"OUT": [1, 1, 1, 1]}}',
        )
        data = load([file], PLAIN)
        assert all_values(data) == [[[1, 2, 3, 4], [5, 6, 7, 8]]]
        assert not data.step(0, 0).expected
        assert decode(data.step(0, 1).expected["OUT"].raw, "INT32").tolist() == [1, 1, 1, 1]

    def test_a_wrong_line_at_the_start_is_found_before_the_run(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match=r"step 1: IN: it has 1 elements, but \[4\] has 4"):
            load([self.lines(tmp_path, '{"IN": [1, 2, 3, 4]}', '{"IN": [1]}')], PLAIN)

    def test_a_wrong_line_far_down_is_found_when_its_turn_comes(self, tmp_path: Path) -> None:
        data = load([self.lines(tmp_path, *['{"IN": [1, 2, 3, 4]}'] * FIRST_LINES, "no")], PLAIN)
        with pytest.raises(DataError, match=f"step {FIRST_LINES}: it is no JSON"):
            data.step(0, FIRST_LINES)

    def test_an_empty_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no line with a step"):
            load([self.lines(tmp_path, "")], PLAIN)

    def test_a_line_costs_bytes_of_memory_not_its_length(self, tmp_path: Path) -> None:
        text = model(TensorSpec("IN", "BYTES", (1,)))
        data = JsonLines(self.lines(tmp_path, *[json.dumps({"IN": ["x" * 1000]})] * 5000), text)
        assert len(data._starts) * data._starts.itemsize + len(data._lengths) * data._lengths.itemsize <= 5000 * 16


def test_a_model_that_was_given_shapes_takes_flat_values(tmp_path: Path) -> None:
    open_: ModelSpec = model(TensorSpec("IN", "INT32", (-1,))).with_shapes({"IN": (2,)})
    assert values(read_json(write(tmp_path, {"data": [{"IN": [7, 8]}]}), open_).step(0, 0)) == [7, 8]
