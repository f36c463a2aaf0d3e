"""The reference pictures: the same everywhere, different from each other, preprocessed as the network wants them."""

import numpy as np
import pytest
from PIL import Image

from triton_users.image_model.pictures import CHANNEL_MEANS, MODEL_SIDE, preprocess, reference_pictures


def test_there_are_many_pictures_and_the_vulture_is_the_first():
    pictures = reference_pictures()
    assert len(pictures) >= 12
    assert (pictures[0].label, pictures[0].index) == ("VULTURE", 23)
    assert len({picture.index for picture in pictures}) == len(pictures)


def test_drawing_again_gives_the_same_pixels():
    for first, second in zip(reference_pictures(), reference_pictures(), strict=True):
        assert first.image.tobytes() == second.image.tobytes()


def test_no_two_pictures_look_alike():
    arrays = [preprocess(picture.image) for picture in reference_pictures()]
    for number, one in enumerate(arrays):
        for other in arrays[number + 1 :]:
            assert np.abs(one - other).mean() > 10, "of 255 levels"


def test_resizing_matters_because_a_picture_is_larger_than_what_the_model_takes():
    for picture in reference_pictures():
        assert min(picture.image.size) > MODEL_SIDE


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 128, 1)])
def test_preprocessing_keeps_the_order_of_colours_and_takes_off_their_means(colour):
    array = preprocess(Image.new("RGB", (300, 400), colour))
    assert array.shape == (224, 224, 3)
    assert array.dtype == np.float32
    assert (array == np.float32(colour) - np.float32(CHANNEL_MEANS)).all()


def test_preprocessing_takes_pictures_without_colours():
    assert preprocess(Image.new("L", (300, 300), 9)).shape == (224, 224, 3)
