"""Ends a process when its parent is gone, even by `kill -9`. Knows the operating system only."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from functools import cache

PR_SET_PDEATHSIG = 1
"""From <sys/prctl.h>."""


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone: a `preexec_fn` for programs that would run on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@cache  # a hook cannot be taken back, so it is set once
def tie_forks() -> None:
    """Have the workers that `--processes` forks end when their master has ended, however it did.

    Locust leaves them running: for a minute when the master is killed, and for five when it ends before they reached
    it. They get SIGTERM, so those that run already stop their users and clean up. Linux only; does nothing elsewhere.
    """
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        os.register_at_fork(after_in_child=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
