"""Fetches pinned wheels through the user's own pip and unpacks them. It knows nothing of what is inside a wheel.

pip verifies every hash and follows the user's configuration (index, proxy, certificates, cache); no host is named here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from triton_users.server.errors import InstallError
from triton_users.server.pins import Wheel
from triton_users.server.progress import Progress

#: Longest time for one set of wheels, in seconds: 75 MB over a very slow line.
DOWNLOAD_LIMIT_S = 1800.0

_POLL_S = 0.2


def unpack(
    wheels: tuple[Wheel, ...],
    target: Path,
    python: tuple[int, int],
    progress: Progress,
    what: str,
    only: Callable[[str], bool] = lambda name: True,
) -> None:
    """Fetch `wheels` for Python version `python` and unpack them into `target`: the files whose names `only` accepts.

    InstallError, with the end of pip's own output, when pip cannot fetch them or a hash differs.
    """
    target.mkdir(parents=True, exist_ok=True)
    # Inside the target, so that whoever removes an unfinished target removes this too.
    folder = target / ".download"
    folder.mkdir()
    _download(wheels, folder, python, progress, f"Downloading {what}")
    files = sorted((folder / "wheels").glob("*.whl"))
    for number, file in enumerate(files):
        progress(f"Unpacking {what}", number / len(files))
        with zipfile.ZipFile(file) as archive:
            archive.extractall(target, [name for name in archive.namelist() if only(name)])
    shutil.rmtree(folder)
    progress(f"Unpacking {what}", 1.0)


def _download(wheels: tuple[Wheel, ...], folder: Path, python: tuple[int, int], progress: Progress, step: str) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(wheel.requirement + "\n" for wheel in wheels))
    command = [
        sys.executable, "-m", "pip", "download", "--require-hashes", "--no-deps", "--only-binary=:all:",
        "--python-version", f"{python[0]}.{python[1]}", "--no-input", "--progress-bar=off",
        "--disable-pip-version-check", "--dest", str(folder / "wheels"), "--requirement", str(requirements),
    ]  # fmt: skip
    total = sum(wheel.size for wheel in wheels)
    log = folder / "pip.log"
    deadline = time.monotonic() + DOWNLOAD_LIMIT_S
    with log.open("wb") as output:
        # pip keeps what it is downloading in TMPDIR, so the size of our folder is its progress.
        pip = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder)},
        )  # fmt: skip
        try:
            while pip.poll() is None:
                progress(step, min(_size(folder) / total, 0.99))
                if time.monotonic() > deadline:
                    raise InstallError(f"{step}: not done after {DOWNLOAD_LIMIT_S:.0f} s, given up.")
                time.sleep(_POLL_S)
        finally:
            if pip.poll() is None:
                pip.kill()
                pip.wait()
    if pip.returncode != 0:
        raise InstallError(_explain(step, log.read_text(errors="replace")))
    progress(step, 1.0)


def _explain(step: str, output: str) -> str:
    tail = "\n".join("    " + line for line in output.strip().splitlines()[-12:])
    if "No module named pip" in output:
        remedy = f"This Python has no pip. Install it: `{sys.executable} -m ensurepip`, or `uv pip install pip`."
    elif "DO NOT MATCH THE HASHES" in output:
        remedy = "A file differs from the one this project was tested with. Ask whoever runs your package index."
    else:
        remedy = (
            "pip could not fetch a pinned wheel. Check the network and pip's configuration (`pip config list`), "
            "or use a Triton that runs elsewhere: `locust --host grpc://HOST:8001`."
        )
    return f"{step}: failed. {remedy}\npip said:\n{tail}"


def _size(folder: Path) -> int:
    """Bytes of all files in `folder`, while pip makes and removes some."""
    total = 0
    for parent, _, names in os.walk(folder):  # which passes over folders that have just been removed; rglob does not
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except OSError:
                pass  # removed between the listing and the look
    return total
