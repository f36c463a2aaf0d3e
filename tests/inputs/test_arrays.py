"""Input data that are bytes: directories of raw files and numpy's .npz."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inputs.specs import ints, model
from triton_users.inputs.datatypes import decode
from triton_users.inputs.load import load
from triton_users.inputs.model import TensorSpec
from triton_users.settings import UsageError

OUT = TensorSpec("OUT", "INT32", (4,))
PLAIN = model(ints(), outputs=(OUT,))


def folder_of(path: Path, **files: bytes) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def test_a_directory_is_one_step_with_what_must_be_answered(tmp_path: Path) -> None:
    raw, answer = np.arange(4, dtype="<i4").tobytes(), np.ones(4, "<i4").tobytes()
    data = load([folder_of(tmp_path / "raw", IN=raw, OUT=answer)], PLAIN)
    assert data.streams == (1,)
    assert data.step(0, 0).inputs["IN"].raw == raw
    assert data.step(0, 0).expected["OUT"].raw == answer


def test_texts_of_a_directory_stand_one_a_line(tmp_path: Path) -> None:
    texts = model(TensorSpec("IN", "BYTES", (2,)))
    for content in (b"one\ntwo\n", b"one\ntwo"):
        step = load([folder_of(tmp_path / f"raw{len(content)}", IN=content)], texts).step(0, 0)
        assert decode(step.inputs["IN"].raw, "BYTES").tolist() == [b"one", b"two"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"IN": b"123"}, "IN: 3 bytes are no whole number of INT32"),
        ({"IN": bytes(12)}, r"IN: it has 3 elements, but \[4\] has 4"),
        ({"IN": bytes(16), "X": b""}, "m has no tensor 'X'; it has IN, OUT"),
        ({"OUT": bytes(16)}, "no data for IN, which m needs"),
    ],
)
def test_a_directory_that_does_not_fit_says_why(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load([folder_of(tmp_path / "raw", **files)], PLAIN)


def npz(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


def test_the_first_dimension_of_an_array_counts_the_steps(tmp_path: Path) -> None:
    rows = np.arange(12).reshape(3, 4)
    data = load([npz(tmp_path, IN=rows, OUT=rows * 2)], PLAIN)
    assert data.streams == (3,)
    for index in range(3):
        assert decode(data.step(0, index).inputs["IN"].raw, "INT32").tolist() == rows[index].tolist()
        assert decode(data.step(0, index).expected["OUT"].raw, "INT32").tolist() == (rows[index] * 2).tolist()


def test_an_array_without_that_dimension_is_the_same_in_all_steps(tmp_path: Path) -> None:
    both = model(ints(), ints("MASK", 2))
    data = load([npz(tmp_path, IN=np.zeros((3, 4), np.int32), MASK=np.array([1, 2]))], both)
    assert data.streams == (3,)
    assert {data.step(0, i).inputs["MASK"].raw for i in range(3)} == {np.array([1, 2], "<i4").tobytes()}


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 5), np.int32), r"IN, step 0: its shape is \[5\], but the model takes \[4\]"),
        (np.zeros(4), "its type is float64, but INT32 takes int32"),
        (np.full(4, 2**31), "its values are from 2147483648 to 2147483648"),
        (np.zeros((2, 2, 2), np.int32), r"IN: its shape is \[2, 2, 2\]; it must be \[steps,4\] or \[4\]"),
        (np.zeros((0, 4), np.int32), "it has 0 steps"),
        (np.array([None] * 4), "no .npz file of plain arrays"),
    ],
)
def test_an_array_that_does_not_fit_says_why(tmp_path: Path, array: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load([npz(tmp_path, IN=array)], PLAIN)


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(b"PK\x03\x04 broken")
    with pytest.raises(UsageError, match=r"no \.npz file"):
        load([tmp_path / "data.npz"], PLAIN)


def test_texts_and_bytes_of_numpy_are_elements(tmp_path: Path) -> None:
    texts = model(TensorSpec("IN", "BYTES", (2,)))
    for array in (np.array(["a", "é"]), np.array(["a", "é"]).astype("U"), np.array([b"a", "é".encode()])):
        step = load([npz(tmp_path, IN=array)], texts).step(0, 0)
        assert decode(step.inputs["IN"].raw, "BYTES").tolist() == [b"a", "é".encode()]
