"""The real perf_analyzer: its command, the environment it needs, and whether it runs here. It measures nothing."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from triton_users.server.errors import Unsupported
from triton_users.server.install import Installation, installed_root, missing_libraries

logger = logging.getLogger(__name__)

#: How long perf_analyzer may take to print its version, in seconds; it takes a few hundredths.
_VERSION_LIMIT_S = 60.0


def perf_analyzer_command(installation: Installation) -> tuple[list[str], dict[str, str]]:
    """The command of the installed perf_analyzer, to be followed by its arguments, and the environment to run it in."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LD_")}
    return [str(installation.perf_analyzer)], {**kept, **_added_environment(installation)}


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
    installation = installed_root()
    if installation is None:
        raise Unsupported(
            (broken or "there is no perf_analyzer on this machine")
            + "; get one with `python -m triton_users.server install`, or put your own on PATH"
        )
    if broken:
        logger.warning("%s; the installed one is", broken)
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
        return _version(command, environment)
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


def _added_environment(installation: Installation) -> dict[str, str]:
    return {"LD_LIBRARY_PATH": str(installation.perf_analyzer_libraries)}
