"""The real perf_analyzer: its place in the cache, its command, and whether it runs here. It measures nothing."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from triton_users.server import manifest, pins, support
from triton_users.server.cache import cache_folder, used
from triton_users.server.errors import Unsupported
from triton_users.server.loader import missing_libraries
from triton_users.server.progress import Progress
from triton_users.server.wheels import unpack

logger = logging.getLogger(__name__)

#: How long perf_analyzer may take to print its version, in seconds; it takes a few hundredths.
_VERSION_LIMIT_S = 60.0


#: Where its wheels keep it, and the only library it needs that a machine without CUDA does not have.
_PROGRAM = f"tritonclient-{pins.TRITONCLIENT.version}.data/data/bin/perf_analyzer"
_CUDA_RUNTIME = "nvidia/cuda_runtime/lib/libcudart.so.12"


class Installed(Protocol):
    """An `install.Installation`."""

    @property
    def perf_analyzer(self) -> Path: ...


def perf_analyzer_command(installation: Installed) -> tuple[list[str], dict[str, str]]:
    """The command of the installed perf_analyzer, to be followed by its arguments, and the environment to run it in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    return [str(installation.perf_analyzer)], {**kept, **_added_environment(installation.perf_analyzer)}


def folder() -> Path:
    """Its folder in the cache: all releases of the server share it."""
    return cache_folder() / f"perf_analyzer-{pins.TRITONCLIENT.version}-{pins.fingerprint(pins.PERF_ANALYZER)}"


def program_in(folder: Path) -> Path:
    """The program in its filled folder."""
    return folder / _PROGRAM


def fill(folder: Path, server_libraries: Path, progress: Progress) -> None:
    """Put it into `folder`; `server_libraries` are those of any release of the server."""
    kept = (_PROGRAM, _CUDA_RUNTIME)
    unpack(pins.PERF_ANALYZER, folder, support.PYTHONS[0], progress, "perf_analyzer", only=kept.__contains__)
    program_in(folder).chmod(0o755)
    # It wants libb64 too, which hardly any machine has; the server's wheels bring it under another name.
    (bundled,) = server_libraries.glob("libb64-*.so.0d")
    shutil.copy(bundled, (folder / _CUDA_RUNTIME).with_name("libb64.so.0d"))


def find_perf_analyzer() -> tuple[list[str], dict[str, str]]:
    """The perf_analyzer of this machine, without installing anything: one on PATH that runs, else the installed one.

    Its command, and the environment variables it needs on top of ours. Unsupported, with the remedy, when there is
    none that runs.
    """
    on_path, broken = shutil.which("perf_analyzer"), ""
    if on_path is not None:
        try:
            _version([on_path], os.environ)
            return [on_path], {}
        except Unsupported as error:
            broken = f"{on_path}, which is the perf_analyzer on PATH, is not used: {error}"
    if not used(folder()):
        raise Unsupported(
            (broken or "there is no perf_analyzer on this machine")
            + "; get one with `python -m triton_users.server install`, or put your own on PATH"
        )
    if broken:
        logger.warning("%s; the installed one is", broken)
    if damage := installed_damage():
        raise Unsupported(damage)
    program = program_in(folder())
    _check(program)
    return [str(program)], _added_environment(program)


def installed_damage() -> str:
    """What is wrong with the installed one, and the remedy; "" when nothing is, or it is not installed."""
    where = folder()
    if not where.is_dir() or not (damage := manifest.damage(where)):
        return ""
    return (
        f"{where} is damaged: {damage}. `python -m triton_users.server install` makes it again; or remove that folder"
    )


def check_perf_analyzer(installation: Installed) -> str:
    """The installed perf_analyzer's version line. Unsupported, with the remedy, when it cannot run here."""
    return _check(installation.perf_analyzer)


def _check(program: Path) -> str:
    environment = {**os.environ, **_added_environment(program)}
    missing = missing_libraries(program, environment)
    if missing:
        raise Unsupported(
            f"perf_analyzer lacks {', '.join(missing)} on this machine. Install what provides it, or put a "
            "perf_analyzer that runs on PATH."
        )
    try:
        return _version([str(program)], environment)
    except Unsupported as error:
        raise Unsupported(f"{error}. It needs glibc 2.34 or newer. Put one that runs on PATH.") from error


def _version(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What it says when asked for its version. Unsupported when it does not run or says nothing."""
    try:
        done = subprocess.run(
            [*command, "--version"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_VERSION_LIMIT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Unsupported(f"perf_analyzer does not run on this machine: {exc}") from exc
    said = (done.stdout + done.stderr).strip()  # 2.51 prints its version to standard error
    if done.returncode != 0 or not said:
        raise Unsupported(f"perf_analyzer does not run on this machine: exit code {done.returncode}, it said {said!r}")
    return said


def _added_environment(program: Path) -> dict[str, str]:
    unpacked_in = program.parents[len(Path(_PROGRAM).parts) - 1]
    return {"LD_LIBRARY_PATH": str(unpacked_in / Path(_CUDA_RUNTIME).parent)}
