"""Damage to a folder of the cache is found by what is there, and by how long it is."""

from pathlib import Path

import pytest

from triton_users.server import manifest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files, a link and a link to a folder, and its manifest."""
    (tmp_path / "lib/deep").mkdir(parents=True)
    (tmp_path / "lib/deep/server.so").write_text("machine code")
    (tmp_path / "lib/link.so").symlink_to("deep/server.so")
    (tmp_path / "lib64").symlink_to("lib")
    manifest.write(tmp_path)
    return tmp_path


def test_a_folder_as_it_was_filled_is_sound(folder: Path) -> None:
    assert manifest.damage(folder) == ""


def test_files_that_came_later_are_no_damage(folder: Path) -> None:
    (folder / "lib/__pycache__").mkdir()
    (folder / "lib/__pycache__/module.pyc").write_text("made by use")
    assert manifest.damage(folder) == ""


def test_a_truncated_file_is_named_with_both_sizes(folder: Path) -> None:
    (folder / "lib/deep/server.so").write_text("machine")
    assert manifest.damage(folder) == "lib/deep/server.so has 7 bytes, not 12"


@pytest.mark.parametrize("name", ["lib/deep/server.so", "lib/link.so", "lib64"])
def test_a_missing_file_or_link_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert manifest.damage(folder) == f"{name}: No such file or directory"


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_manifest_that_cannot_be_read_is_damage(folder: Path, text: str) -> None:
    (folder / manifest.NAME).write_text(text)
    assert manifest.damage(folder).startswith("its .manifest.json cannot be read: ")


def test_a_folder_without_a_manifest_is_damaged(folder: Path) -> None:
    (folder / manifest.NAME).unlink()
    assert "No such file" in manifest.damage(folder)
