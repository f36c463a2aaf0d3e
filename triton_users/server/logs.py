"""Reads tritonserver's log for a person: what it complains about, else its last lines. It knows text only."""

from __future__ import annotations

import re

#: Lines that are shown at most.
LINES = 20

#: An error line of Triton's own log, its last word when it gives up, or that of C++ when nobody catches an exception.
_COMPLAINT = re.compile(r"E\d{4} |error: |terminate called |  what\(\): ")

#: What C++ says of an exception that nobody catches, before the crash.
_UNCAUGHT = re.compile("terminate called ")

#: How a crash begins, in front of the stack; ends that were asked for are SIGINT and SIGTERM.
_CRASH = re.compile(r"Signal \((?!2\)|15\))\d+\) received")

#: What each Python model says when its server has gone.
_AFTERMATH = "Non-graceful termination detected"

#: What every server without a GPU complains about.
_HARMLESS = "CudaDriverHelper has not been initialized"


def telling_lines(text: str) -> str:
    """The lines of a server's log that say why it ended."""
    lines = [line for line in text.splitlines() if line.strip()]
    for number, line in enumerate(lines):
        if line.startswith("Usage: "):  # after a wrong argument, which it names before it prints all it knows
            return "\n".join(lines[:number][-LINES:])
    crash = next((number for number, line in enumerate(lines) if _CRASH.search(line)), None)
    if crash is not None:
        # C++ says which exception it was just before.
        begin = next((number for number in range(max(0, crash - 2), crash) if _UNCAUGHT.match(lines[number])), crash)
        return "\n".join([line for line in lines[begin:] if _AFTERMATH not in line][:LINES])
    complaints = [line for line in lines if _COMPLAINT.match(line) and _HARMLESS not in line]
    plain = [line for line in lines if not line.startswith(("+-", "|"))]  # without the frames and rows of tables
    return "\n".join((complaints or plain)[-LINES:])
