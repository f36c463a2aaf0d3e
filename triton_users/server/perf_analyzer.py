"""The real perf_analyzer: its command, the environment it needs, and whether it runs here. It measures nothing."""

from __future__ import annotations

import os
import shutil
import subprocess

from triton_users.server.errors import Unsupported
from triton_users.server.install import Installation, installed_root, missing_libraries

#: How long perf_analyzer may take to tell its version, in seconds; it takes a few hundredths.
_VERSION_LIMIT_S = 60.0


def perf_analyzer_command(installation: Installation) -> tuple[list[str], dict[str, str]]:
    """The command of the installed perf_analyzer, to be followed by its arguments, and the environment to run it in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    return [str(installation.perf_analyzer)], {**kept, **_added_environment(installation)}


def find_perf_analyzer() -> tuple[list[str], dict[str, str]]:
    """The perf_analyzer of this machine, without installing anything: the one on PATH, else the installed one.

    Its command, and the environment variables it needs on top of ours. Unsupported, with the remedy, when there is
    none or it does not run.
    """
    on_path = shutil.which("perf_analyzer")
    if on_path is not None:
        return [on_path], {}
    installation = installed_root()
    if installation is None:
        raise Unsupported(
            "there is no perf_analyzer on this machine; get one with `python -m triton_users.server install`, "
            "or put your own on PATH"
        )
    check_perf_analyzer(installation)
    return [str(installation.perf_analyzer)], _added_environment(installation)


def check_perf_analyzer(installation: Installation) -> str:
    """The installed perf_analyzer's version line. Unsupported, with the remedy, when it cannot run here."""
    command, environment = perf_analyzer_command(installation)
    missing = missing_libraries(installation.perf_analyzer, environment)
    if missing:
        raise Unsupported(
            f"perf_analyzer lacks {', '.join(missing)} on this machine. Install what provides it, or put a "
            "perf_analyzer that runs on PATH."
        )
    try:
        done = subprocess.run(
            [*command, "--version"], env=environment, capture_output=True, text=True, timeout=_VERSION_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise Unsupported(f"perf_analyzer does not run on this machine: {exc}. Put one that does on PATH.") from exc
    said = (done.stdout + done.stderr).strip()  # 2.51 prints its version to standard error
    if done.returncode != 0:
        raise Unsupported(
            f"perf_analyzer does not run on this machine: exit code {done.returncode}, it said {said!r}. It needs "
            "glibc 2.34 or newer. Put one that runs on PATH."
        )
    return said


def _added_environment(installation: Installation) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": str(installation.perf_analyzer_libraries)}
