"""The wheel, installed into a fresh environment, used from an empty folder, on the real embedded Triton."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.end_to_end.locust_process import ROOT

#: How long the building or the installation may take, in seconds: it fetches what Locust and tritonclient need.
INSTALL_LIMIT_S = 400.0

#: How long a short run may take, in seconds, the server's start on a busy machine included.
RUN_LIMIT_S = 150.0

SHORT = ("--headless", "-u", "2", "-r", "2", "-t", "3s", "--scenarios", "SequenceValid,SequenceNoStart")

#: Git's list of what the package is made of; what is in the checkout beyond that has no place in a wheel.
TRACKED = "git ls-files triton_users"

pytestmark = pytest.mark.timeout(INSTALL_LIMIT_S + 60)


def run(*command: str, folder: Path, limit_s: float) -> subprocess.CompletedProcess[str]:
    """A command with nothing of this checkout in its environment."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LOCUST_", "VIRTUAL_ENV"))
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=limit_s)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder))
    built = run(*pip, str(copy_of_the_sources(folder)), folder=folder, limit_s=INSTALL_LIMIT_S)
    assert built.returncode == 0, built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment with the wheel and what it asks for, and nothing else."""
    environment = tmp_path_factory.mktemp("environment")
    for command in (
        (sys.executable, "-m", "venv", str(environment)),
        (str(environment / "bin/python"), "-m", "pip", "install", "--quiet", str(wheel)),
    ):
        done = run(*command, folder=environment, limit_s=INSTALL_LIMIT_S)
        assert done.returncode == 0, done.stdout + done.stderr
    return environment / "bin"


def tracked() -> set[str]:
    listing = subprocess.run(TRACKED.split(), cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return set(listing.stdout.splitlines())


def test_the_wheel_has_every_file_of_the_package_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.split("/")[0].endswith(".dist-info")}
    assert packed == tracked()


def test_the_source_distribution_has_every_file_of_the_package(tmp_path: Path) -> None:
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(tmp_path)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=copy_of_the_sources(tmp_path), capture_output=True,
                          text=True, timeout=INSTALL_LIMIT_S)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        packed = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert tracked() <= packed
    assert {"pyproject.toml", "README.md"} <= packed


def copy_of_the_sources(folder: Path) -> Path:
    """Setuptools writes into the folder that it builds from."""
    target = folder / "sources"
    for name in ("pyproject.toml", "README.md", *tracked()):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes((ROOT / name).read_bytes())
    return target


def passed(folder: Path) -> list[str]:
    """The scenarios that ran in the only report of `folder`, which has passed."""
    (path,) = folder.glob("reports/*/report.json")
    report = json.loads(path.read_text())
    assert report["verdict"]["passed"] is True
    return [scenario["name"] for scenario in report["scenarios"] if scenario["runs"]]


@pytest.mark.triton
def test_the_command_runs_the_stress_test_from_an_empty_folder(programs: Path, tmp_path: Path) -> None:
    done = run(str(programs / "triton-users"), *SHORT, folder=tmp_path, limit_s=RUN_LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SequenceValid" in passed(tmp_path)
    assert os.listdir(tmp_path) == ["reports"]


@pytest.mark.triton
def test_a_locustfile_of_one_line_is_the_stress_test(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text("from triton_users.locustfile import *\n")
    done = run(str(programs / "locust"), *SHORT, folder=tmp_path, limit_s=RUN_LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SequenceValid" in passed(tmp_path)


@pytest.mark.triton
def test_the_image_model_loads_from_the_installed_package(programs: Path, tmp_path: Path) -> None:
    """Its version's folder has no file worth packing, and must be there all the same."""
    program = (
        "from triton_users.server import EmbeddedTriton as E\nwith E(models=['resnet_v1_50'], grace_s=0): print('up')"
    )
    done = run(str(programs / "python"), "-c", program, folder=tmp_path, limit_s=RUN_LIMIT_S)
    assert done.stdout == "up\n", done.stderr
