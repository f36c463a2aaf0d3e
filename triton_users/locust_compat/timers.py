"""Lets the run time of a run that starts by itself be as long as it says. Knows no run, only gevent's clock.

Locust starts the timer of `--run-time` before its event loop has turned once, and gevent then counts it from when the
program began: with `--autostart` a run ended too early by what its start took, seconds on a busy machine. (`--headless`
looks at the server first, which turns the loop.) Seen in 2.46 and 2.47. Can go when that timer begins with the run.
"""

from __future__ import annotations

import gevent


def begin_timers_now() -> None:
    """Timers that are started before the event loop turns begin now."""
    gevent.get_hub().loop.update_now()
