"""The tensors of an image model, found in its metadata where that says enough. Knows no server and no picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

OPEN_SIDE = 224
"""The side of the pictures for a model that takes any size: what most networks are trained with."""

_NUMPY: Mapping[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP16": np.dtype("<f2"), "UINT8": np.dtype("u1")}


class ImageModelError(ValueError):
    """The model's tensors are none that pictures can be sent to: the message says why, and the option that helps."""


@dataclass(frozen=True)
class ImageTensors:
    """What an image model takes and answers."""

    input: str
    output: str
    datatype: str = "FP32"
    layout: str = "NHWC"
    height: int = OPEN_SIDE
    width: int = OPEN_SIDE
    channels: int = 3
    batched: bool = True
    """Whether its tensors have a dimension of pictures in front."""
    most: int = 0
    """The most pictures in a request; 0: any number."""
    exactly: int = 0
    """How many a request must have, where the model says so; 0: up to `most`."""
    declared: bool = True
    """Whether that dimension is one that Triton adds (max_batch_size), not one of the model's own."""
    open: bool = False
    """Whether the model takes pictures of any size."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture."""
        sides = (self.height, self.width)
        return (*sides, self.channels) if self.layout == "NHWC" else (self.channels, *sides)

    @property
    def numpy(self) -> np.dtype[Any]:
        return _NUMPY[self.datatype]

    def batch(self, wanted: int) -> int:
        """How many pictures one request has where so many are wanted."""
        if not self.batched:
            return 1
        return self.exactly or (min(wanted, self.most) if self.most else wanted)


def resolve(
    model: str,
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    *,
    max_batch_size: int = 0,
    input: str = "",
    output: str = "",
    layout: str = "",
    size: tuple[int, ...] = (),
) -> ImageTensors:
    """The tensors of `model`, whose metadata has these inputs and outputs; the rest is what the user said of it.

    `size`: height and width. ImageModelError.
    """
    taken = _picked(model, inputs, input, "input")
    answered = _picked(model, outputs, output, "output")
    shape = [int(each) for each in taken.shape]
    if taken.datatype not in _NUMPY:
        raise ImageModelError(
            f"the input {taken.name} of {model} is {taken.datatype}; pictures are sent as {', '.join(_NUMPY)}"
        )
    if len(shape) not in (3, 4):
        raise ImageModelError(
            f"the input {taken.name} of {model} has the shape {shape}; a picture has three dimensions, a batch four"
        )
    layout = layout or _layout(model, taken.name, shape[-3:])
    sides = shape[-3:-1] if layout == "NHWC" else shape[-2:]
    channels = shape[-1] if layout == "NHWC" else shape[-3]
    if channels not in (-1, 1, 3):
        raise ImageModelError(
            f"the input {taken.name} of {model} has {channels} channels as {layout}; it must be 1 or 3"
        )
    if size and any(side not in (-1, wanted) for side, wanted in zip(sides, size, strict=True)):
        raise ImageModelError(
            f"the input {taken.name} of {model} has the shape {shape}, which is not of pictures of {size[0]}x{size[1]} "
            "(--image-size)"
        )
    height, width = size or (OPEN_SIDE if side == -1 else side for side in sides)
    own_batch = shape[0] if len(shape) == 4 and not max_batch_size else -1
    return ImageTensors(
        taken.name,
        answered.name,
        taken.datatype,
        layout,
        height,
        width,
        3 if channels == -1 else channels,
        batched=len(shape) == 4,
        most=max_batch_size,
        exactly=max(0, own_batch),
        declared=max_batch_size > 0,
        open=-1 in sides,
    )


def _picked(model: str, tensors: Sequence[Any], name: str, kind: str) -> Any:
    listed = ", ".join(each.name for each in tensors) or "none"
    if name:
        found = [each for each in tensors if each.name == name]
        if not found:
            raise ImageModelError(f"{model} has no {kind} {name}, its {kind}s are {listed}")
        return found[0]
    if len(tensors) != 1:
        raise ImageModelError(f"{model} has the {kind}s {listed}: say with --image-{kind} which one")
    return tensors[0]


def _layout(model: str, name: str, shape: Sequence[int]) -> str:
    last, first = shape[-1] in (1, 3), shape[0] in (1, 3)
    if last == first:
        raise ImageModelError(
            f"the shape of the input {name} of {model} does not say whether its channels come first or last: say so "
            "with --image-layout NCHW or NHWC"
        )
    return "NHWC" if last else "NCHW"
