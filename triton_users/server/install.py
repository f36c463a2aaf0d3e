"""Puts a release of the server and the server's own Python into the cache, and says where each part is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from triton_users.server import manifest, perf_analyzer, pins, support
from triton_users.server.cache import cache_folder, once
from triton_users.server.errors import InstallError, ServerError, Unsupported
from triton_users.server.interpreter import Interpreter, candidates
from triton_users.server.loader import missing_libraries
from triton_users.server.progress import Progress, silent
from triton_users.server.wheels import unpack

#: Longest time to make a virtual environment, in seconds.
_TOOL_LIMIT_S = 60.0


@dataclass(frozen=True)
class Installation:
    """Where the parts of the embedded server are."""

    #: Folder of the unpacked server wheel.
    root: Path
    #: Folder of the server's own Python environment.
    environment: Path
    #: Major and minor version of that Python.
    python_version: tuple[int, int]
    #: Folder with the shared libpython that the backend's stub loads, or None to use the system's search path.
    python_libraries: Path | None
    #: The program perf_analyzer.
    perf_analyzer: Path = Path()
    version: str = pins.RELEASES[pins.NEWEST].version

    @property
    def tritonserver(self) -> Path:
        return self.root / "pytriton/tritonserver/bin/tritonserver"

    @property
    def python_backend(self) -> Path:
        """Folder of the Python backend, without its stub."""
        return self.root / "pytriton/tritonserver/backends/python"

    @property
    def stub(self) -> Path:
        """The program that runs a Python model; it must lie beside the Python backend's library."""
        stubs = self.root / "pytriton/tritonserver/python_backend_stubs"
        return stubs / support.dotted(self.python_version) / "triton_python_backend_stub"

    @property
    def libraries(self) -> Path:
        return _libraries(self.root)

    @property
    def python(self) -> Path:
        """The server's own interpreter, which has numpy, onnx and onnxruntime."""
        return self.environment / "bin/python3"

    def server_environment(self) -> dict[str, str]:
        """Environment variables for tritonserver; its stubs find Python through PATH and libraries through this."""
        folders = [self.libraries, *([self.python_libraries] if self.python_libraries else [])]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LD_"))}
        return {
            **kept,
            "PATH": f"{self.environment / 'bin'}:{os.environ.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": ":".join(map(str, folders)),
            # The models run on the CPU; with a GPU in sight, Triton would reserve memory on it.
            "CUDA_VISIBLE_DEVICES": "",
            # A model repository may be a checkout: leave no __pycache__ in it.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        }


def ensure_installed(progress: Progress = silent, release: str = pins.NEWEST) -> Installation:
    """Install what is missing and say where everything is; costs about a tenth of a second when nothing is missing.

    `release` is one of `pins.RELEASES`; each has a folder of its own. Unsupported when this machine cannot run the
    server, InstallError when something cannot be fetched or written.
    """
    wanted = known_release(release)
    support.check(support.this_machine())
    root = once(_root_folder(wanted), lambda folder: _fill_root(folder, wanted, progress), progress)
    tools = once(
        perf_analyzer.folder(), lambda folder: perf_analyzer.fill(folder, _libraries(root), progress), progress
    )
    interpreter = usable(wanted, root, candidates())
    packages = pins.PACKAGES[interpreter.version]
    dotted = support.dotted(interpreter.version)
    # The interpreter is part of the name: an environment made for another one would not work with its libpython.
    program = pins.short_hash(os.path.realpath(interpreter.executable))
    environment = once(
        cache_folder() / f"python-{dotted}-{pins.fingerprint(packages)}-{program}",
        lambda folder: _fill_environment(folder, interpreter, progress),
        progress,
    )
    return Installation(
        root, environment, interpreter.version, interpreter.libraries, perf_analyzer.program_in(tools), wanted.version
    )


def known_release(name: str) -> pins.Release:
    """The release of this name. ServerError, with those there are, when there is none."""
    if name not in pins.RELEASES:
        raise ServerError(f"There is no embedded Triton {name}; the releases are {', '.join(pins.RELEASES)}.")
    return pins.RELEASES[name]


def usable(release: pins.Release, root: Path, interpreters: Iterable[Interpreter]) -> Interpreter:
    """The first interpreter that a stub in `root` can run on. Unsupported, with what to install, when none can."""
    lacking = []
    for interpreter in interpreters:
        if interpreter.version not in release.pythons:
            continue
        tried = Installation(root, Path(), interpreter.version, interpreter.libraries)
        environment = tried.server_environment()
        missing = {
            name for program in (tried.tritonserver, tried.stub) for name in missing_libraries(program, environment)
        }
        if not missing:
            return interpreter
        lacking.append((interpreter, sorted(missing)))
    what = f"The embedded Triton {release.version} needs Python {support.span(release.pythons)}"
    if not lacking:
        raise Unsupported(
            f"{what}; this is {support.dotted(sys.version_info[:2])}, and there is no other on PATH, of pyenv's or of "
            f"uv's. Install one of them.\n{support.REMEDY}"
        )
    found = "; ".join(f"{interpreter.name} lacks {', '.join(names)}" for interpreter, names in lacking)
    version = support.dotted(lacking[0][0].version)
    raise Unsupported(
        f"{what} with its shared library: {found}. On Debian or Ubuntu: apt install "
        f"libpython{version}. With pyenv: build it with --enable-shared. Python from uv or conda has it.\n"
        f"{support.REMEDY}"
    )


def installed_root(release: pins.Release) -> Path | None:
    """The folder of the release's unpacked wheel, when it is there and whole; installs nothing."""
    root = _root_folder(release)
    return root if root.is_dir() and not manifest.damage(root) else None


def _libraries(root: Path) -> Path:
    return root / "nvidia_pytriton.libs"


def _root_folder(release: pins.Release) -> Path:
    return cache_folder() / f"triton-{release.version}-{pins.fingerprint((release.wheel,))}"


def _fill_root(folder: Path, release: pins.Release, progress: Progress) -> None:
    unpack((release.wheel,), folder, release.pythons[0], progress, f"Triton {release.version}")
    for pattern in ("**/bin/tritonserver", "**/triton_python_backend_stub"):
        for program in folder.glob(pattern):
            program.chmod(0o755)  # zip archives are unpacked without the executable bit


def _fill_environment(folder: Path, interpreter: Interpreter, progress: Progress) -> None:
    # Without pip, because a bare Debian has no ensurepip; the packages are unpacked wheels.
    command = [interpreter.executable, "-m", "venv", "--without-pip", "--symlinks", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TOOL_LIMIT_S)
    dotted = support.dotted(interpreter.version)
    if done.returncode != 0:
        raise InstallError(
            f"Cannot make a Python environment for the server with {interpreter.name}: "
            f"{done.stderr.strip() or done.stdout.strip()}\nOn Debian or Ubuntu: apt install python{dotted}-venv"
        )
    packages = pins.PACKAGES[interpreter.version]
    site_packages = folder / f"lib/python{dotted}/site-packages"
    unpack(packages, site_packages, interpreter.version, progress, "the server's Python packages")
