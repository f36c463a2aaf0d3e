"""Carries ledger snapshots from workers to the master, the last one included. Knows Locust's runners, no counts.

Stock Locust loses the workers' last data when a run ends: on `--run-time`, Ctrl+C and SIGTERM the master fires
`test_stop` and prints before the workers were even told to stop. So here the master, when the test is stopping, first
tells the workers itself and waits until each one that lives has answered; its last snapshot comes before its answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import HEARTBEAT_INTERVAL, HEARTBEAT_LIVENESS, MasterRunner, WorkerRunner
from locust.stats import StatsEntry

logger = logging.getLogger(__name__)

STOP_MESSAGE = "triton_stop"
STOPPED_MESSAGE = "triton_stopped"
RESET_MESSAGE = "triton_reset"
KEY = "triton_ledger"
"""Where a snapshot stands in Locust's stats message."""

FINAL_LIMIT_S = 10.0
"""How long the master waits for last snapshots beyond the users' own stop timeout; a healthy worker takes under 1 s."""

UNHEARD_LIMIT_S = 10.0
"""How long ago, in seconds, a worker that is waited for was heard. Locust calls one missing after 4 s without a
heartbeat, which a worker that lives reaches too when its machine has no CPU left for it."""

TELL_AFTER_S = 2.0
"""How long the master waits before it says what for."""


class WorkerSide:
    """Adds this node's snapshot to each of Locust's reports, and sends a last one when its users have stopped."""

    def __init__(
        self,
        environment: Environment,
        snapshot: Callable[[bool], dict[str, Any] | None],
        reset: Callable[[str], None],
    ) -> None:
        self._runner: WorkerRunner = environment.runner  # type: ignore[assignment]  # the caller looked
        self._snapshot = snapshot
        self._reset = reset
        self._stopping = self._stopped = False
        self._start_worker = self._runner.start_worker
        # The master may still be ramping up when the run is stopped, or give this worker the users of one that stopped
        # first: those who start now would be neither stopped nor in the last snapshot.
        self._runner.start_worker = self._start_unless_stopping  # type: ignore[method-assign]
        environment.events.report_to_master.add_listener(self._on_report)
        environment.events.test_stopping.add_listener(self._on_test_stopping)
        environment.events.test_stop.add_listener(self._on_test_stop)
        self._runner.register_message(STOP_MESSAGE, self._on_stop_message)
        self._runner.register_message(RESET_MESSAGE, self._on_reset_message)

    def started(self) -> None:
        """A run has begun here: tell the master at once, so that it knows this node even if it dies the next moment."""
        self._stopping = self._stopped = False
        self._runner._send_stats()

    def _start_unless_stopping(self, user_classes_count: dict[str, int], **kwargs: Any) -> None:
        if not self._stopping:
            self._start_worker(user_classes_count, **kwargs)

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        snapshot = self._snapshot(self._stopped)
        if snapshot is not None:
            data[KEY] = snapshot

    def _on_test_stopping(self, **_: Any) -> None:
        self._stopping = True

    def _on_test_stop(self, **_: Any) -> None:
        self._stopped = True
        self._runner._send_stats()  # Locust's own last statistics, and ours with them

    def _on_stop_message(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._runner.last_received_spawn_timestamp = msg.data["at"]  # an order to start that was overtaken is void
        try:
            self._runner.stop()
        finally:
            self._runner.send_message(STOPPED_MESSAGE)

    def _on_reset_message(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._reset(msg.data["ledger"])
        self._runner.stats.reset_all()  # what it has not yet sent: Locust only resets the master's statistics
        self._runner._send_stats()  # so that the master knows this node again


class MasterSide:
    """Takes snapshots out of Locust's reports, and holds the end of a test until all workers' last ones are in."""

    def __init__(self, environment: Environment, merge: Callable[[dict[str, Any]], bool]) -> None:
        """`merge(snapshot)`: False when it is of an earlier run, or from before a reset."""
        self._environment = environment
        self._runner: MasterRunner = environment.runner  # type: ignore[assignment]  # the caller looked
        self._merge = merge
        self._waiting: set[str] = set()
        self._ramp_up: gevent.Greenlet[..., Any] | None = None
        # In front of Locust's own listener, which adds up all it gets.
        environment.events.worker_report._handlers.insert(0, self._on_report)
        environment.events.test_start.add_listener(self._on_test_start)
        environment.events.test_stopping.add_listener(self._on_test_stopping)
        self._runner.register_message(STOPPED_MESSAGE, self._on_stopped_message)

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        snapshot = data.pop(KEY, None)
        if snapshot is not None and not self._merge(snapshot):
            nothing = StatsEntry(self._runner.stats, "Aggregated", "")
            data.update(stats=[], stats_total=nothing.serialize(), errors={})

    def _on_stopped_message(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._waiting.discard(msg.node_id)

    def _on_test_start(self, **_: Any) -> None:
        current = gevent.getcurrent()  # Locust fires this in the greenlet that goes on to start all users
        self._ramp_up = current if isinstance(current, gevent.Greenlet) else None

    def _on_test_stopping(self, **_: Any) -> None:
        if self._ramp_up is not None and self._ramp_up is not gevent.getcurrent():
            self._ramp_up.kill()  # at its end it would declare a test running that has been stopped
        # As Locust does next: a worker that joins now gets no users.
        self._runner._users_dispatcher = None
        self._runner.spawning_completed = False
        self._waiting = set(self._runner.clients)
        self._runner.send_message(STOP_MESSAGE, {"at": time.time()})  # Locust's clock for its orders to start
        # Locust also stops a test in its loops that hear the workers and count their silence, when none is left. Until
        # this returns, another greenlet does that loop's work.
        loop = getattr(gevent.getcurrent(), "_run", None)
        stand_in = gevent.spawn(loop) if loop in (self._runner.client_listener, self._runner.heartbeat_worker) else None
        try:
            self._wait_for_last_snapshots()
        finally:
            if stand_in is not None:
                stand_in.kill()

    def _wait_for_last_snapshots(self) -> None:
        began = time.monotonic()
        limit_s = FINAL_LIMIT_S + (self._environment.stop_timeout or 0)
        told = False
        while missing := sorted(filter(self._may_answer, self._waiting)):
            waited_s = time.monotonic() - began
            if waited_s > limit_s:
                logger.error("No last counts came from: %s", ", ".join(missing))
                return
            if waited_s > TELL_AFTER_S and not told:
                told = True
                logger.info("Waiting up to %.0f s for the last counts of %s", limit_s - waited_s, ", ".join(missing))
            gevent.sleep(0.02)

    def _may_answer(self, worker: str) -> bool:
        node = self._runner.clients.get(worker)
        if node is None:
            return False
        unheard_s: float = (HEARTBEAT_LIVENESS - node.heartbeat) * HEARTBEAT_INTERVAL
        return unheard_s < UNHEARD_LIMIT_S
