"""Whether a server that starts has stopped doing anything. It looks at processes and a log; it ends nothing.

A start of 2.51 hangs about once in 300, in an instance's start: each of its processes sleeps from then on. A server on
a busy machine is slow instead: it waits for a CPU or a disk, which the kernel says of each thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

#: How long a server may do nothing before it counts as hung, in seconds. A start of all models takes 3 on two idle
#: cores, with a line in the log or work in it at least every second.
STALL_S = 10.0

#: How often it is looked at, in seconds.
INTERVAL_S = 1.0

#: CPU time between two looks that is work, in seconds. A hung server with eight models took 0.02 in 18 s, one that
#: starts takes 0.2 a second.
WORK_S = 0.02

#: States of a thread that is not at rest, in /proc/PID/task/TID/stat: running or waiting for a CPU, waiting for a disk.
_AT_WORK = ("R", "D")


class Stall:
    """Watches the start of one server, whose log is `log`."""

    def __init__(self, log: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._looked_s = self._moved_s = clock()
        self._last = (0, 0.0)

    def stalled(self, pid: int) -> bool:
        """Whether the server `pid` and all below it have done nothing for STALL_S; to be asked again and again."""
        now_s = self._clock()
        if now_s - self._looked_s >= INTERVAL_S:
            self._looked_s = now_s
            if self._works(pid):
                self._moved_s = now_s
        return now_s - self._moved_s > STALL_S

    def _works(self, pid: int) -> bool:
        size, cpu_s = self._last
        processes = _family(pid)
        self._last = (_size(self._log), sum(map(_cpu_s, processes)))
        return self._last[0] != size or abs(self._last[1] - cpu_s) > WORK_S or any(map(_at_work, processes))


def _family(pid: int) -> list[int]:
    try:
        server = psutil.Process(pid)
        return [pid, *(child.pid for child in server.children(recursive=True))]
    except psutil.Error:
        return []  # it has just ended


def _cpu_s(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)
    except psutil.Error:
        return 0.0


def _at_work(pid: int) -> bool:
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            if stat.read_text().rpartition(")")[2].split()[0] in _AT_WORK:
                return True
        except (OSError, IndexError):
            pass  # the thread has just ended
    return False


def _size(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0
