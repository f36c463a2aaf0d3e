"""Carries ledger snapshots from workers to the master, the last one included. Knows Locust's runners, no counts.

Stock Locust loses the workers' last data when a run ends: on `--run-time`, Ctrl+C and SIGTERM the master fires
`test_stop` and prints before the workers were even told to stop. So here the master, when the test is stopping, first
tells the workers itself and waits until each one that lives has sent its last snapshot.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, WorkerRunner

logger = logging.getLogger(__name__)

STOP_MESSAGE = "triton_stop"
RESET_MESSAGE = "triton_reset"
KEY = "triton_ledger"
"""Where a snapshot stands in Locust's stats message."""

FINAL_LIMIT_S = 10.0
"""How long the master waits for last snapshots beyond the users' own stop timeout; a healthy worker takes under 1 s."""


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
        self._final = False
        environment.events.report_to_master.add_listener(self._on_report)
        environment.events.test_stop.add_listener(self._on_test_stop)
        self._runner.register_message(STOP_MESSAGE, self._on_stop_message)
        self._runner.register_message(RESET_MESSAGE, self._on_reset_message)

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        snapshot = self._snapshot(self._final)
        if snapshot is not None:
            data[KEY] = snapshot

    def _on_test_stop(self, **_: Any) -> None:
        self._final = True
        try:
            self._runner._send_stats()  # Locust's own last statistics, and ours with them
        finally:
            self._final = False

    def _on_stop_message(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._runner.stop()

    def _on_reset_message(self, environment: Environment, msg: Any, **_: Any) -> None:
        self._reset(msg.data["ledger"])


class MasterSide:
    """Takes snapshots out of Locust's reports, and holds the end of a test until all workers' last ones are in."""

    def __init__(
        self,
        environment: Environment,
        merge: Callable[[dict[str, Any]], None],
        missing: Callable[[set[str]], set[str]],
    ) -> None:
        """`missing(workers)`: which of these workers have not sent their last snapshot of this run."""
        self._environment = environment
        self._runner: MasterRunner = environment.runner  # type: ignore[assignment]  # the caller looked
        self._merge = merge
        self._missing = missing
        environment.events.worker_report.add_listener(self._on_report)
        environment.events.test_stopping.add_listener(self._on_test_stopping)

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        snapshot = data.pop(KEY, None)
        if snapshot is not None:
            self._merge(snapshot)

    def _on_test_stopping(self, **_: Any) -> None:
        clients = self._runner.clients
        counting = {node.id for node in (*clients.spawning, *clients.running)}
        self._runner.send_message(STOP_MESSAGE)
        limit = time.monotonic() + FINAL_LIMIT_S + (self._environment.stop_timeout or 0)
        while missing := self._missing({node for node in counting if self._lives(node)}):
            if time.monotonic() > limit:
                logger.error("No last counts came from: %s", ", ".join(sorted(missing)))
                return
            gevent.sleep(0.02)

    def _lives(self, worker: str) -> bool:
        node = self._runner.clients.get(worker)
        return node is not None and node.state != STATE_MISSING
