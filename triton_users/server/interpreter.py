"""Finds a Python that the server's stub can run on: one of the supported versions, with its shared library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from triton_users.server.support import PYTHONS, dotted

#: How long an interpreter may take to describe itself, in seconds; it takes a few hundredths.
_LIMIT_S = 30.0

#: Prints the version, the folders where the shared library may be, and its name. Pythons that were built elsewhere and
#: then moved (uv) have a LIBDIR that does not exist here, so the prefix counts too.
_DESCRIBE = """
import json, os, sys, sysconfig
folders = [sysconfig.get_config_var("LIBDIR"), os.path.join(sys.base_prefix, "lib")]
print(json.dumps([sys.version_info[:2], folders, sysconfig.get_config_var("INSTSONAME")]))
"""


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
    """The running Python, then others, newest first; only supported versions, each program once.

    Those on PATH come before those that pyenv and uv keep off it.
    """
    names = [f"python{dotted(version)}" for version in reversed(PYTHONS)]
    kept = [str(program) for name in names for folder in _kept_off_path() for program in folder.glob(f"*/bin/{name}")]
    seen = set()
    for executable in (sys.executable, *filter(None, map(shutil.which, names)), *kept):
        program = os.path.realpath(executable)
        if program not in seen:
            seen.add(program)
            found = _described(executable)
            if found is not None and found.version in PYTHONS:
                yield found


def _kept_off_path() -> tuple[Path, Path]:
    """Where pyenv and uv have the Pythons that they installed."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    return pyenv / "versions", Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")


def _described(executable: str) -> Interpreter | None:
    """What `executable` says about itself, or None when it does not run, as version managers' shims may not."""
    try:
        said = subprocess.run([executable, "-I", "-c", _DESCRIBE], capture_output=True, check=True, timeout=_LIMIT_S)
        (major, minor), folders, library = json.loads(said.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    own = [Path(folder) for folder in folders if folder and library and (Path(folder) / library).exists()]
    return Interpreter(executable, (major, minor), own[0] if own else None)
