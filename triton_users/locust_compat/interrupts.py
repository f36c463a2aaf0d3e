"""Ctrl+C, from the first moment to the last. Knows Locust's states, nothing of ours.

Python raises KeyboardInterrupt in whichever greenlet happens to run: mostly a user in the middle of a request, which
would be a failure of the server then, or be counted by half. Locust expects it in its main greenlet, and only while
that waits for the run to end. Before that it is a traceback, and a headless master that still waits for its workers
leaves those that came waiting for ever; after that it breaks into the end, which takes its time but has its limits, and
loses the last counts. Seen in 2.46 and 2.47. All of this can go when Locust treats SIGINT as it treats SIGTERM, from
its start on, and once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import gevent
import locust
from gevent import getcurrent
from gevent.event import Event
from locust.env import Environment
from locust.runners import STATE_INIT, MasterRunner

from triton_users.locust_compat.listeners import listen_before_those_already_there

logger = logging.getLogger(__name__)

EXIT_INTERRUPTED = 1
"""The exit code of a command that was interrupted before its run began: it did not do what was asked for."""

END_LIMIT_S = 120.0
"""How long an interrupt waits for a run that is ending already, beyond its users' stop timeout, in seconds: twice what
a master of Locust gives its workers."""

_MARK = "triton_interrupts"
"""Where the handler is kept: on Locust's own `events`, of which there is one in a process."""


def take_interrupts_that_locust_does_not_expect() -> Interrupts:
    """Handle SIGINT from now on. Safe to call again."""
    found: Interrupts | None = getattr(locust.events, _MARK, None)
    if found is None:
        found = Interrupts()
        setattr(locust.events, _MARK, found)
        signal.signal(signal.SIGINT, found)
    return found


class Interrupts:
    """The handler of SIGINT: the first one is passed on at a time when Locust can take it, more change nothing."""

    def __init__(self) -> None:
        self._began_in = os.getpid()
        self._environment: Environment | None = None
        self._hurry: Callable[[], None] = lambda: None
        self._no_run_ends = Event()
        self._no_run_ends.set()
        self._quitting = False

    def expect_them(self, environment: Environment, hurry: Callable[[], None] = lambda: None) -> None:
        """Locust's start is over: from here on its main greenlet can be interrupted. Call it last in `init`.

        `hurry` is called at the first interrupt, also when a run is ending already.
        """
        self._environment, self._hurry = environment, hurry
        events = environment.events
        listen_before_those_already_there(events.test_stopping, lambda **_: self._no_run_ends.clear())
        events.test_stop.add_listener(lambda **_: self._no_run_ends.set())
        events.quitting.add_listener(self._on_quitting)  # Locust calls these in reverse, so this one first

    def __call__(self, *_: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # also in force at the very end, when Python drops handlers
        if self._quitting:
            return
        if self._environment is not None:
            gevent.spawn(self._end, self._environment)
            return
        if os.getpid() == self._began_in:  # forked workers leave the word to their master
            sys.stderr.write("locust: interrupted before the run began\n")
        main = gevent.get_hub().parent
        if main is None or getcurrent() is main:
            raise SystemExit(EXIT_INTERRUPTED)
        gevent.kill(main, SystemExit(EXIT_INTERRUPTED))

    def _end(self, environment: Environment) -> None:
        self._hurry()
        # Broken into, the end of a run would be reported twice, and a finished one be called interrupted.
        self._no_run_ends.wait((environment.stop_timeout or 0.0) + END_LIMIT_S)
        main = gevent.get_hub().parent
        if self._quitting or main is None:
            return
        runner: Any = environment.runner
        options: Any = environment.parsed_options
        if isinstance(runner, MasterRunner) and options.headless and runner.state == STATE_INIT:
            wanted, came = options.expect_workers, runner.worker_count
            logger.error("Interrupted before the run began: of %d workers %d had come", wanted, came)
            environment.events.quitting.fire(environment=environment, reverse=True)  # also sends the workers home
            gevent.kill(main, SystemExit(EXIT_INTERRUPTED))
        else:
            gevent.kill(main, KeyboardInterrupt)

    def _on_quitting(self, **_: Any) -> None:
        self._quitting = True
        signal.signal(signal.SIGINT, signal.SIG_IGN)
