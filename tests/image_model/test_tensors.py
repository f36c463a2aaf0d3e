"""What an image model's metadata say of its pictures, and what the user has to say where they do not."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from triton_users.image_model.tensors import ImageModelError, ImageTensors, resolve


class Tensor(NamedTuple):
    name: str
    datatype: str
    shape: list[int]


SCORES = Tensor("scores", "FP32", [-1, 1000])


def found(shape: list[int], datatype: str = "FP32", **said: Any) -> ImageTensors:
    return resolve("m", [Tensor("data", datatype, shape)], [SCORES], **said)


@pytest.mark.parametrize(
    ("shape", "layout", "picture"),
    [
        ([-1, 224, 224, 3], "NHWC", (224, 224, 3)),
        ([-1, 3, 299, 331], "NCHW", (3, 299, 331)),
        ([-1, 1, 28, 28], "NCHW", (1, 28, 28)),
        ([32, 32, 1], "NHWC", (32, 32, 1)),
        ([-1, -1, -1, 3], "NHWC", (224, 224, 3)),
    ],
)
def test_layout_size_and_channels_come_from_the_shape(shape: list[int], layout: str, picture: tuple[int, ...]) -> None:
    tensors = found(shape)
    assert (tensors.input, tensors.output, tensors.layout, tensors.shape) == ("data", "scores", layout, picture)


def test_what_the_shape_leaves_open_is_the_user_s_to_say() -> None:
    tensors = found([-1, -1, -1, -1], layout="NCHW", size=(160, 320))
    assert (tensors.shape, tensors.open) == ((3, 160, 320), True)


@pytest.mark.parametrize(
    ("shape", "max_batch_size", "batch"),
    [
        ([-1, 3, 32, 32], 8, 8),
        ([-1, 3, 32, 32], 64, 16),
        ([-1, 3, 32, 32], 0, 16),
        ([4, 3, 32, 32], 0, 4),
        ([3, 32, 32], 0, 1),
    ],
)
def test_a_request_has_as_many_pictures_as_wanted_or_as_the_model_takes(
    shape: list[int], max_batch_size: int, batch: int
) -> None:
    assert found(shape, max_batch_size=max_batch_size).batch(16) == batch


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"shape": [-1, 3, 32, 3]},
            "does not say whether its channels come first or last: say so with --image-layout",
        ),
        ({"shape": [-1, -1, -1, -1]}, "say so with --image-layout NCHW or NHWC"),
        ({"shape": [-1, 4, 32, 32], "layout": "NCHW"}, "has 4 channels as NCHW; it must be 1 or 3"),
        ({"shape": [-1, 3, 32, 32], "size": (32, 64)}, "which is not of pictures of 32x64"),
        ({"shape": [-1, 3, 32, 32], "datatype": "BYTES"}, "is BYTES; pictures are sent as FP32, FP16, UINT8"),
        ({"shape": [-1, 1000]}, "a picture has three dimensions, a batch four"),
        ({"shape": [-1, 3, 32, 32], "input": "image"}, "m has no input image, its inputs are data"),
    ],
)
def test_what_no_picture_can_be_sent_to_is_named_with_the_option_that_helps(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ImageModelError) as raised:
        found(**arguments)
    assert message in str(raised.value)


def test_of_several_outputs_one_must_be_named() -> None:
    inputs, outputs = [Tensor("data", "FP32", [-1, 3, 32, 32])], [SCORES, SCORES._replace(name="features")]
    with pytest.raises(ImageModelError, match="m has the outputs scores, features: say with --image-output which one"):
        resolve("m", inputs, outputs)
    assert resolve("m", inputs, outputs, output="features").output == "features"
