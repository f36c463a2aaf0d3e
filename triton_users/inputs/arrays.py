"""Reads input data that are bytes: a directory with a raw file for each tensor, and numpy's .npz."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from triton_users.inputs.data import Step, StepList, Tensor, check_inputs, tensor, unknown
from triton_users.inputs.datatypes import NUMPY, DataError, encode, rounded
from triton_users.inputs.model import ModelSpec, TensorSpec


def read_directory(path: Path, model: ModelSpec) -> StepList:
    """One step: a file for each tensor, of its name; those of outputs are what must be answered.

    A file holds the raw contents; that of a BYTES tensor holds text, an element a line, as perf_analyzer reads it.
    DataError for a file of no tensor, and for contents that do not fit.
    """
    inputs: dict[str, Tensor] = {}
    expected: dict[str, Tensor] = {}
    for file in sorted(path.iterdir()):
        if file.name.startswith("."):
            continue
        spec, found = model.input(file.name), inputs
        if spec is None:
            spec, found = model.output(file.name), expected
        if spec is None:
            raise unknown(file.name, (*model.inputs, *model.outputs), "tensor", model)
        try:
            raw = file.read_bytes()
            if spec.datatype == "BYTES":
                lines = np.empty(raw.count(b"\n") + (not raw.endswith(b"\n")), dtype=object)
                lines[:] = raw.removesuffix(b"\n").split(b"\n")
                raw = encode(lines, "BYTES")
            found[spec.name] = tensor(spec, raw, None)
        except DataError as error:
            raise DataError(f"{file.name}: {error}") from None
    check_inputs(model, inputs)
    return StepList([[Step(inputs, expected)]], whole=bool(expected))


def read_npz(path: Path, model: ModelSpec) -> StepList:
    """One stream: an array for each tensor, of its name, whose first dimension counts the steps.

    An array that has the tensor's own shape is the same in all steps. DataError names the array.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays: dict[str, Any] = dict(file)
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"it is no .npz file of plain arrays: {error}") from None
    if not arrays:
        raise DataError("it has no array")
    counts: dict[str, int] = {}
    specs: dict[str, TensorSpec] = {}
    for name, array in arrays.items():
        spec = model.input(name) or model.output(name)
        if spec is None:
            raise unknown(name, (*model.inputs, *model.outputs), "tensor", model)
        specs[name] = spec
        if array.ndim == len(spec.shape) + 1:
            counts[name] = len(array)
        elif array.ndim != len(spec.shape):
            sizes = ",".join(map(str, spec.shape))
            raise DataError(f"{name}: its shape is {list(array.shape)}; it must be [steps,{sizes}] or [{sizes}]")
    count = max(counts.values(), default=1)
    for name, found in counts.items():
        if found != count or not found:
            raise DataError(
                f"{name}: it has {found} steps, and another array {count}; all must have as many, at least 1"
            )
    steps = []
    for index in range(count):
        inputs: dict[str, Tensor] = {}
        expected: dict[str, Tensor] = {}
        for name, array in arrays.items():
            try:
                found_tensor = tensor_of(specs[name], array[index] if name in counts else array)
            except DataError as error:
                raise DataError(f"{name}, step {index}: {error}") from None
            (inputs if model.input(name) else expected)[name] = found_tensor
        check_inputs(model, inputs)
        steps.append(Step(inputs, expected))
    return StepList([steps], whole=any(step.expected for step in steps))


def tensor_of(spec: TensorSpec, array: Any) -> Tensor:
    """The tensor of a numpy array (no batch dimension). DataError where its type, values or shape do not fit."""
    shape = tuple(array.shape)
    if spec.datatype == "BYTES":
        if array.dtype.kind not in "SU":
            raise DataError(f"its type is {array.dtype}, but BYTES takes texts or bytes (numpy's U or S)")
        texts = np.empty(array.size, dtype=object)
        texts[:] = [each.encode() if isinstance(each, str) else bytes(each) for each in array.reshape(-1)]
        return tensor(spec, encode(texts, "BYTES"), shape)
    wanted = NUMPY[spec.datatype]
    if not np.can_cast(array.dtype, wanted, "same_kind"):
        raise DataError(f"its type is {array.dtype}, but {spec.datatype} takes {wanted}")
    if array.dtype.kind in "iu" and wanted.kind in "iu" and array.size:
        limits = np.iinfo(wanted)
        low, high = int(array.min()), int(array.max())
        if low < limits.min or high > limits.max:
            raise DataError(
                f"its values are from {low} to {high}, but {spec.datatype} takes {limits.min} to {limits.max}"
            )
    return tensor(spec, encode(rounded(array.astype(wanted), spec.datatype), spec.datatype), shape)
