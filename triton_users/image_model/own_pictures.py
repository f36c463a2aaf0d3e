"""The user's own pictures for the image model, and what is right for each: read from a folder. Knows no server.

Either the folder has a file `labels.csv` with a line `FILE,LABEL` for each picture, or a sub-folder for each label,
named by it, with pictures in it. A label that is a number is the index of a class, any other its name.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from triton_users.image_model.pictures import MODEL_SIDE, preprocess

OWN_NETWORK = "TRITON_USERS_RESNET"
"""Environment variable with the path of an ONNX file to serve in place of the network that this project builds.

Its input must be `input:0` [batch, 224, 224, 3] and its output `resnet_v1_50/predictions/Softmax:0` [batch, 1000], both
FP32; a file `labels.txt` beside it, with a class name a line, replaces the model's labels.
"""

BESIDE_NETWORK = "pictures"
"""The folder beside that file in which pictures are looked for when none is named."""

LABELS = "labels.csv"
AS_THE_MODEL_TAKES_IT = ".npy"
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp", AS_THE_MODEL_TAKES_IT)

MAX_PICTURES = 256
"""Each takes 0.6 MB of every worker's memory."""


class PicturesError(ValueError):
    """The folder cannot be used: the message says what is wrong with it, and what would be right."""


def own_folder(named: str) -> Path | None:
    """The folder to read: the one that was named, or one beside the user's own network; None when there is neither."""
    if named:
        return Path(named).expanduser()
    network = os.environ.get(OWN_NETWORK, "")
    beside = Path(network).expanduser().with_name(BESIDE_NETWORK) if network else None
    return beside if beside is not None and beside.is_dir() else None


def listed(folder: Path) -> list[tuple[Path, str]]:
    """Every picture in the folder and its label, in the order of the file or of the names. PicturesError."""
    if not folder.is_dir():
        raise PicturesError(
            f"the folder of pictures is {str(folder)!r}, which is no folder; it must hold {LABELS} with lines "
            "FILE,LABEL, or a sub-folder for each label"
        )
    found = _from_file(folder) if (folder / LABELS).is_file() else _from_folders(folder)
    if not found:
        raise PicturesError(
            f"no picture in {folder}: there must be {LABELS} with lines FILE,LABEL, or a sub-folder for each label "
            f"with files {', '.join('*' + suffix for suffix in SUFFIXES)} in it"
        )
    if len(found) > MAX_PICTURES:
        raise PicturesError(f"{len(found)} pictures in {folder}; it must be at most {MAX_PICTURES}")
    return found


def _from_file(folder: Path) -> list[tuple[Path, str]]:
    found = []
    with (folder / LABELS).open(newline="", encoding="utf-8-sig") as file:
        for row in csv.reader(file):
            line = [field.strip() for field in row]
            if not any(line) or line[:2] == ["file", "label"]:
                continue
            if len(line) != 2 or not all(line):
                raise PicturesError(f"{folder / LABELS}: {','.join(row)!r} is not FILE,LABEL")
            picture = folder / line[0]
            if not picture.is_file():
                raise PicturesError(f"{folder / LABELS}: there is no file {line[0]!r} in {folder}")
            found.append((picture, line[1]))
    return found


def _from_folders(folder: Path) -> list[tuple[Path, str]]:
    return [
        (picture, label.name)
        for label in sorted(folder.iterdir())
        if label.is_dir()
        for picture in sorted(label.iterdir())
        if picture.suffix.lower() in SUFFIXES
    ]


def read(folder: Path) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """All pictures as the model takes them, [pictures, 224, 224, 3], and their labels. PicturesError."""
    files, labels = zip(*listed(folder), strict=True)
    return np.stack([load(file) for file in files]), labels


def load(picture: Path) -> npt.NDArray[np.float32]:
    """The picture as the model takes it: FP32 [224, 224, 3]. PicturesError.

    A file of pixels gets the preprocessing of the model (`pictures.preprocess`); a `.npy` is taken as it is, for
    networks that want another.
    """
    try:
        if picture.suffix.lower() != AS_THE_MODEL_TAKES_IT:
            with Image.open(picture) as image:
                return preprocess(image)
        array = np.load(picture, allow_pickle=False)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise PicturesError(f"{picture} cannot be read as a picture: {error}") from error
    if array.shape != (MODEL_SIDE, MODEL_SIDE, 3) or array.dtype != np.float32:
        raise PicturesError(
            f"{picture} is {array.dtype} of shape {list(array.shape)}; it must be float32 of shape "
            f"[{MODEL_SIDE}, {MODEL_SIDE}, 3]"
        )
    return np.ascontiguousarray(array)
