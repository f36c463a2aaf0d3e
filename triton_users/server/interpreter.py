"""Finds a Python that the server's stub can run on: one of the supported versions, with its shared library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triton_users.server.support import PYTHONS

#: How long an interpreter may take to describe itself, in seconds; it takes a few hundredths.
_LIMIT_S = 30.0

_DESCRIBE = (
    "import json, sys, sysconfig; "
    "print(json.dumps([sys.version_info[:2], sysconfig.get_config_var('LIBDIR'), "
    "sysconfig.get_config_var('INSTSONAME')]))"
)


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine."""

    executable: str
    #: Major and minor version.
    version: tuple[int, int]
    #: Folder of its shared library, or None when it is where the system's loader looks, if anywhere.
    libraries: Path | None

    @property
    def name(self) -> str:
        return f"{self.executable} ({self.version[0]}.{self.version[1]})"


def candidates() -> Iterator[Interpreter]:
    """The running Python, then others on PATH, newest first; only supported versions, each program once."""
    seen = set()
    running = _interpreter(
        sys.executable, sys.version_info[:2], sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    )
    for found in (running, *_on_path()):
        program = os.path.realpath(found.executable)
        if found.version in PYTHONS and program not in seen:
            seen.add(program)
            yield found


def _on_path() -> Iterator[Interpreter]:
    for major, minor in reversed(PYTHONS):
        executable = shutil.which(f"python{major}.{minor}")
        described = _described(executable) if executable else None
        if described is not None:
            yield described


def _described(executable: str) -> Interpreter | None:
    """What `executable` says about itself, or None when it does not run, as version managers' shims may not."""
    try:
        said = subprocess.run([executable, "-I", "-c", _DESCRIBE], capture_output=True, check=True, timeout=_LIMIT_S)
        version, folder, library = json.loads(said.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return _interpreter(executable, (version[0], version[1]), folder, library)


def _interpreter(executable: str, version: tuple[int, int], folder: str | None, library: str | None) -> Interpreter:
    own = Path(folder) if folder and library and (Path(folder) / library).exists() else None
    return Interpreter(executable, version, own)
