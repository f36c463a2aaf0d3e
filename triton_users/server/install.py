"""Puts the server, perf_analyzer and the server's own Python into the cache, and says where each part is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from triton_users.server import pins, support
from triton_users.server.cache import cache_folder, once
from triton_users.server.errors import InstallError, Unsupported
from triton_users.server.progress import Progress, silent
from triton_users.server.wheels import unpack

#: Longest time to make a virtual environment or to look at a program's libraries, in seconds.
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
        major, minor = self.python_version
        return self.root / f"pytriton/tritonserver/python_backend_stubs/{major}.{minor}/triton_python_backend_stub"

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
            # A model repository may be a checkout: leave no __pycache__ in it.
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        }


def ensure_installed(progress: Progress = silent) -> Installation:
    """Install what is missing and say where everything is; costs a few milliseconds when nothing is missing.

    Unsupported when this machine cannot run the server, InstallError when something cannot be fetched or written.
    """
    support.check(support.this_machine())
    version = sys.version_info[:2]
    cache = cache_folder()
    packages = pins.PACKAGES[version]
    root = once(
        _root_folder(),
        lambda folder: _fill_root(folder, version, progress),
        progress,
    )
    # The base interpreter is part of the name: an environment made for another one would not work with this libpython.
    base = os.path.realpath(sys.executable)
    environment = once(
        cache / f"python-{version[0]}.{version[1]}-{pins.fingerprint(packages)}-{pins.short_hash(base)}",
        lambda folder: _fill_environment(folder, packages, version, progress),
        progress,
    )
    installation = Installation(root, environment, version, _libpython_folder())
    _check_libraries(installation.stub, installation.server_environment())
    return installation


def find_perf_analyzer() -> tuple[list[str], dict[str, str]]:
    """The perf_analyzer of this machine, without installing anything: the one on PATH, else the installed one.

    Its command, and the environment variables it needs on top of ours. Unsupported, with the remedy, when there is none.
    """
    on_path = shutil.which("perf_analyzer")
    if on_path is not None:
        return [on_path], {}
    installed = Installation(_root_folder(), Path(), sys.version_info[:2], None)
    if not installed.perf_analyzer.exists():
        raise Unsupported(
            "there is no perf_analyzer on this machine; get one with `python -m triton_users.server install`, "
            "or put your own on PATH"
        )
    command, environment = perf_analyzer_command(installed)
    return command, {"LD_LIBRARY_PATH": environment["LD_LIBRARY_PATH"]}


def perf_analyzer_command(installation: Installation) -> tuple[list[str], dict[str, str]]:
    """The command of the real perf_analyzer, to be followed by its arguments, and the environment to run it in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    return [str(installation.perf_analyzer)], {
        **kept,
        "LD_LIBRARY_PATH": str(installation.perf_analyzer_libraries),
    }


def check_perf_analyzer(installation: Installation) -> str:
    """perf_analyzer's version line. Unsupported, with the remedy, when it cannot run here."""
    command, environment = perf_analyzer_command(installation)
    _check_libraries(installation.perf_analyzer, environment)
    try:
        done = subprocess.run(
            [*command, "--version"], env=environment, capture_output=True, text=True, timeout=_TOOL_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Unsupported(f"perf_analyzer does not run here: {exc}. The scenarios without it are not affected.") from exc
    if done.returncode != 0:
        raise Unsupported(f"perf_analyzer does not run here: exit code {done.returncode}, {done.stderr.strip()!r}.")
    return (done.stdout + done.stderr).strip()  # 2.51 prints its version to standard error


def _root_folder() -> Path:
    return cache_folder() / f"triton-{pins.TRITON_VERSION}-{pins.fingerprint(pins.SERVER)}"


def _fill_root(folder: Path, version: tuple[int, int], progress: Progress) -> None:
    unpack(pins.SERVER, folder, version, progress, "Triton and perf_analyzer")
    for pattern in ("**/bin/tritonserver", "**/triton_python_backend_stub", "**/bin/perf_analyzer"):
        for program in folder.glob(pattern):
            program.chmod(0o755)  # zip archives are unpacked without the executable bit
    # perf_analyzer wants libb64, which hardly any machine has; the server's wheel brings it under another name.
    (bundled,) = (folder / "nvidia_pytriton.libs").glob("libb64-*.so.0d")
    (folder / "nvidia/cuda_runtime/lib/libb64.so.0d").symlink_to(Path("../../../nvidia_pytriton.libs", bundled.name))


def _fill_environment(
    folder: Path, packages: tuple[pins.Wheel, ...], version: tuple[int, int], progress: Progress
) -> None:
    # Without pip, because a bare Debian has no ensurepip; the packages are unpacked wheels.
    command = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TOOL_LIMIT_S)
    if done.returncode != 0:
        raise InstallError(
            f"Cannot make a Python environment for the server: {done.stderr.strip() or done.stdout.strip()}\n"
            f"On Debian or Ubuntu: apt install python{version[0]}.{version[1]}-venv"
        )
    site_packages = folder / f"lib/python{version[0]}.{version[1]}/site-packages"
    unpack(packages, site_packages, version, progress, "the server's Python packages")


def _libpython_folder() -> Path | None:
    """Where this Python's shared library is, when it is in its own folder (pyenv, conda, uv)."""
    folder, name = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME")
    if folder and name and (Path(folder) / name).exists():
        return Path(folder)
    return None


def _check_libraries(program: Path, environment: dict[str, str]) -> None:
    """Raise Unsupported, naming the package to install, when `program` lacks a shared library."""
    # This variable makes the dynamic loader list the libraries and exit, which is what ldd does.
    listing = subprocess.run(
        [str(program)],
        env={**environment, "LD_TRACE_LOADED_OBJECTS": "1"},
        capture_output=True,
        text=True,
        timeout=_TOOL_LIMIT_S,
    ).stdout
    missing = [line.split()[0] for line in listing.splitlines() if line.endswith("not found")]
    if not missing:
        return
    remedy = f"Install what provides it. {support.REMEDY}"
    if any(name.startswith("libpython") for name in missing):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        remedy = (
            f"The server needs Python {version} as a shared library. On Debian or Ubuntu: apt install "
            f"libpython{version}; with pyenv: build it with --enable-shared; Python from uv or conda has it. "
            f"{support.REMEDY}"
        )
    raise Unsupported(f"{program.name} cannot run: {', '.join(missing)} not found. {remedy}")
