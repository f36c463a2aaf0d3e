"""Which files belong to an ONNX network. What it asks for is made up here, by a program in the place of onnx."""

import json
from pathlib import Path

import pytest

from triton_users.server.external_data import Unreadable, files_beside


@pytest.fixture
def python(tmp_path: Path):
    """Makes a program that says what it is given, as the server's Python would of a network."""

    def saying(names: list[str]) -> Path:
        program = tmp_path / "python"
        program.write_text(f"#!/bin/sh\necho '{json.dumps(names)}'\n")
        program.chmod(0o755)
        return program

    return saying


def test_files_below_the_networks_folder_are_its_own(python, tmp_path: Path) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part/a.bin").touch()
    assert files_beside(tmp_path / "own.onnx", python(["part/a.bin"])) == {"part/a.bin": tmp_path / "part/a.bin"}


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.bin", "part/../../a.bin", ""])
def test_files_elsewhere_are_refused(python, tmp_path: Path, name: str) -> None:
    with pytest.raises(Unreadable, match="which is not below its folder"):
        files_beside(tmp_path / "own.onnx", python([name]))


def test_a_folder_in_a_files_place_is_no_file(python, tmp_path: Path) -> None:
    (tmp_path / "a.bin").mkdir()
    with pytest.raises(Unreadable, match=r"should be in .*/a\.bin, which is not there"):
        files_beside(tmp_path / "own.onnx", python(["a.bin"]))
