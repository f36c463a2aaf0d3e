"""The Dockerfile by its text: no Docker engine is here. `python -m bench image` runs its commands in a Debian root."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.dockerfile import ignored, stages
from tests.kubernetes import manifests, pods

ROOT = Path(__file__).parent.parent
DOCKERFILE = ROOT / "Dockerfile"


STAGES = stages()
BY_NAME = {stage.name: stage for stage in STAGES}
FINAL = STAGES[-1]
BASE = BY_NAME[FINAL.image]


def test_hadolint_finds_nothing() -> None:
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    done = subprocess.run([hadolint, "--no-color", str(DOCKERFILE)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_each_base_is_a_pinned_image_or_a_stage() -> None:
    for stage in STAGES:
        image, _, tag = stage.image.partition(":")
        assert stage.image in BY_NAME or (image == "python" and tag == "3.12-slim-bookworm")


def test_the_user_is_the_manifests_and_has_no_rights() -> None:
    (user,) = FINAL.all("USER")
    for manifest in manifests.every():
        if template := manifests.pod(manifest):
            named = template["spec"]["securityContext"]
            assert user == f"{named['runAsUser']}:{named['runAsGroup']}"
    assert FINAL.steps[-1][0] == "USER", "nothing is done as root after it"
    assert BY_NAME["embedded"].all("USER") == [user]


def test_the_last_stages_build_nothing() -> None:
    """What builds is in the first stage, and stays there."""
    for stage in (BASE, FINAL):
        for command in stage.all("RUN"):
            assert not {"pip", "apt-get", "gcc", "curl"} & set(command.split()), command


def test_the_image_is_the_one_that_the_kubernetes_tests_stand_on() -> None:
    variables = BASE.variables()
    assert variables.pop("PATH") == "/opt/venv/bin:$PATH"
    assert variables == pods.IMAGE_ENVIRONMENT
    assert BASE.all("WORKDIR") == [pods.IMAGE_FOLDER]
    assert BASE.all("ENTRYPOINT") == ['["triton-users"]']
    assert FINAL.all("COPY") == [f"--from=embedded /opt/perf_analyzer {pods.IMAGE_CACHE}"]
    assert pods.IMAGE_REPORTS in BASE.all("RUN")[0].split()


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    for arguments in BY_NAME["packages"].all("COPY"):
        *sources, _ = arguments.split()
        for source in sources:
            assert (ROOT / source).exists()
            assert not (ROOT / source).is_symlink(), (
                "Docker copies a link as what it is or what it names, by its version"
            )
            assert not ignored(source), source


@pytest.mark.parametrize(
    ("path", "is_ignored"),
    [
        ("triton_users/run/node.py", False),
        ("pyproject.toml", False),
        ("triton_users/run/__pycache__/node.pyc", True),
        ("triton_users/models/resnet_v1_50/1/model.onnx", True),
        ("triton_users/models/resnet_v1_50/config.pbtxt", False),
        (".git/config", True),
        ("reports/2026/report.html", True),
        ("docs/report.md", True),
    ],
)
def test_the_build_gets_the_package_and_nothing_else(path: str, is_ignored: bool) -> None:
    assert ignored(path) == is_ignored
