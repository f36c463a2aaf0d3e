"""The forms in which perf_analyzer's users have their input data, with values of our own: each is read unchanged.

They are those of perf_analyzer's documentation (docs/input_data.md), of what its data_loader.cc takes beyond that, and
of files that people show in issues.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.inputs.specs import model
from triton_users.inputs.datatypes import NUMPY, decode, encode, from_values, rounded
from triton_users.inputs.load import load
from triton_users.inputs.model import ModelSpec, TensorSpec

IDS, OPEN, TEXT = (
    TensorSpec("ids", "INT64", (4,)),
    TensorSpec("open", "FP32", (-1, 2)),
    TensorSpec("text", "BYTES", (1,)),
)
PLAIN = model(IDS, outputs=(TensorSpec("OUT", "INT64", (4,)),))
SIZED = model(OPEN).with_shapes({"open": (2, 2)})
SEQUENCES = model(TEXT, sequences=True, outputs=(TensorSpec("OUT", "INT32", (1,)),))


def b64(*values: Any, kind: str = "<i8") -> str:
    return base64.b64encode(np.array(values, kind).tobytes()).decode()


FORMS: dict[str, tuple[ModelSpec, str, Any]] = {
    "flat arrays, two steps": (PLAIN, """{"data": [{"ids": [5, 6, 7, 8]}, {"ids": [1, 2, 3, 4]}]}""", (2,)),
    "a file with other members": (
        PLAIN,
        """{"comment": "mine", "data": [{"ids": [5, 6, 7, 8]}], "version": 1}""",
        (1,),
    ),
    "base64": (PLAIN, json.dumps({"data": [{"ids": {"b64": b64(5, 6, 7, 8)}}]}), (1,)),
    "base64 in broken lines": (
        PLAIN,
        json.dumps({"data": [{"ids": {"b64": f"{b64(5, 6, 7, 8)[:20]}\n {b64(5, 6, 7, 8)[20:]}\n"}}]}),
        (1,),
    ),
    "base64 with a shape beside it": (
        model(OPEN),
        json.dumps({"data": [{"open": {"b64": b64(5, 6, 7, 8, kind="<f4"), "shape": [2, 2]}}]}),
        (1,),
    ),
    "base64 as content, with a shape": (
        model(OPEN),
        json.dumps({"data": [{"open": {"content": {"b64": b64(5, 6, 7, 8, kind="<f4")}, "shape": [2, 2]}}]}),
        (1,),
    ),
    "content with a shape, and without where the option says it": (
        SIZED,
        """{"data": [{"open": {"content": [5, 6, 7, 8]}}, {"open": {"content": [1, 2], "shape": [1, 2]}}]}""",
        (2,),
    ),
    "a step that names its model": (PLAIN, """{"data": [{"model": "mine", "ids": [5, 6, 7, 8]}]}""", (1,)),
    "sequences of several lengths": (
        SEQUENCES,
        """{"data": [[{"text": ["5"]}, {"text": ["6"]}, {"text": ["7"]}], [{"text": ["8"]}]]}""",
        (3, 1),
    ),
    "a single sequence": (SEQUENCES, """{"data": [[{"text": ["5"]}, {"text": ["6"]}]]}""", (2,)),
    "a text with its shape": (SEQUENCES, """{"data": [{"text": {"content": ["5"], "shape": [1]}}]}""", (1,)),
    "texts as base64 with their lengths": (
        SEQUENCES,
        json.dumps({"data": [{"text": {"b64": base64.b64encode(b"\x01\0\0\x005").decode()}}]}),
        (1,),
    ),
    "answers beside the data": (
        PLAIN,
        json.dumps({"data": [{"ids": [5, 6, 7, 8]}], "validation_data": [{"OUT": {"b64": b64(1, 2, 3, 4)}}]}),
        (1,),
    ),
    "answers beside sequences": (
        SEQUENCES,
        """{"data": [[{"text": ["5"]}, {"text": ["6"]}]], "validation_data": [[{"OUT": [5]}, {"OUT": [11]}]]}""",
        (2,),
    ),
    "spread over many lines, with tabs": (PLAIN, """{\t"data"\n:\n[\n\t{ "ids" :\n[5,\n6,7 ,8]\r\n}]\n}\n""", (1,)),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_read_unchanged(tmp_path: Path, form: str) -> None:
    spec, text, streams = FORMS[form]
    (tmp_path / "data.json").write_text(text)
    data = load([tmp_path / "data.json"], spec)
    assert tuple(data.streams) == streams
    (first,) = data.step(0, 0).inputs.values()
    values = [int(value) for value in decode(first.raw, first.spec.datatype)]
    assert values == ([5] if first.spec is TEXT else [5, 6, 7, 8])
    assert bool(data.step(0, 0).expected) == ("validation_data" in text)


@pytest.mark.parametrize("word", ["NaN", "Inf", "-Inf", "Infinity", "-Infinity"])
def test_what_is_no_finite_number_is_written_in_any_of_its_ways(tmp_path: Path, word: str) -> None:
    (tmp_path / "data.json").write_text('{"data": [{"x": [' + word + ', 1.5]}], "note": "Inf"}')
    (found,) = load([tmp_path / "data.json"], model(TensorSpec("x", "FP32", (2,)))).step(0, 0).inputs.values()
    np.testing.assert_array_equal(decode(found.raw, "FP32"), np.float32([float(word.lower()), 1.5]))


def values_of(datatype: str) -> st.SearchStrategy[Any]:
    if datatype == "BYTES":
        return st.text(max_size=4)
    if datatype == "BOOL":
        return st.booleans()
    if datatype in ("FP16", "BF16", "FP32", "FP64"):
        largest = {"FP16": 6e4, "FP64": 1e300}.get(datatype, 1e38)
        return st.floats(-largest, largest)
    limits = np.iinfo(NUMPY[datatype])
    return st.integers(int(limits.min), int(limits.max))


@st.composite
def documents(draw: st.DrawFn) -> tuple[ModelSpec, Any, list[list[list[Any]]]]:
    """A document as perf_analyzer's rules allow it, the model it is for, and the values in it."""
    datatype = draw(st.sampled_from(sorted(NUMPY)))
    open_ = draw(st.booleans())
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=2))
    spec = TensorSpec("x", datatype, tuple(-1 if open_ else size for size in sizes))
    several = draw(st.booleans())
    lengths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3 if several else 1))
    streams: list[list[list[Any]]] = []
    entries: list[list[Any]] = []
    for length in lengths:
        streams.append([])
        entries.append([])
        for _ in range(length):
            shape = [draw(st.integers(1, 3)) for _ in sizes] if open_ else sizes
            count = int(np.prod(shape))
            values = draw(st.lists(values_of(datatype), min_size=count, max_size=count))
            raw = base64.b64encode(encode(from_values(values, datatype), datatype)).decode()
            forms = [{"content": values, "shape": shape}, {"content": {"b64": raw}, "shape": shape}]
            forms.append({"b64": raw, "shape": shape})
            if not open_:
                forms += [values, {"content": values}, {"b64": raw}]  # type: ignore[list-item]
            entries[-1].append({"x": draw(st.sampled_from(forms))})
            streams[-1].append(values)
    data = entries if several else entries[0]
    document: dict[str, Any] = {"data": data}
    validated = draw(st.booleans())
    if validated:
        answers = [[{"y": step["x"]} for step in steps] for steps in entries]
        document["validation_data"] = answers if several else answers[0]
    return model(spec, outputs=(TensorSpec("y", datatype, spec.shape),)), document, streams


@given(documents())
def test_whatever_perf_analyzer_s_rules_allow_is_read_as_it_is_meant(tmp_path_factory: Any, made: Any) -> None:
    spec, document, streams = made
    file = tmp_path_factory.mktemp("rules") / "data.json"
    file.write_text(json.dumps(document))
    data = load([file], spec)
    assert list(data.streams) == [len(steps) for steps in streams]
    datatype = spec.inputs[0].datatype
    for stream, steps in enumerate(streams):
        for index, values in enumerate(steps):
            step = data.step(stream, index)
            wanted = encode(rounded(from_values(values, datatype), datatype), datatype)
            assert step.inputs["x"].raw == wanted
            if "validation_data" in document:
                assert step.expected["y"].raw == wanted
