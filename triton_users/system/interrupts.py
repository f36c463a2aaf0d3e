"""Ctrl+C once: the first one ends what is under way, later ones do not end the end. Knows signals only."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def one_interrupt(*signals: signal.Signals) -> Iterator[None]:
    """In this block the first of `signals` raises KeyboardInterrupt, and all after it are ignored.

    They stay ignored when the block ends by it: what follows is the end of the program, which takes its time but has
    its limits, and which a second one would break into. In the main thread only.
    """
    came = False

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in signals}
    try:
        yield
    finally:
        if not came:
            for each, handler in before.items():
                signal.signal(each, handler)
