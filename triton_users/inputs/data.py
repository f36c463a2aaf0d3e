"""Input data as every reader gives it: steps of tensors, in one stream or in several. Knows no file format."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from triton_users.inputs.datatypes import Array, DataError, decode, element_size
from triton_users.inputs.model import ModelSpec, Shape, TensorSpec


@dataclass(frozen=True)
class Tensor:
    """A tensor of one request's batch: no batch dimension."""

    spec: TensorSpec
    shape: Shape
    raw: bytes
    """Its raw contents (`datatypes`)."""

    @property
    def values(self) -> Array:
        """As a numpy array in its shape."""
        return decode(self.raw, self.spec.datatype).reshape(self.shape)


@dataclass(frozen=True)
class Step:
    """What one request carries, and what must be answered."""

    inputs: Mapping[str, Tensor]
    expected: Mapping[str, Tensor] = field(default_factory=dict)
    """Outputs to compare with; empty: the answer is not checked."""


class InputData(Protocol):
    """Steps to send. A stream belongs together: for a model of sequences it is one sequence."""

    @property
    def streams(self) -> Sequence[int]:
        """How many steps each stream has; at least one stream, none of them empty."""
        ...

    @property
    def whole(self) -> bool:
        """Whether a sequence is a stream from its first step to its last; else it may be any of its steps.

        So it is where the data say what must be answered, which hangs on the steps before.
        """
        ...

    def step(self, stream: int, index: int) -> Step:
        """DataError when it cannot be read."""
        ...

    def place(self, stream: int, index: int) -> str:
        """Where a step stands, for people."""
        ...


class StepList:
    """Input data that are all in memory."""

    def __init__(self, streams: Sequence[Sequence[Step]], *, whole: bool | None = None, name: str = "") -> None:
        """`whole` None: where there are several streams. `name`: what they are, for people, where no file has them."""
        self._streams = streams
        self._name = f"{name}, " if name else ""
        self.whole = len(streams) > 1 if whole is None else whole
        self.streams = tuple(len(steps) for steps in streams)

    def step(self, stream: int, index: int) -> Step:
        return self._streams[stream][index]

    def place(self, stream: int, index: int) -> str:
        of = f" of stream {stream}" if len(self.streams) > 1 else ""
        return f"{self._name}step {index}{of}"


def tensor(spec: TensorSpec, raw: bytes, shape: Shape | None, *, responses: bool = False) -> Tensor:
    """A tensor of these raw contents. `shape` None: the one of its input or output, which must be known then.

    `responses`: the shape may have one dimension more, the first, which counts the responses of one request.
    DataError when the shape is none that it admits, or the bytes are too many or too few for it.
    """
    if shape is None:
        if not spec.fixed:
            raise DataError(f'the model takes [{_sizes(spec.shape)}]: give a "shape" here, or "shapes" for all steps')
        shape = spec.shape
    elif not spec.admits(shape) and not (responses and spec.admits(shape[1:])):
        raise DataError(f"its shape is [{_sizes(shape)}], but the model takes [{_sizes(spec.shape)}]")
    wanted = math.prod(shape)
    size = element_size(spec.datatype)
    found = len(decode(raw, spec.datatype)) if not size or len(raw) % size else len(raw) // size
    if found != wanted:
        raise DataError(f"it has {found} elements, but [{_sizes(shape)}] has {wanted}")
    return Tensor(spec, shape, raw)


def check_inputs(model: ModelSpec, inputs: Mapping[str, Tensor]) -> None:
    """DataError when an input that is not optional is missing."""
    missing = [spec.name for spec in model.inputs if not spec.optional and spec.name not in inputs]
    if missing:
        raise DataError(f"no data for {', '.join(missing)}, which {model.name} needs")


def unknown(name: str, known: Sequence[TensorSpec], what: str, model: ModelSpec) -> DataError:
    """The error for a tensor that the model does not have."""
    return DataError(f"{model.name} has no {what} {name!r}; it has {', '.join(spec.name for spec in known)}")


def _sizes(shape: Shape) -> str:
    return ",".join(map(str, shape))
