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

from triton_users.image_model.preprocessing import Preprocessing, prepared
from triton_users.image_model.tensors import ImageTensors

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


def read(folder: Path, tensors: ImageTensors, how: Preprocessing) -> tuple[npt.NDArray[np.generic], tuple[str, ...]]:
    """All pictures as the model takes them, one after the other in the first dimension, and their labels.

    PicturesError.
    """
    files, labels = zip(*listed(folder), strict=True)
    return np.stack([load(file, tensors, how) for file in files]), labels


def load(picture: Path, tensors: ImageTensors, how: Preprocessing) -> npt.NDArray[np.generic]:
    """The picture as the model takes it. PicturesError.

    A `.npy` is taken as it is, for networks that want a preprocessing of their own.
    """
    try:
        if picture.suffix.lower() != AS_THE_MODEL_TAKES_IT:
            with Image.open(picture) as image:
                return prepared(image, how, tensors)
        array = np.load(picture, allow_pickle=False)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise PicturesError(f"{picture} cannot be read as a picture: {error}") from error
    if array.shape != tensors.shape or array.dtype != tensors.numpy:
        raise PicturesError(
            f"{picture} is {array.dtype} of shape {list(array.shape)}; it must be {tensors.numpy} of shape "
            f"{list(tensors.shape)}"
        )
    return np.ascontiguousarray(array)
