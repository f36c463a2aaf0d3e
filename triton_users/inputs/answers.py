"""The tensors in an answer, and whether they are what they must be. Knows Triton's messages, sends nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from triton_users.inputs.checks import Mismatch, Tolerance, compare
from triton_users.inputs.data import Step, Tensor
from triton_users.inputs.datatypes import Array, DataError, decode, element_size, encode, from_values
from triton_users.inputs.model import ModelSpec

#: The field of InferTensorContents that holds a datatype's values; FP16 and BF16 have none.
_TYPED = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


@dataclass(frozen=True)
class Output:
    """One output of an answer, with its batch dimension where the model has one."""

    datatype: str
    shape: tuple[int, ...]
    raw: bytes

    @property
    def values(self) -> Array:
        """As a numpy array in its shape. DataError or ValueError for contents that do not fill it."""
        return decode(self.raw, self.datatype).reshape(self.shape)


def outputs_of(response: Any) -> dict[str, Output]:
    """The outputs of a ModelInferResponse by name: raw contents, or the typed ones that other servers send."""
    raws = response.raw_output_contents
    found = {}
    for position, output in enumerate(response.outputs):
        raw = raws[position] if position < len(raws) else _typed(output)
        found[output.name] = Output(output.datatype, tuple(output.shape), raw)
    return found


def _typed(output: Any) -> bytes:
    field = _TYPED.get(output.datatype)
    if field is None:
        return b""
    values = list(getattr(output.contents, field))
    if output.datatype == "BYTES":
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return encode(array, "BYTES")
    return encode(from_values(values, output.datatype), output.datatype)


def lacking(spec: ModelSpec, response: Any) -> str:
    """Which outputs of the model's metadata an answer to a request for all of them lacks; "" where it has each."""
    if len(response.outputs) >= len(spec.outputs):
        return ""
    came = {output.name for output in response.outputs}
    names = ", ".join(output.name for output in spec.outputs if output.name not in came)
    return f"it lacks the output {names}"


def mismatch(
    steps: Iterable[Step], response: Any, *, batched: bool, number: int = 0, tolerances: Mapping[str, Tolerance]
) -> Mismatch | None:
    """The first output of an answer that is not what its steps say; None when there is none.

    `number`: which response of its request it is. An expected tensor with one dimension more than its output has counts
    responses in the first. `tolerances`: by output; the others have those of their datatype.
    """
    steps = tuple(steps)
    outputs = outputs_of(response)
    for position, step in enumerate(steps):
        for name, expected in step.expected.items():
            output = outputs.get(name)
            if output is None:
                return Mismatch(name, f"the answer has no such output; it has {', '.join(outputs) or 'none'}")
            wanted = of_response(expected, number)
            if wanted is None:
                return Mismatch(name, f"there are more than the {expected.shape[0]} responses that are expected")
            found = _compare(wanted, output, position, len(steps) if batched else 0, tolerances.get(name))
            if found is not None:
                return found
    return None


def of_response(expected: Tensor, number: int) -> Tensor | None:
    """What the request's `number`-th response must be; None when there must not be so many."""
    if len(expected.shape) == len(expected.spec.shape):
        return expected
    count, shape = expected.shape[0], expected.shape[1:]
    if number >= count:
        return None
    return Tensor(expected.spec, shape, part(expected.raw, expected.spec.datatype, number, count))


def responses_expected(steps: Iterable[Step]) -> int | None:
    """How many responses a request of these steps must have; None where nothing says so."""
    for step in steps:
        for tensor in step.expected.values():
            if len(tensor.shape) > len(tensor.spec.shape):
                return tensor.shape[0]
    return None


def _compare(wanted: Tensor, output: Output, position: int, batch: int, tolerance: Tolerance | None) -> Mismatch | None:
    name = wanted.spec.name
    if output.datatype != wanted.spec.datatype:
        return Mismatch(name, f"its datatype is {output.datatype}, not {wanted.spec.datatype}")
    if not batch:
        return compare(wanted, output.raw, output.shape, tolerance)
    if output.shape[:1] != (batch,):
        return Mismatch(name, f"its shape is {list(output.shape)}, but the batch has {batch}")
    try:
        raw = part(output.raw, output.datatype, position, batch)
    except DataError as error:
        return Mismatch(name, f"its contents are no {output.datatype}: {error}")
    return compare(wanted, raw, output.shape[1:], tolerance)


def part(raw: bytes, datatype: str, position: int, count: int) -> bytes:
    """The contents of one of `count` tensors of one shape that stand one after the other. DataError as `decode`."""
    if element_size(datatype):
        size = len(raw) // count
        return raw[position * size : (position + 1) * size] if size * count == len(raw) else raw
    elements = decode(raw, datatype)
    size = math.ceil(len(elements) / count)
    return encode(elements[position * size : (position + 1) * size], datatype)
