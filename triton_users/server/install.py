"""Puts the server, perf_analyzer and the server's own Python into the cache, and says where each part is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from triton_users.server import manifest, pins, support
from triton_users.server.cache import cache_folder, once, used
from triton_users.server.errors import InstallError, Unsupported
from triton_users.server.interpreter import Interpreter, candidates
from triton_users.server.progress import Progress, silent
from triton_users.server.wheels import unpack

#: Longest time to make a virtual environment or to examine a program's libraries, in seconds.
_TOOL_LIMIT_S = 60.0


@dataclass(frozen=True)
class Installation:
    """Where the parts of the embedded server are."""

    #: Folder of the unpacked server wheels.
    root: Path
    #: Folder of the server's own Python environment.
    environment: Path
    #: Major and minor version of that Python.
    python_version: tuple[int, int]
    #: Folder with the shared libpython that the backend's stub loads, or None to use the system's search path.
    python_libraries: Path | None
    version: str = pins.TRITON_VERSION

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
        return self.root / "nvidia_pytriton.libs"

    @property
    def python(self) -> Path:
        """The server's own interpreter, which has numpy, onnx and onnxruntime."""
        return self.environment / "bin/python3"

    @property
    def perf_analyzer(self) -> Path:
        return self.root / f"tritonclient-{pins.TRITONCLIENT.version}.data/data/bin/perf_analyzer"

    @property
    def perf_analyzer_libraries(self) -> Path:
        return self.root / "nvidia/cuda_runtime/lib"

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


def ensure_installed(progress: Progress = silent) -> Installation:
    """Install what is missing and say where everything is; costs about a tenth of a second when nothing is missing.

    Unsupported when this machine cannot run the server, InstallError when something cannot be fetched or written.
    """
    support.check(support.this_machine())
    root = once(_root_folder(), lambda folder: _fill_root(folder, progress), progress)
    interpreter = _usable(root, candidates())
    packages = pins.PACKAGES[interpreter.version]
    dotted = support.dotted(interpreter.version)
    # The interpreter is part of the name: an environment made for another one would not work with its libpython.
    program = pins.short_hash(os.path.realpath(interpreter.executable))
    environment = once(
        cache_folder() / f"python-{dotted}-{pins.fingerprint(packages)}-{program}",
        lambda folder: _fill_environment(folder, interpreter, progress),
        progress,
    )
    return Installation(root, environment, interpreter.version, interpreter.libraries)


def _usable(root: Path, interpreters: Iterable[Interpreter]) -> Interpreter:
    """The first interpreter that the stub in `root` can run on. Unsupported, with what to install, when none can."""
    lacking = []
    for interpreter in interpreters:
        tried = Installation(root, Path(), interpreter.version, interpreter.libraries)
        environment = tried.server_environment()
        missing = {
            name for program in (tried.tritonserver, tried.stub) for name in missing_libraries(program, environment)
        }
        if not missing:
            return interpreter
        lacking.append((interpreter, sorted(missing)))
    known = f"Python {support.dotted(support.PYTHONS[0])} to {support.dotted(support.PYTHONS[-1])}"
    if not lacking:
        raise Unsupported(
            f"The embedded Triton needs {known}; this is {support.dotted(sys.version_info[:2])}, and PATH has no "
            f"other. Install one of them.\n{support.REMEDY}"
        )
    found = "; ".join(f"{interpreter.name} lacks {', '.join(names)}" for interpreter, names in lacking)
    version = support.dotted(lacking[0][0].version)
    raise Unsupported(
        f"The embedded Triton needs {known} with its shared library: {found}. On Debian or Ubuntu: apt install "
        f"libpython{version}. With pyenv: build it with --enable-shared. Python from uv or conda has it.\n"
        f"{support.REMEDY}"
    )


def installed_root() -> Installation | None:
    """The installed server wheels, when they are there, without the server's own Python; installs nothing.

    Unsupported, with the remedy, when they are damaged.
    """
    root = _root_folder()
    if not used(root):
        return None
    if damage := installed_damage():
        raise Unsupported(damage)
    return Installation(root, Path(), sys.version_info[:2], None)


def installed_damage() -> str:
    """What is wrong with the installed server wheels, and the remedy; "" when nothing is, or nothing is installed."""
    root = _root_folder()
    if not root.is_dir() or not (damage := manifest.damage(root)):
        return ""
    return f"{root} is damaged: {damage}. `python -m triton_users.server install` makes it again; or remove that folder"


def missing_libraries(program: Path, environment: dict[str, str]) -> list[str]:
    """Names of the shared libraries that `program` needs and this machine lacks."""
    # This variable makes the dynamic loader list the libraries and exit, which is what ldd does.
    listing = subprocess.run(
        [str(program)],
        env={**environment, "LD_TRACE_LOADED_OBJECTS": "1"},
        capture_output=True,
        text=True,
        timeout=_TOOL_LIMIT_S,
    ).stdout
    return [line.split()[0] for line in listing.splitlines() if line.endswith("not found")]


def _root_folder() -> Path:
    return cache_folder() / f"triton-{pins.TRITON_VERSION}-{pins.fingerprint(pins.SERVER)}"


def _fill_root(folder: Path, progress: Progress) -> None:
    unpack(pins.SERVER, folder, support.PYTHONS[0], progress, "Triton and perf_analyzer")
    for pattern in ("**/bin/tritonserver", "**/triton_python_backend_stub", "**/bin/perf_analyzer"):
        for program in folder.glob(pattern):
            program.chmod(0o755)  # zip archives are unpacked without the executable bit
    # perf_analyzer wants libb64, which hardly any machine has; the server's wheel brings it under another name.
    (bundled,) = (folder / "nvidia_pytriton.libs").glob("libb64-*.so.0d")
    (folder / "nvidia/cuda_runtime/lib/libb64.so.0d").symlink_to(Path("../../../nvidia_pytriton.libs", bundled.name))


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
