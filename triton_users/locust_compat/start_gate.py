"""Holds the start of a run until the plugin is installed. Knows no more of the plugin than what to call then.

A Locust worker connects to its master before it fires `init`. When it joins a run that is under way, the order to start
can come in between: the users would run before anything of ours listens, and their requests would be counted nowhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import locust
from gevent.event import Event
from locust.env import Environment

logger = logging.getLogger(__name__)

INSTALL_LIMIT_S = 30.0
"""How long a start waits for the plugin, in seconds; it takes well under one. Picked arbitrarily."""

_MARK = "triton_start_gate"
"""Where the waiting start is kept: on Locust's own `events`, of which there is one in a process."""


class StartGate:
    """A listener of `test_start` from the first moment on; calls `start` once there is one."""

    def __init__(self) -> None:
        self._installed = Event()
        self._start: Callable[..., None] | None = None

    def __call__(self, environment: Environment, **_: Any) -> None:
        if not self._installed.wait(INSTALL_LIMIT_S) or self._start is None:
            logger.error(
                "A run starts, but the plugin was not installed within %g s: it counts nothing", INSTALL_LIMIT_S
            )
            return
        self._start(environment=environment)

    def install(self, start: Callable[..., None]) -> None:
        """What to call for this start, if one waits, and for all later ones."""
        self._start = start
        self._installed.set()


def hold_starts() -> bool:
    """Listen for starts from now on. Safe to call again; True the first time."""
    if hasattr(locust.events, _MARK):
        return False
    held = StartGate()
    setattr(locust.events, _MARK, held)
    locust.events.test_start.add_listener(held)
    return True


def on_test_start(environment: Environment, start: Callable[..., None]) -> None:
    """Call `start` whenever a run starts, also for a start that has been waiting."""
    held: StartGate | None = getattr(environment.events, _MARK, None)
    if held is None:
        environment.events.test_start.add_listener(start)
    else:
        held.install(start)
