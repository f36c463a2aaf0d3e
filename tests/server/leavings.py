"""What a run of the embedded Triton has, and must not leave behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

#: More than any step takes on a busy machine, in seconds.
LIMIT_S = 60.0


def wait_for(what: Callable[[], object], limit_s: float) -> float:
    """Seconds until `what` holds."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < limit_s, "not within the limit"
        time.sleep(0.05)
    return time.monotonic() - began


def left_of(name: str) -> list[str]:
    """Everything with this run's name: processes, shared-memory regions, temporary folders."""
    found = [str(path) for folder in ("/dev/shm", "/tmp") for path in Path(folder).glob(f"{name}*")]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if name.encode() in command.read_bytes():
                found.append(str(command))
        except OSError:
            pass  # it has just ended
    return found
