"""The workers that `--processes` forks, at the end of their master. Knows no runner."""

from __future__ import annotations

import atexit
import os


def forgive_the_wait_for_a_worker_that_is_forgotten() -> None:
    """Have the wait for a child that is long gone answer instead of raise, once this program is at its end.

    For the master of `--processes`, after Locust has forked: the last thing it does is to wait for its workers. How one
    ended is known once, to gevent, which forgets it after 60 s; the wait then raises ChildProcessError, and Locust logs
    that and tries again, without a pause, for 3 s: thousands of lines below the verdict. Seen in 2.46 and 2.47. Can go
    when Locust's `kill_workers` takes ChildProcessError for an end.
    """

    def forgive() -> None:
        ask = os.waitpid

        def waitpid(pid: int, options: int) -> tuple[int, int]:
            try:
                return ask(pid, options)
            except ChildProcessError:
                return pid, 0

        os.waitpid = waitpid

    atexit.register(forgive)  # what is registered last is called first: before Locust's wait
