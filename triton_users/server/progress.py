"""Shows how a long step gets on: one line that updates in a terminal, a line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

#: Called with what is being done and how much of it is done, 0 to 1, or None when that cannot be known.
Progress = Callable[[str, "float | None"], None]

#: Seconds between two lines about the same step when the output is a log.
LOG_INTERVAL_S = 5.0


def silent(step: str, fraction: float | None) -> None:
    """A Progress that shows nothing."""


class ProgressLine:
    """A Progress that writes to `stream`. Call `close()`, or leave the `with` block, to end its line."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._step = ""
        self._written_s = 0.0
        self._width = 0

    def __call__(self, step: str, fraction: float | None) -> None:
        line = step if fraction is None else f"{step}: {fraction:4.0%}"
        if self._terminal:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            now = self._clock()
            if step == self._step and now - self._written_s < LOG_INTERVAL_S and fraction != 1:
                return
            self._written_s = now
            self._stream.write(line + "\n")
        self._step = step
        self._stream.flush()

    def close(self) -> None:
        if self._terminal and self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
