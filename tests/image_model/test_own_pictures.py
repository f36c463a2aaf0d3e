"""The user's own pictures: found by a file of labels or by folders, read, and refused with what would be right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triton_users.image_model import own_pictures
from triton_users.image_model.own_pictures import OWN_NETWORK, PicturesError, own_folder
from triton_users.image_model.pictures import preprocess
from triton_users.image_model.preprocessing import PRESETS
from triton_users.image_model.tensors import ImageTensors

RED = Image.new("RGB", (300, 200), (255, 0, 0))


def read(folder: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    return own_pictures.read(folder, ImageTensors("in", "out"), PRESETS["reference"])


def test_a_folder_for_each_label(tmp_path: Path) -> None:
    for label in ("tabby cat", "281"):
        (tmp_path / label).mkdir()
        RED.save(tmp_path / label / "one.PNG")
    (tmp_path / "281" / "notes.txt").write_text("no picture")
    arrays, labels = read(tmp_path)
    assert labels == ("281", "tabby cat")
    np.testing.assert_array_equal(arrays, np.stack([preprocess(RED)] * 2))


def test_a_file_of_labels(tmp_path: Path) -> None:
    RED.save(tmp_path / "b.png")
    RED.save(tmp_path / "a.jpg")
    (tmp_path / "labels.csv").write_text('file,label\nb.png,"cat, tabby"\n\na.jpg,7\n')
    arrays, labels = read(tmp_path)
    assert labels == ("cat, tabby", "7")
    assert arrays.shape == (2, 224, 224, 3)


def test_an_array_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    array = np.random.default_rng(1).normal(size=(224, 224, 3)).astype(np.float32)
    np.save(tmp_path / "cat" / "one.npy", array)
    np.testing.assert_array_equal(read(tmp_path)[0][0], array)


def channels_first(folder: Path) -> None:
    (folder / "cat").mkdir()
    np.save(folder / "cat" / "one.npy", np.zeros((3, 224, 224), np.float32))


def no_picture(folder: Path) -> None:
    (folder / "cat").mkdir()
    (folder / "cat" / "one.png").write_text("not a picture")


def missing(folder: Path) -> None:
    (folder / "labels.csv").write_text("b.png,cat\n")


def no_label(folder: Path) -> None:
    RED.save(folder / "b.png")
    (folder / "labels.csv").write_text("b.png\n")


def too_many(folder: Path) -> None:
    (folder / "cat").mkdir()
    for number in range(257):
        (folder / "cat" / f"{number}.png").touch()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: None, r"no picture in .*: there must be labels\.csv with lines FILE,LABEL, or a sub-folder"),
        (channels_first, r"one\.npy is float32 of shape \[3, 224, 224\]; it must be float32 of shape \[224, 224, 3\]"),
        (no_picture, r"one\.png cannot be read as a picture: cannot identify image file"),
        (missing, r"labels\.csv: there is no file 'b\.png' in"),
        (no_label, r"labels\.csv: 'b\.png' is not FILE,LABEL"),
        (too_many, "257 pictures in .*; it must be at most 256"),
        (lambda folder: folder.rmdir(), "which is no folder"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(make: object, told: str, tmp_path: Path) -> None:
    make(tmp_path)  # type: ignore[operator]
    with pytest.raises(PicturesError, match=told):
        read(tmp_path)


def test_pictures_beside_the_users_own_network_need_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OWN_NETWORK, str(tmp_path / "own.onnx"))
    assert own_folder("") is None
    (tmp_path / "pictures").mkdir()
    assert own_folder("") == tmp_path / "pictures"
    assert own_folder("/other") == Path("/other")


def test_without_a_network_or_a_folder_the_drawings_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OWN_NETWORK, raising=False)
    assert own_folder("") is None
