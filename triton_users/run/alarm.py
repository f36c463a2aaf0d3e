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
        self._callback = callback
        self._timer = KernelTimer()
        self._set_s: float | None = math.inf
        """What the kernel's timer is set to; None: it has become readable."""
        self._now: Any = None
        """The callback of a time that had passed: the way through the kernel takes ten times as long."""
        self._loop = gevent.get_hub().loop
        self._watcher: Any = self._loop.io(self._timer.fd, 1)
        self._watcher.start(self._ring)

    def set(self, at_s: float) -> None:
        if self._now is not None:
            self._now.stop()
            self._now = None
        if at_s <= time.perf_counter():
            self._now = self._loop.run_callback(self._ring_now)
            at_s = math.inf
        if at_s != self._set_s:
            self._set_s = at_s
            self._timer.set(at_s)

    def close(self) -> None:
        self.set(math.inf)
        if self._timer.fd >= 0:
            self._watcher.stop()
            self._watcher.close()
        self._timer.close()
        self._callback = _nothing

    def _ring(self) -> None:
        self._set_s = None
        self._callback()

    def _ring_now(self) -> None:
        self._now = None
        self._callback()


def _nothing() -> None:
    pass


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
