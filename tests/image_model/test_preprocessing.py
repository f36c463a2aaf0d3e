"""Pictures become tensors as the networks' own code makes them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from triton_users.image_model.pictures import MODEL_SIDE, preprocess
from triton_users.image_model.preprocessing import CHANNELS, PRESETS, Preprocessing, prepared
from triton_users.image_model.tensors import ImageTensors

PIXELS = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
PICTURE = Image.fromarray(PIXELS)


def tensors(layout: str = "NHWC", height: int = 60, width: int = 90, **more: object) -> ImageTensors:
    return ImageTensors("in", "out", layout=layout, height=height, width=width, **more)  # type: ignore[arg-type]


def test_each_value_is_less_the_mean_times_the_scale_of_its_colour() -> None:
    how = Preprocessing(mean=(1.0, 2.0, 3.0), scale=(2.0, 0.5, 1.0))
    np.testing.assert_array_equal(
        prepared(PICTURE, how, tensors()), (PIXELS.astype(np.float32) - np.float32([1, 2, 3])) * np.float32([2, 0.5, 1])
    )


@pytest.mark.parametrize("channels", CHANNELS)
def test_colours_and_dimensions_stand_in_the_order_that_the_model_wants(channels: str) -> None:
    how = Preprocessing(mean=(1.0, 2.0, 3.0), channels=channels)
    last = prepared(PICTURE, how, tensors())
    first = prepared(PICTURE, how, tensors("NCHW"))
    red = PIXELS[..., 0] - np.float32(1)
    np.testing.assert_array_equal(last[..., channels.index("R")], red)
    np.testing.assert_array_equal(first[channels.index("R")], red)
    assert first.shape == (3, 60, 90)
    assert first.flags.c_contiguous
    assert last.flags.c_contiguous


def test_torchvision_s_is_its_resize_crop_and_normalisation() -> None:
    found = prepared(PICTURE, PRESETS["torchvision"], tensors("NCHW", 224, 224))
    shorter, longer = 256, 384  # 224 / 0.875, and the proportions kept
    resized = PICTURE.resize((longer, shorter), Image.Resampling.BILINEAR)
    cut = np.asarray(resized.crop((80, 16, 304, 240)), np.float32) / 255
    wanted = (cut - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    np.testing.assert_allclose(found, wanted.transpose(2, 0, 1), rtol=1e-4, atol=1e-5)


def test_bytes_stay_within_their_range_and_are_rounded() -> None:
    how = Preprocessing(mean=(100.0,) * 3, scale=(1.5,) * 3)
    found = prepared(PICTURE, how, tensors(datatype="UINT8"))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.clip(np.rint((PIXELS.astype(np.float32) - 100) * 1.5), 0, 255))


def test_a_grey_model_gets_one_channel() -> None:
    found = prepared(PICTURE, PRESETS["unit"], tensors("NCHW", channels=1))
    np.testing.assert_allclose(found[0], np.asarray(PICTURE.convert("L"), np.float32) / 255, rtol=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK"])
def test_every_preset_takes_every_picture(preset: str, mode: str) -> None:
    found = prepared(PICTURE.convert(mode), PRESETS[preset], tensors("NCHW", 20, 30))
    assert (found.shape, found.dtype) == ((3, 20, 30), np.float32)
    assert np.isfinite(found).all()


def test_the_reference_s_preset_is_what_its_network_was_fitted_to() -> None:
    size = tensors(height=MODEL_SIDE, width=MODEL_SIDE)
    np.testing.assert_array_equal(prepared(PICTURE, PRESETS["reference"], size), preprocess(PICTURE))
