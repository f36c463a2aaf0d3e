"""Calls a function in gevent's hub at a time, and on time. Knows nothing of what it is for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import gevent

from triton_users.system.timer import KernelTimer


class Alarm(Protocol):
    """One time at which something is called; a new one replaces it."""

    @property
    def set(self) -> Callable[[float], None]:
        """Give it a time by `time.perf_counter`; one that has passed is as soon as can be, infinity is never."""
        ...

    def close(self) -> None:
        """It is not called any more. Safe to call twice."""
        ...


def make_alarm(callback: Callable[[], None]) -> Alarm:
    """An alarm that calls `callback`, which must not wait: in the hub nobody can."""
    try:
        return _KernelAlarm(callback)
    except OSError:  # not on Linux
        return _LoopAlarm(callback)


class _KernelAlarm:
    def __init__(self, callback: Callable[[], None]) -> None:
        self._timer = KernelTimer()
        self.set: Callable[[float], None] = self._timer.set
        self._watcher: Any = gevent.get_hub().loop.io(self._timer.fd, 1)
        self._watcher.start(callback)

    def close(self) -> None:
        self.set = lambda _: None
        if self._timer.fd >= 0:
            self._watcher.stop()
            self._watcher.close()
        self._timer.close()


class _LoopAlarm:
    """A millisecond late: the event loop's own timer."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._watcher: Any = None
        self._closed = False

    def set(self, at_s: float) -> None:
        self._stop()
        if at_s < math.inf and not self._closed:
            self._watcher = gevent.get_hub().loop.timer(max(0.0, at_s - time.perf_counter()))
            self._watcher.start(self._callback, update=True)

    def close(self) -> None:
        self._closed = True
        self._stop()

    def _stop(self) -> None:
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.stop()
            watcher.close()
