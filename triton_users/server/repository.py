"""Composes the folder that the embedded server loads from: models, backends and the image model's network.

It reads a model repository and the cache, and writes only into the folder it is given.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from triton_users.server.errors import ServerError
from triton_users.server.image_network import network_files
from triton_users.server.install import Installation
from triton_users.server.progress import Progress

#: The model whose network is not in the repository but is built, or is the user's own.
IMAGE_MODEL = "resnet_v1_50"

#: The network's place in the image model's folder.
NETWORK = "1/model.onnx"

#: Where a full Triton's backend for ONNX is played by a Python-based one.
_ONNX_BACKEND = Path(__file__).with_name("onnxruntime_backend.py")


def default_repository() -> Path:
    """The package's own model repository; `models/` at the top of a checkout is a link to it."""
    return Path(__file__).resolve().parents[1] / "models"


def model_names(repository: Path) -> list[str]:
    """Names of the models in `repository`, sorted. ServerError when it holds none, or one without a configuration."""
    bare = sorted(
        version.parent.name
        for version in repository.glob("*/[0-9]*/")
        if not (version.parent / "config.pbtxt").exists()
    )
    if bare:
        raise ServerError(
            f"No config.pbtxt in {repository / bare[0]}: the embedded Triton needs a whole one for each model."
        )
    names = sorted(config.parent.name for config in repository.glob("*/config.pbtxt"))
    if not names:
        raise ServerError(
            f"No model repository at {repository}: expected folders with a config.pbtxt in it. "
            "Give the path of one, or none for the package's own."
        )
    return names


def network_for(
    repository: Path, models: list[str] | None, installation: Installation, progress: Progress
) -> dict[str, Path]:
    """Files of the image model's network, by their path in its folder; none when they are not needed or there already.

    ServerError when `models` names one that `repository` does not have.
    """
    if IMAGE_MODEL not in _chosen(repository, models) or (repository / IMAGE_MODEL / NETWORK).exists():
        return {}
    return network_files(installation, progress)


def compose(
    folder: Path,
    installation: Installation,
    repository: Path,
    models: list[str] | None,
    network: dict[str, Path],
) -> None:
    """Write `folder`/models and `folder`/backends for the embedded server.

    `models` picks some of the repository's models; None takes all. `network` is what `network_for` gave.
    """
    for name in _chosen(repository, models):
        _link_tree(repository / name, folder / "models" / name)
    for name, file in network.items():
        target = folder / "models" / IMAGE_MODEL / name
        target.parent.mkdir(parents=True, exist_ok=True)  # a folder without a file in it is easily lost on the way
        target.unlink(missing_ok=True)
        target.symlink_to(file)
    # Copies, because tritonserver refuses a backend library that is a link out of the backend's folder.
    python = folder / "backends/python"
    shutil.copytree(installation.python_backend, python)
    shutil.copy(installation.stub, python)
    (folder / "backends/onnxruntime").mkdir()
    shutil.copy(_ONNX_BACKEND, folder / "backends/onnxruntime/model.py")


def _chosen(repository: Path, models: list[str] | None) -> list[str]:
    known = model_names(repository)
    unknown = [name for name in models or [] if name not in known]
    if unknown:
        raise ServerError(f"No model {', '.join(unknown)} in {repository}; there are {', '.join(known)}.")
    return known if models is None else models


def _link_tree(source: Path, target: Path) -> None:
    """A copy of the folders of `source` whose files are links, so that files can be added without touching it."""
    shutil.copytree(source, target, copy_function=os.symlink, ignore=shutil.ignore_patterns("__pycache__"))
