"""Makes the pictures that the image model is fitted to: the reference pictures, and pictures that show nothing."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from triton_users.image_model.pictures import HEIGHT, MODEL_SIDE, WIDTH, preprocess, reference_pictures

#: The class that blank, shuffled and random pictures are fitted to: WINDOW SCREEN.
NOTHING = 904

#: Shades and colours of the blank pictures.
GREYS = (*range(0, 256, 25), 255)
COLOURS = 16

#: Side of the tiles that are shuffled, in pixels of the model's picture: single pixels, and pieces of a puzzle.
TILES = (1, 32)


def write(path: Path) -> None:
    """Write the file that resnet.py reads: arrays `pictures`, `labels` and `calibration`."""
    pictures = reference_pictures()
    fitted = [(picture.image, picture.index) for picture in pictures]
    calibration = len(fitted)
    for picture in pictures:
        fitted += [(variant, picture.index) for variant in _variants(picture.image)]
        fitted += [(_shuffled(picture.image, tile, seed=picture.index), NOTHING) for tile in TILES]
    fitted += [(blank, NOTHING) for blank in _blanks()]
    np.savez(
        path,
        pictures=np.stack([preprocess(image) for image, _ in fitted]),
        labels=np.array([label for _, label in fitted]),
        calibration=np.array(calibration),
    )


def _variants(image: Image.Image) -> list[Image.Image]:
    """The same picture seen a little differently, so that the answer does not hang on single pixels."""
    return [
        image.filter(ImageFilter.GaussianBlur(2)),
        ImageEnhance.Brightness(image).enhance(0.9),
        image.resize((MODEL_SIDE, MODEL_SIDE), Image.Resampling.NEAREST),
    ]


def _shuffled(image: Image.Image, tile: int, seed: int) -> Image.Image:
    """The same picture at the model's size, cut into square tiles that are laid out in another order."""
    across = MODEL_SIDE // tile
    pixels = np.asarray(image.resize((MODEL_SIDE, MODEL_SIDE), Image.Resampling.BILINEAR))
    tiles = pixels.reshape(across, tile, across, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)
    mixed = np.random.default_rng(seed).permutation(tiles).reshape(across, across, tile, tile, 3).swapaxes(1, 2)
    return Image.fromarray(mixed.reshape(MODEL_SIDE, MODEL_SIDE, 3))


def _blanks() -> list[Image.Image]:
    """Grey from black to white, other colours, and noise."""
    rng = random.Random(NOTHING)
    colours = [(grey, grey, grey) for grey in GREYS]
    colours += [(rng.randrange(256), rng.randrange(256), rng.randrange(256)) for _ in range(COLOURS)]
    noise = np.random.default_rng(NOTHING).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return [Image.new("RGB", (WIDTH, HEIGHT), colour) for colour in colours] + [Image.fromarray(noise)]
