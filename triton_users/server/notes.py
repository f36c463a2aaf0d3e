"""The owner's end of the guard's notes: what it has said of its server so far. Reads a pipe and never waits."""

from __future__ import annotations

import json
import os
import signal
from typing import IO

#: What may come of the kernel's own accord, for people who wonder who sent it.
_SENT_BY = {signal.SIGKILL: ", which the kernel sends when memory runs out"}


class Notes:
    """What came over `pipe`, the guard's standard output; `close` it at the end."""

    def __init__(self, pipe: IO[bytes]) -> None:
        os.set_blocking(pipe.fileno(), False)
        self._pipe = pipe
        self._unread = b""
        #: The server's process id; 0 until it is known.
        self.pid = 0
        #: The server's exit code, or the negative number of the signal that ended it; None while it runs.
        self.ended: int | None = None
        #: What the guard itself met and survived.
        self.troubles: list[str] = []

    def read(self) -> Notes:
        """Take in what has come since; returns itself."""
        try:
            while not self._pipe.closed and (data := os.read(self._pipe.fileno(), 65536)):
                self._unread += data
        except BlockingIOError:
            pass  # no more for now
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            note = json.loads(line)
            self.pid = note.get("pid", self.pid)
            self.ended = note.get("ended", self.ended)
            self.troubles += [note["trouble"]] if "trouble" in note else []
        return self

    def close(self) -> None:
        """Read no more; what came stays."""
        self._pipe.close()


def how(ended: int) -> str:
    """In words, how a process ended: "with exit code 1", "by SIGSEGV"."""
    if ended >= 0:
        return f"with exit code {ended}"
    try:
        name = signal.Signals(-ended).name
    except ValueError:
        name = f"signal {-ended}"
    return f"by {name}{_SENT_BY.get(-ended, '')}"  # type: ignore[call-overload]  # signals are numbers
