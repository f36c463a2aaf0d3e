"""Reads perf_analyzer's JSON input data, and the same step a line (JSON lines). Files as its users have them.

    {"data": [...], "validation_data": [...]}

An element of "data" that is an object is a step; the steps make one stream. One that is an array is a stream of its
own. "validation_data" has the same form and length. A tensor is a flat row-major array, {"b64": ...}, or {"content": an
array or {"b64": ...}, "shape": [...]}; NaN and Infinity are numbers.

Beyond perf_analyzer, which compares the last response only: every response is compared, and the expected output of a
decoupled model may have a "shape" with one dimension more, the first, that counts the request's responses.
Source: perf_analyzer's docs/input_data.md, and its data_loader.cc where that is silent.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from triton_users.inputs.data import Step, StepList, Tensor, check_inputs, tensor, unknown
from triton_users.inputs.datatypes import DataError, encode, from_values
from triton_users.inputs.model import ModelSpec, TensorSpec

NO_TENSOR = "model"
"""A name in a step that perf_analyzer passes over unless the model has such a tensor."""

_INF = re.compile(rb'"(?:[^"\\]|\\.)*"|\bInf\b')

FIRST_LINES = 1000
"""Lines of a file of JSON lines that are read before a run; later ones when they are sent. Picked arbitrarily."""


def read_json(path: Path, model: ModelSpec) -> StepList:
    """The steps of a whole file. DataError names the step and the tensor."""
    try:
        content = _loaded(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"it is no JSON: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise DataError('it has no list "data"; it must be {"data": [...]} as perf_analyzer takes it')
    data, expected = content["data"], content.get("validation_data")
    if not data:
        raise DataError('its list "data" is empty')
    if expected is not None and (not isinstance(expected, list) or len(expected) != len(data)):
        found = len(expected) if isinstance(expected, list) else "none"
        raise DataError(f'"validation_data" must have as many entries as "data": it has {found}, not {len(data)}')
    return StepList(_streams(data, expected, model), whole=isinstance(data[0], list) or expected is not None)


def _loaded(text: bytes) -> Any:
    """The JSON, in which infinity may be `Inf` too, as perf_analyzer's reader has it."""
    try:
        return json.loads(text)
    except ValueError:
        if not _INF.search(text):
            raise
        return json.loads(_INF.sub(lambda found: b"Infinity" if found[0] == b"Inf" else found[0], text))


def _streams(data: list[Any], expected: list[Any] | None, model: ModelSpec) -> list[list[Step]]:
    if not isinstance(data[0], list):
        if any(isinstance(entry, list) for entry in data):
            raise DataError('"data" mixes objects and lists; either all entries are steps, or all are lists of steps')
        return [[_placed(f"data[{i}]", entry, expected and expected[i], model) for i, entry in enumerate(data)]]
    streams = []
    for number, steps in enumerate(data):
        place = f"data[{number}]"
        if not isinstance(steps, list):
            raise DataError(f"{place} is no list, as the entries before it are")
        if not steps:
            raise DataError(f"{place} is empty; a stream has a step at least")
        answers = expected[number] if expected is not None else None
        if answers is not None and (not isinstance(answers, list) or len(answers) != len(steps)):
            raise DataError(f"validation_data[{number}] must be a list of {len(steps)} steps, as {place} is")
        streams.append([_placed(f"{place}[{i}]", step, answers and answers[i], model) for i, step in enumerate(steps)])
    return streams


def _placed(place: str, entry: Any, expected: Any, model: ModelSpec) -> Step:
    try:
        return step_of(entry, expected, model)
    except DataError as error:
        raise DataError(f"{place}: {error}") from None


def step_of(entry: Any, expected: Any, model: ModelSpec) -> Step:
    """One step; `expected` None: its answer is not checked. DataError names the tensor."""
    inputs = _tensors(entry, model.inputs, "input", model)
    check_inputs(model, inputs)
    return Step(inputs, {} if expected is None else _tensors(expected, model.outputs, "output", model))


def _tensors(entry: Any, known: Sequence[TensorSpec], what: str, model: ModelSpec) -> dict[str, Tensor]:
    if not isinstance(entry, dict):
        raise DataError(f"a step is an object of {what} names and tensors, not {_shown(entry)}")
    specs = {spec.name: spec for spec in known}
    found: dict[str, Tensor] = {}
    for name, value in entry.items():
        if name not in specs and name == NO_TENSOR:
            continue
        if name not in specs:
            raise unknown(name, known, what, model)
        try:
            found[name] = _tensor(specs[name], value, responses=model.decoupled and what == "output")
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
    return found


def _tensor(spec: TensorSpec, value: Any, *, responses: bool) -> Tensor:
    shape = None
    if isinstance(value, dict) and ("content" in value or "b64" in value):
        shape = _shape(value["shape"]) if "shape" in value else None
        value = value if "b64" in value else value["content"]
    if isinstance(value, dict) and isinstance(value.get("b64"), str):
        try:
            raw = base64.b64decode("".join(value["b64"].split()), validate=True)  # encoders break long lines
            return tensor(spec, raw, shape, responses=responses)
        except binascii.Error as error:
            raise DataError(f"its b64 cannot be decoded: {error}") from None
    if isinstance(value, list):
        return tensor(spec, encode(from_values(value, spec.datatype), spec.datatype), shape, responses=responses)
    if isinstance(value, (bool, int, float, str)):  # perf_analyzer takes a single value for a tensor of one element
        return tensor(spec, encode(from_values([value], spec.datatype), spec.datatype), shape)
    raise DataError(f'a tensor is a flat list, {{"b64": ...}} or {{"content": ..., "shape": ...}}, not {_shown(value)}')


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(size) is int and size >= 0 for size in value):
        raise DataError(f"its shape is {_shown(value)}, not a list of whole numbers")
    return tuple(value)


class JsonLines:
    """A file with one step a line, {"data": {...}, "validation_data": {...}} or the inputs alone, read as it is sent.

    What is kept in memory is where each line begins: 8 bytes a line. Empty lines are left out.
    """

    def __init__(self, path: Path, model: ModelSpec) -> None:
        """Reads the first lines, so that a wrong file is found before a run. DataError as `step`; OSError."""
        self._model = model
        self._file = os.open(path, os.O_RDONLY)
        self._starts, self._lengths = array("Q"), array("L")
        with path.open("rb", buffering=1 << 20) as lines:
            position = 0
            for line in lines:
                if line.strip():
                    self._starts.append(position)
                    self._lengths.append(len(line))
                position += len(line)
        self.streams = (len(self._starts),)
        self.whole = False
        if not self._starts:
            raise DataError("it has no line with a step")
        for index in range(min(FIRST_LINES, len(self._starts))):
            self.whole |= bool(self.step(0, index).expected)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            os.close(self._file)

    def step(self, stream: int, index: int) -> Step:
        """DataError names the step and the tensor."""
        try:
            line = _loaded(os.pread(self._file, self._lengths[index], self._starts[index]))
        except (ValueError, RecursionError) as error:
            raise DataError(f"step {index}: it is no JSON: {error}") from None
        entry, expected = line, None
        if isinstance(line, dict) and "data" in line and self._model.input("data") is None:
            entry, expected = line["data"], line.get("validation_data")
        return _placed(f"step {index}", entry, expected, self._model)

    def place(self, stream: int, index: int) -> str:
        return f"step {index}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
