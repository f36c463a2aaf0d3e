"""Provides the image model's network: the user's own ONNX file, or one that is built once and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

import PIL

from triton_users.image_model import fitting, pictures
from triton_users.image_model.own_pictures import OWN_NETWORK as OWN_NETWORK
from triton_users.server.cache import cache_folder, once
from triton_users.server.errors import InstallError, ServerError
from triton_users.server.external_data import Unreadable, files_beside
from triton_users.server.install import Installation
from triton_users.server.progress import Progress

#: Longest time to build the network, in seconds; it takes 10 to 20 on two cores.
BUILD_LIMIT_S = 600.0

_PROGRAM = Path(pictures.__file__).with_name("resnet.py")  # it imports what only the server's own Python has
_POLL_S = 0.2


def network_files(installation: Installation, progress: Progress) -> dict[str, Path]:
    """The files to put into the image model's folder, by their path in it.

    ServerError when the user's own file or a part of it is not there, InstallError when the network cannot be built.
    """
    own = os.environ.get(OWN_NETWORK)
    if not own:
        return {"1/model.onnx": _built(installation, progress)}
    network = Path(own).expanduser().absolute()
    if not network.is_file():
        raise ServerError(f"{OWN_NETWORK} is {own!r}, which is not a file; it must be the path of an ONNX ResNet-50.")
    labels = network.with_name("labels.txt")
    try:
        weights = files_beside(network, installation.python)
    except Unreadable as exc:
        raise ServerError(f"{OWN_NETWORK} is {own!r}, which cannot be served: {exc}.") from exc
    return (
        {"1/model.onnx": network}
        | {f"1/{name}": file for name, file in weights.items()}
        | ({"labels.txt": labels} if labels.is_file() else {})
    )


def _built(installation: Installation, progress: Progress) -> Path:
    """The network built by resnet.py, which is built again when anything that it is made from changes."""
    made_from = hashlib.sha256(PIL.__version__.encode() + installation.environment.name.encode())
    for source in (_PROGRAM, Path(fitting.__file__), Path(pictures.__file__)):
        made_from.update(source.read_bytes())
    folder = once(
        cache_folder() / f"resnet-{made_from.hexdigest()[:12]}",
        lambda temporary: _build(temporary, installation, progress),
        progress,
    )
    return folder / "model.onnx"


def _build(folder: Path, installation: Installation, progress: Progress) -> None:
    step = "Building the ResNet-50 network"
    progress(step, None)
    given, log = folder / "pictures.npz", folder / "build.log"
    fitting.write(given)
    command = [str(installation.python), "-I", str(_PROGRAM), str(given), str(folder / "model.onnx")]
    deadline = time.monotonic() + BUILD_LIMIT_S
    with log.open("wb") as output:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            while program.poll() is None and time.monotonic() < deadline:
                progress(step, None)
                time.sleep(_POLL_S)
        finally:
            if program.poll() is None:
                program.kill()
                program.wait()
    if program.returncode != 0:
        raise InstallError(f"{step}: failed with exit code {program.returncode}.\n{log.read_text(errors='replace')}")
    given.unlink()
