"""Has a child process yield to the process that started it. Knows the operating system only."""

from __future__ import annotations

import contextlib
import os

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


def yields(pid: int) -> bool:
    """Whether that process's nice value is higher than ours, or it has ended."""
    try:
        return os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0)
    except ProcessLookupError:
        return True
