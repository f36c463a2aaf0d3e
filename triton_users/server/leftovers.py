"""Removes what a server left behind whose guard could not: every process and shared-memory region with its name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from triton_users.server.guard import remove_shared_memory

#: How long processes may take to be gone after SIGKILL, in seconds.
LIMIT_S = 5.0

_POLL_S = 0.02


def remove(name: str) -> None:
    """End all processes with the run's `name` on their command line, and remove the regions that begin with it."""
    deadline = time.monotonic() + LIMIT_S
    while (pids := _named(name)) and time.monotonic() < deadline:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has just ended
        time.sleep(_POLL_S)
    remove_shared_memory(name)


def _named(name: str) -> list[int]:
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            # Ours has it on no command line, but somebody who reads the log may have.
            if command.read_bytes().split(b"\0")[0].endswith((b"/tritonserver", b"/triton_python_backend_stub")):
                found += [int(command.parent.name)] if name.encode() in command.read_bytes() else []
        except OSError:
            pass  # it has just ended
    return found
