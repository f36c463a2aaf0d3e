"""Pinned wheels, fetched by the real pip from a folder of wheels that are made here."""

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from triton_users.server import wheels
from triton_users.server.errors import InstallError
from triton_users.server.pins import Wheel
from triton_users.server.progress import silent
from triton_users.server.wheels import unpack

PYTHON = sys.version_info[:2]


@pytest.fixture
def wheel(tmp_path, monkeypatch) -> Wheel:
    """A wheel that pip finds, and finds nowhere else."""
    folder = tmp_path / "index"
    folder.mkdir()
    file = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tiny/__init__.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONSTRAINT", "")
    content = file.read_bytes()
    return Wheel("tiny", "1.0", len(content), hashlib.sha256(content).hexdigest())


def test_a_wheel_with_the_pinned_hash_is_unpacked_and_the_download_removed(wheel, tmp_path):
    steps = []
    unpack((wheel,), tmp_path / "target", PYTHON, lambda step, fraction: steps.append((step, fraction)), "tiny")
    assert sorted(path.name for path in (tmp_path / "target").iterdir()) == ["tiny", "tiny-1.0.dist-info"]
    assert ("Downloading tiny", 1.0) in steps
    assert steps[-1] == ("Unpacking tiny", 1.0)


def test_a_wheel_with_another_hash_is_refused(wheel, tmp_path):
    forged = Wheel(wheel.name, wheel.version, wheel.size, "0" * 64)
    with pytest.raises(InstallError) as raised:
        unpack((forged,), tmp_path / "target", PYTHON, silent, "tiny")
    assert "differs from the one this project was tested with" in str(raised.value)
    assert wheel.sha256 in str(raised.value), "pip's own words belong to the message"
    assert not (tmp_path / "target/tiny").exists()


def test_a_wheel_that_cannot_be_fetched_names_pip_and_the_way_out(wheel, tmp_path):
    missing = Wheel("tiny", "2.0", wheel.size, wheel.sha256)
    with pytest.raises(InstallError) as raised:
        unpack((missing,), tmp_path / "target", PYTHON, silent, "tiny")
    assert "pip config list" in str(raised.value)
    assert "--host grpc://" in str(raised.value)
    assert "tiny==2.0" in str(raised.value)


def test_a_python_without_pip_is_told_how_to_get_it(wheel, tmp_path, monkeypatch):
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    monkeypatch.setattr(sys, "executable", str(bare / "bin/python"))
    with pytest.raises(InstallError, match=r"This Python has no pip.*ensurepip"):
        unpack((wheel,), tmp_path / "target", PYTHON, silent, "tiny")


def test_a_download_that_never_ends_is_given_up_and_its_pip_ended(wheel, tmp_path, monkeypatch):
    started = []
    popen = subprocess.Popen

    def hanging(command, **options):
        started.append(popen(["sleep", "600"], **options))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", hanging)
    monkeypatch.setattr(wheels, "DOWNLOAD_LIMIT_S", 0.1)
    with pytest.raises(InstallError, match="not done after 0 s"):
        unpack((wheel,), tmp_path / "target", PYTHON, silent, "tiny")
    assert started[0].returncode == -9


def test_no_registry_host_is_named():
    for source in Path(wheels.__file__).parent.glob("*.py"):
        assert "pypi" + ".org" not in source.read_text()


def test_a_folder_that_pip_removes_in_the_middle_of_a_look_counts_as_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wheel").write_bytes(b"12345")
    (tmp_path / "pip-unpack").mkdir()
    real = os.scandir

    def scandir(folder: Any) -> Any:
        if os.fspath(folder).endswith("pip-unpack"):
            raise FileNotFoundError(folder)
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert wheels._size(tmp_path) == 5
