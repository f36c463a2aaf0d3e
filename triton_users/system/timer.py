"""A timer of the kernel that wakes on time. Knows no event loop: it is a file descriptor that becomes readable.

libev, gevent's loop, rounds what it waits for up to a whole millisecond (`backend_mintime` of its epoll); a timerfd
wakes within some 60 us.
"""

from __future__ import annotations

import ctypes
import math
import os
from pathlib import Path

_MONOTONIC = 1
_NONBLOCK, _CLOEXEC = 0o4000, 0o2000000
_ABSOLUTE = 1
_SOONEST_NS = 1
"""A time in the past or at 0: as soon as can be. An absolute time of 0 would turn the timer off."""


def clock_id() -> str:
    """Names the clock of `time.perf_counter`: processes with the same one read the same time. "" where none is known.

    On Linux it is that of the machine since its boot, and a time namespace may shift it.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/time')}"
    except OSError:
        return ""


class KernelTimer:
    """One timer by the clock of `time.perf_counter` and `time.monotonic`, which are one on Linux.

    Raises OSError where there is no timerfd.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        create = getattr(libc, "timerfd_create", None)
        if create is None:
            raise OSError("this system has no timerfd")
        self._settime = libc.timerfd_settime
        self._settime.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
        self.fd: int = create(_MONOTONIC, _NONBLOCK | _CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._spec = (ctypes.c_long * 4)()  # struct itimerspec: interval and value, in seconds and nanoseconds
        self._address = ctypes.addressof(self._spec)

    def set(self, at_s: float) -> None:
        """Become readable at this time and not before, also where it was readable already; infinity: never."""
        if at_s == math.inf:
            seconds, nanoseconds = 0, 0
        elif at_s <= 0:
            seconds, nanoseconds = 0, _SOONEST_NS
        else:
            seconds = int(at_s)
            nanoseconds = int((at_s - seconds) * 1e9)
        self._spec[2], self._spec[3] = seconds, nanoseconds
        self._settime(self.fd, _ABSOLUTE, self._address, None)

    def close(self) -> None:
        """Safe to call twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
