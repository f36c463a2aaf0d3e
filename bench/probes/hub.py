"""Watches how long greenlets hold gevent's hub. Knows nothing of what they do."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

import gevent
import greenlet

#: Seconds between two wake-ups of the ticker.
TICK_S = 0.001


class HubWatch:
    """A `with` block in which no hold of the hub goes unseen. All results are in milliseconds."""

    def __init__(self) -> None:
        self.longest_run_ms = 0.0
        """The longest time that any one greenlet ran without giving way; includes time when the kernel ran others."""
        self.longest_cpu_ms = 0.0
        """The same in CPU time of this thread: what the code itself is to blame for."""
        self.latest_wake_ms = 0.0
        """How late a greenlet that wakes every millisecond was at worst: what another user of the worker sees."""
        self._hub: Any = gevent.get_hub()
        self._since = (0.0, 0.0)

    def __enter__(self) -> HubWatch:
        self._ticker = gevent.spawn(self._tick)
        gevent.sleep(0)
        self._since = time.perf_counter(), time.thread_time()
        self._before = greenlet.settrace(self._switched)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        greenlet.settrace(self._before)
        self._ticker.kill()

    def _switched(self, _event: str, switch: tuple[Any, Any]) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        if switch[0] is not self._hub:
            self.longest_run_ms = max(self.longest_run_ms, 1000 * (wall - self._since[0]))
            self.longest_cpu_ms = max(self.longest_cpu_ms, 1000 * (cpu - self._since[1]))
        self._since = wall, cpu

    def _tick(self) -> None:
        due = time.perf_counter() + TICK_S
        while True:
            gevent.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
            self.latest_wake_ms = max(self.latest_wake_ms, 1000 * (now - due))
            due = now + TICK_S
