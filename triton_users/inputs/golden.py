"""Writes steps and what was answered to them as input data: perf_analyzer's JSON, or JSON lines. Asks no server.

Contents are b64, which keeps every bit of every datatype; each tensor has its shape. The answers of a decoupled model
are one tensor an output: its shape has one dimension more, the first, which counts the responses. That is the form that
`perf_analyzer_json` reads; perf_analyzer itself compares only the last response of a request, and refuses it.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from triton_users.inputs.answers import Output
from triton_users.inputs.data import Step, Tensor
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import ModelSpec

COPIED_BYTES = 1 << 20
"""How much of the answers is copied behind the inputs at a time."""


def expected_of(model: ModelSpec, responses: Sequence[Mapping[str, Output]]) -> dict[str, Tensor]:
    """The responses to one request, without batch dimensions, as what must be answered.

    DataError where that cannot be said: outputs that are not the model's, or responses of different shapes.
    """
    found: dict[str, Tensor] = {}
    for spec in model.outputs:
        parts = [response[spec.name] for response in responses if spec.name in response]
        if len(parts) != len(responses):
            raise DataError(f"{spec.name} is missing in {len(responses) - len(parts)} of {len(responses)} responses")
        shapes = {part.shape[1:] if model.max_batch_size else part.shape for part in parts}
        if len(shapes) > 1:
            listed = " and ".join(map(str, sorted(map(list, shapes))))
            raise DataError(f"{spec.name} has the shapes {listed} in responses to one request; they must have one")
        shape = shapes.pop() if shapes else tuple(max(0, size) for size in spec.shape)
        if not spec.admits(shape) or {part.datatype for part in parts} - {spec.datatype}:
            sizes = ",".join(map(str, shape))
            raise DataError(f"{spec.name} was answered as {parts[0].datatype} [{sizes}], but the model has {spec}")
        if model.decoupled:
            shape = (len(parts), *shape)
        found[spec.name] = Tensor(spec, shape, b"".join(part.raw for part in parts))
    return found


def not_for_perf_analyzer(model: ModelSpec, streams: Sequence[int], path: Path) -> str:
    """Why perf_analyzer cannot validate with this file; "" where it can. `streams`: their lengths. Seen on 2.51."""
    if path.suffix == ".jsonl":
        return "it reads no JSON lines; write a .json"
    if model.decoupled:
        return "it compares one response to a request, and a decoupled model has any number"
    if open_ := [spec.name for spec in model.outputs if not spec.fixed]:
        return f"it takes no validation_data for outputs of open size ({', '.join(open_)})"
    if len(set(streams)) > 1:
        return "it mixes up the answers of sequences that differ in length"
    return ""


class GoldenFile:
    """One model's file, written step by step into the place of an older one when it is whole."""

    def __init__(self, path: Path, *, streams: bool) -> None:
        """`streams`: whether the steps are lists of their own (sequences); JSON lines cannot be. DataError."""
        self._path, self._streams, self._lines = path, streams, path.suffix == ".jsonl"
        if streams and self._lines:
            raise DataError(f"{path}: JSON lines hold no sequences; write a .json")
        self._part = path.with_name(path.name + ".part")
        self._file: IO[bytes]
        self._answers: IO[bytes]
        self.steps = 0

    def __enter__(self) -> GoldenFile:
        """OSError when it cannot be written."""
        self._answers = TemporaryFile()  # __exit__ closes both
        self._file = self._part.open("wb")
        if not self._lines:
            self._file.write(b'{"data": [\n')
        return self

    def add(self, step: Step, *, stream_begins: bool) -> None:
        """`stream_begins`: whether it is the first of its stream."""
        entry, answer = _json(entry_of(step.inputs)), _json(entry_of(step.expected))
        if self._lines:
            self._file.write(b'{"data": %b, "validation_data": %b}\n' % (entry, answer))
        else:
            before = b",\n" if self.steps else b""
            if self._streams and stream_begins:
                before = b"],\n[" if self.steps else b"["
            self._file.write(before + entry)
            self._answers.write(before + answer)
        self.steps += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file, self._answers:
            if kind is None and not self._lines:
                end = b"]" if self._streams else b""
                self._file.write(end + b'\n],\n"validation_data": [\n')
                self._answers.seek(0)
                while piece := self._answers.read(COPIED_BYTES):
                    self._file.write(piece)
                self._file.write(end + b"\n]}\n")
        if kind is None:
            os.replace(self._part, self._path)
        else:
            self._part.unlink()


def entry_of(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Tensors as an entry of perf_analyzer's JSON has them."""
    return {
        name: {"content": {"b64": base64.b64encode(each.raw).decode()}, "shape": list(each.shape)}
        for name, each in tensors.items()
    }


def _json(entry: Any) -> bytes:
    return json.dumps(entry).encode()
