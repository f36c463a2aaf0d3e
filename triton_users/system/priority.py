"""Which of our child processes and their threads go before others. Knows the operating system only."""

from __future__ import annotations

import contextlib
import os
import re
import time

import psutil

NICER = 5
"""By how much a child's nice value is higher than ours.

Measured on two cores with 8 users, the embedded Triton and perf_analyzers, at load averages of 3 to 6 from other work:
the worst event-loop lag (p99 of 5 s) was 1,131 ms with each child in a session of its own; in ours 163 ms with 0,
48 ms with 5, 45 ms with 15. More than 5 gains nothing, and where sessions do not count (see below) it would starve the
server.
"""


def yield_to_parent() -> None:
    """A `preexec_fn`: a process group of its own, which a terminal's Ctrl+C does not reach, and a lower priority.

    It stays in our session. Linux gives each session an equal share of the processors (kernel.sched_autogroup_enabled,
    sched(7)): in a session of its own a child takes what it wants whatever its nice value is, which counts only among
    the processes of one session. A server in ours has what we leave of our share, and yields to us alone. (Lowering
    a session of its own, by /proc/PID/autogroup, has it yield to all programs there are: at a load average of 7, the
    Python backend once waited too long for a lock and ended Triton. It is also refused to users other than root within
    0.1 s of the last time, by whatever process.)
    """
    os.setpgrp()
    with contextlib.suppress(OSError):  # a sandbox may forbid it; everything works without
        os.nice(NICER)


_SLEEPS = re.compile("nanosleep|nsleep")
"""Where the kernel says that a thread waits which sleeps for a time (proc(5), wchan)."""
_LOOKS, _BETWEEN_LOOKS_S = 5, 0.05


def wake_watches_in_time(pid: int) -> None:
    """Have the thread by which each child of `pid` says that it lives run at once when it is due.

    That thread is the first one of a child that sleeps for a time, again and again. A stub of Triton's Python backend
    tells the server by it, three times a second, that it is alive. One that could not for a second is given up while it
    works on, and of what both then write into the same memory the server crashes. With eight users at load averages of
    13 to 32 on two cores that befell four of six servers within 45 s, with the watches at our own nice value three of
    six (24 to 41), with real-time priority none of nine (34 to 50). A watch takes microseconds each time. Root may
    give it, others with `ulimit -r 1`; without leave nothing changes.
    """
    first = os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO))
    try:
        waiting = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return
    for look in range(_LOOKS):  # a watch may be awake just now
        if look:
            time.sleep(_BETWEEN_LOOKS_S)
        watches = {child: _watch(child) for child in waiting}
        for watch in filter(None, watches.values()):
            with contextlib.suppress(OSError):  # without leave, or it has just ended
                os.sched_setscheduler(watch, os.SCHED_FIFO, first)
        waiting = [child for child in waiting if watches[child] is None]
        if not waiting:
            return


def _watch(child: psutil.Process) -> int | None:
    """The thread that keeps watch; None where none is seen to."""
    try:
        threads = sorted(each.id for each in child.threads())
    except psutil.Error:  # it has ended
        return None
    for thread in threads:
        with contextlib.suppress(OSError), open(f"/proc/{child.pid}/task/{thread}/wchan") as where:
            if thread != child.pid and _SLEEPS.search(where.read()):
                return thread
    return None


def yields(pid: int) -> bool:
    """Whether that process's nice value is higher than ours, or it has ended."""
    try:
        return os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    except ProcessLookupError:
        return True
