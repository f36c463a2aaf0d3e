"""Holds the start of a run until the plugin is installed. Knows no more of the plugin than what to call then.

A Locust worker connects to its master before it fires `init`. When it joins a run that is under way, the order to start
can come in between: the users would run before anything of ours listens, and their requests would be counted nowhere.
Seen in 2.46 and 2.47. Can go when a worker takes no order before `init` has been fired.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NoReturn

import gevent
import locust
from gevent import GreenletExit
from gevent.event import Event
from locust.env import Environment
from locust.runners import WorkerRunner

logger = logging.getLogger(__name__)

INSTALL_LIMIT_S = 30.0
"""How long a start waits for the plugin on a worker, in seconds; it takes well under one. Picked arbitrarily."""

EXIT_USAGE = 2
"""The exit code where the plugin never comes: the locustfile is wrong."""

_MARK = "triton_start_gate"
"""Where the waiting start is kept: on Locust's own `events`, of which there is one in a process."""


def refuse_to_start_without_a_traceback(environment: Environment, why: str) -> NoReturn:
    """End a start in a listener of `test_start`: headless the command ends too, with exit code 2.

    StopTest, which is there for it, is printed by gevent with its traceback, on a master logged as a crash of the
    greenlet, and leaves a headless master waiting. Seen in 2.46 and 2.47. Can go when StopTest is one line everywhere.
    """
    runner: Any = environment.runner
    options: Any = environment.parsed_options
    logger.error("The run does not start: %s", why)
    environment.process_exit_code = EXIT_USAGE
    if isinstance(runner, WorkerRunner) or options.headless:
        gevent.spawn(runner.quit)
    raise GreenletExit


class StartGate:
    """A listener of `test_start` from the first moment on; calls `start` once there is one."""

    def __init__(self) -> None:
        self._installed = Event()
        self._start: Callable[..., None] | None = None

    def __call__(self, environment: Environment, **_: Any) -> None:
        runner: Any = environment.runner
        # Only a worker can be ordered to start before `init`: elsewhere who has not come by now never does.
        self._installed.wait(INSTALL_LIMIT_S if isinstance(runner, WorkerRunner) else 0)
        if self._start is not None:
            self._start(environment=environment)
            return
        refuse_to_start_without_a_traceback(
            environment,
            "the locustfile adds the plugin's options but does not install it, so nothing would be counted: call "
            "triton_users.plugin.install(environment) in a listener of Locust's init event",
        )

    def install(self, start: Callable[..., None]) -> None:
        """What to call for this start, if one waits, and for all later ones."""
        self._start = start
        self._installed.set()


def hold_starts_that_come_before_init() -> bool:
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
