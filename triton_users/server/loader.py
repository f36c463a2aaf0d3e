"""Asks the dynamic loader which libraries a program would lack. It runs no program."""

from __future__ import annotations

import subprocess
from pathlib import Path

#: How long the loader may take, in seconds; it takes a few hundredths.
_LIMIT_S = 60.0


def missing_libraries(program: Path, environment: dict[str, str]) -> list[str]:
    """Names of the shared libraries that `program` needs and this machine lacks."""
    # This variable makes the dynamic loader list the libraries and exit, which is what ldd does.
    listing = subprocess.run(
        [str(program)],
        env={**environment, "LD_TRACE_LOADED_OBJECTS": "1"},
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
    ).stdout
    return [line.split()[0] for line in listing.splitlines() if line.endswith("not found")]
