"""How a picture becomes a tensor: size, filter, crop, mean, scale, channels, layout. Knows no server and no file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from triton_users.image_model.tensors import ImageTensors

Triple = tuple[float, float, float]

FILTERS = {each.name.lower(): each for each in Image.Resampling}
"""Pillow's own, by name."""

CHANNELS = ("RGB", "BGR")


@dataclass(frozen=True)
class Preprocessing:
    """Each value of a picture (0 to 255) is sent as (value - mean) * scale. A grey picture takes the first of both."""

    mean: Triple = (0.0, 0.0, 0.0)
    """Of red, green and blue, whatever the order in which they are sent."""
    scale: Triple = (1.0, 1.0, 1.0)
    channels: str = "RGB"
    filter: str = "bilinear"
    crop: float = 0.0
    """How much of the shorter side the model sees, of the middle of a picture that keeps its proportions; 0: all of the
    picture, stretched."""


PRESETS: Mapping[str, Preprocessing] = {
    "reference": Preprocessing(mean=(123.0, 117.0, 104.0)),  # Triton's own test (image_client.py, VGG scaling)
    "inception": Preprocessing(mean=(127.5,) * 3, scale=(1 / 127.5,) * 3),  # image_client.py; keras "tf" mode
    "caffe": Preprocessing(mean=(123.68, 116.779, 103.939), channels="BGR"),  # keras "caffe" mode
    "torchvision": Preprocessing(  # torchvision.transforms._presets.ImageClassification
        mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
        scale=(1 / (0.229 * 255), 1 / (0.224 * 255), 1 / (0.225 * 255)),
        crop=0.875,
    ),
    "unit": Preprocessing(scale=(1 / 255,) * 3),
    "raw": Preprocessing(),
}
"""What the common networks are trained with."""


def prepared(image: Image.Image, how: Preprocessing, tensors: ImageTensors) -> npt.NDArray[np.generic]:
    """The picture as one tensor of the model's batch, in its layout and datatype; C-contiguous."""
    grey = tensors.channels == 1
    pixels = np.asarray(_fitted(image.convert("L" if grey else "RGB"), how, tensors), dtype=np.float32)
    if grey:
        pixels = pixels[..., np.newaxis]
    values = (pixels - np.array(how.mean[: tensors.channels], np.float32)) * np.array(
        how.scale[: tensors.channels], np.float32
    )
    if how.channels == "BGR":
        values = values[..., ::-1]
    if tensors.layout == "NCHW":
        values = values.transpose(2, 0, 1)
    kind = tensors.numpy
    if kind.kind == "u":
        values = np.clip(np.rint(values), 0, np.iinfo(kind).max)
    return np.ascontiguousarray(values, dtype=kind)


def _fitted(image: Image.Image, how: Preprocessing, tensors: ImageTensors) -> Image.Image:
    """The picture in the size of the model."""
    width, height = tensors.width, tensors.height
    if not how.crop:
        return image.resize((width, height), FILTERS[how.filter])
    factor = max(width / image.width, height / image.height) / how.crop
    across, down = max(width, round(image.width * factor)), max(height, round(image.height * factor))
    left, top = (across - width) // 2, (down - height) // 2
    return image.resize((across, down), FILTERS[how.filter]).crop((left, top, left + width, top + height))
