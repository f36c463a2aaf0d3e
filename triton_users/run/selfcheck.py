"""A node's look at itself: event-loop lag, CPU, waits for one, garbage collection, memory, queue time. Judges nothing.

    check = SelfCheck(clock=node.elapsed_s, queue_time=node.recorder.ledger.queue_times)
    check.start()                                       # a greenlet and a gc callback, until stop()
    recorder.snapshot(..., selfcheck=check.dump())
    client_limited.findings(collector.workers.values(), limits)  # on the master

It looks 20 times a second and closes a window every 5 seconds; what a window showed is kept as its worst values, within
bounds. The event-loop lag of the whole run is kept as a histogram as well. It costs 0.3 % of a core, measured.
"""

from __future__ import annotations

import gc
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple
from typing import Any

import gevent

from triton_users.judge.client_limited import Window
from triton_users.ledger import Histogram

SAMPLE_S = 0.05
"""How often the hub's lag is looked at, in seconds."""
WINDOW_S = 5.0
"""How long one window is, in seconds: a hundred samples, so that a 99th percentile says something."""
MAX_WINDOWS = 200
"""Windows kept; when they are too many, neighbours are made one, keeping the worse value of each."""


class SelfCheck:
    """Watches the process it runs in. `start` and `stop` own its greenlet and its gc callback."""

    def __init__(
        self,
        clock: Callable[[], float],
        queue_time: Callable[[], Histogram],
        cpu_s: Callable[[], float] = time.process_time,
        cpu_wait_s: Callable[[], float] | None = None,
    ) -> None:
        """`clock` gives this node's seconds, those of its snapshots; `queue_time` all queue times so far."""
        self._clock = clock
        self._send_delay = queue_time
        self._cpu_s = cpu_s
        self._cpu_wait_s = cpu_wait_s or CpuWait()
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._collection_began_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next window begins now."""
        self._windows: list[Window] = []
        self._lag = Histogram()
        self._lag_before = Histogram()  # of the windows that are closed
        self._longest_collection_s = 0.0
        self._queue_times_before = Histogram()
        self._open_window()

    def start(self) -> None:
        """Begin to watch. Does nothing when it already does."""
        if self._greenlet is None:
            gc.callbacks.append(self._on_collection)
            self._greenlet = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Stop watching. Does nothing when it does not."""
        if self._greenlet is not None:
            gc.callbacks.remove(self._on_collection)
            self._greenlet.kill(block=False)
            self._greenlet = None

    def dump(self) -> dict[str, Any]:
        """The windows so far as plain values, the open one included once it is a second old; and the lag of the run."""
        windows = [list(astuple(window)) for window in self._windows]
        if self._clock() - self._window_began_s >= 1.0:
            windows.append(list(astuple(self._measured())))
        lag = Histogram()
        lag.add(self._lag_before)
        lag.add(self._lag)
        return {"windows": windows, "event_loop_lag": lag.dump()}

    def _watch(self) -> None:
        while True:
            due_s = time.perf_counter() + SAMPLE_S
            gevent.sleep(SAMPLE_S)
            self.sample(time.perf_counter() - due_s)

    def sample(self, lag_s: float) -> None:
        """Take one look; `lag_s` is how much later than planned the hub woke us."""
        self._lag.record(int(lag_s * 1e6))
        if self._clock() - self._window_began_s >= WINDOW_S:
            self._windows.append(self._measured())
            if len(self._windows) > MAX_WINDOWS:
                self._windows = _halved(self._windows)
            self._open_window()

    def _open_window(self) -> None:
        self._window_began_s = self._clock()
        self._cpu_began_s = self._cpu_s()
        self._cpu_wait_began_s = self._cpu_wait_s()
        self._lag_before.add(self._lag)
        self._lag.clear()
        self._longest_collection_s = 0.0
        self._queue_times_before = self._send_delay()

    def _measured(self) -> Window:
        now_s = self._clock()
        lag_us = self._lag.quantile(0.99) or 0.0
        queue_time_us = self._send_delay().since(self._queue_times_before).quantile(0.99) or 0.0
        span_s = max(now_s - self._window_began_s, 1e-3)
        return Window(
            start_s=round(self._window_began_s, 3),
            end_s=round(now_s, 3),
            event_loop_lag_ms=round(lag_us / 1e3, 3),
            cpu_percent=round((self._cpu_s() - self._cpu_began_s) / span_s * 100, 1),
            gc_pause_ms=round(self._longest_collection_s * 1e3, 3),
            queue_time_ms=round(queue_time_us / 1e3, 3),
            rss_mib=round(rss_mib(), 1),
            cpu_wait_percent=round((self._cpu_wait_s() - self._cpu_wait_began_s) / span_s * 100, 1),
        )

    def _on_collection(self, phase: str, _: Mapping[str, int]) -> None:
        # Called in the middle of whatever allocates: it touches nothing but two floats of ours.
        if phase == "start":
            self._collection_began_s = time.perf_counter()
        else:
            took_s = time.perf_counter() - self._collection_began_s
            if took_s > self._longest_collection_s:
                self._longest_collection_s = took_s


def _halved(windows: list[Window]) -> list[Window]:
    """The windows with each pair of neighbours made one."""
    for left, right in zip(windows[::2], windows[1::2], strict=False):
        left.absorb(right)
    return windows[::2]


class CpuWait:
    """How long the thread that made this has been ready to run while it had no CPU, in seconds; 0 where not told.

    From Linux's `schedstat` (Documentation/scheduler/sched-stats.rst), second number, in nanoseconds.
    """

    def __init__(self) -> None:
        self._path = f"/proc/self/task/{threading.get_native_id()}/schedstat"

    def __call__(self) -> float:
        try:
            with open(self._path) as schedstat:
                return int(schedstat.read().split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return 0.0


def rss_mib() -> float:
    """Resident memory of this process, in MiB; where /proc does not tell, the most it ever was."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() / 2**20
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (2**20 if sys.platform == "darwin" else 2**10)
