"""Carries ledger snapshots from workers to the master, the last one included. Knows messages, no counts.

Stock Locust loses the workers' last data when a run ends: on `--run-time`, Ctrl+C and SIGTERM the master fires
`test_stop` and prints before the workers were even told to stop. So here the master, when the test is stopping, first
tells the workers itself and waits until each one that lives has answered; its last snapshot comes before its answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent.lock import Semaphore

from triton_users.run.configuration import RunConfiguration
from triton_users.run.locust import Command, Master, Worker
from triton_users.run.node import Node, set_tasks
from triton_users.run.pace import Order

logger = logging.getLogger(__name__)

STOP_MESSAGE = "triton_stop"
STOPPED_MESSAGE = "triton_stopped"
RESET_MESSAGE = "triton_reset"
HURRY_MESSAGE = "triton_hurry"
REFUSED_MESSAGE = "triton_refused"
ARRIVALS_MESSAGE = "triton_arrivals"
REPORT_MESSAGE = "triton_report"
KEY = "triton_ledger"
"""Where a snapshot stands in Locust's stats message."""

FINAL_LIMIT_S = 10.0
"""How long the master waits for last snapshots beyond what users may take; a healthy worker takes under 1 s."""

UNHEARD_LIMIT_S = 10.0
"""How long ago, in seconds, a worker that is waited for was heard. Locust calls one missing after 4 s without a
heartbeat, which a worker that lives reaches too when its machine has no CPU left for it."""

ANSWER_LIMIT_S = 5.0
"""How long a worker that ends waits until it has answered its master's order to stop, when all its users have ended."""

LOG_AFTER_S = 2.0
"""How long the master waits before it says what for."""

POLL_S = 0.02
"""How often the master looks whether the last worker has answered, in seconds."""


class SnapshotSender:
    """A worker's side: adds its node's snapshot to each report, and sends a last one when its users have stopped."""

    def __init__(self, node: Node, worker: Worker) -> None:
        self._node = node
        self._worker = worker
        self._stopped = False
        self._stopping = False
        self._answering = Semaphore()
        """Held from an order of the master's to stop until it is answered."""
        worker.listen(STOP_MESSAGE, self._stop, concurrent=True)  # while users stop, somebody may be in a hurry
        worker.listen(HURRY_MESSAGE, lambda _: self.hurry())
        worker.listen(RESET_MESSAGE, self._reset)
        worker.listen(ARRIVALS_MESSAGE, node.follow)
        worker.listen(REPORT_MESSAGE, lambda _: worker.report())

    def start(self, configuration: RunConfiguration) -> None:
        """Begin a run, and report at once: the master then knows this node even if it dies the next moment."""
        self._node.start(configuration)
        self._stopping = self._stopped = False
        self._worker.accept_users(True)
        self._worker.report()

    def refuse(self, why: str) -> None:
        """This worker cannot take part in the run."""
        self._worker.send(REFUSED_MESSAGE, {"why": why})

    def add_to(self, report: dict[str, Any]) -> None:
        """Put the node's snapshot into a report that is about to be sent."""
        snapshot = self._node.snapshot(self._stopped)
        if snapshot is not None:
            report[KEY] = snapshot

    def stopping(self) -> None:
        """The run ends here: who started now would be neither stopped nor in the last snapshot."""
        self._stopping = True
        self._worker.accept_users(False)
        self._node.stopping()

    def hurry(self) -> None:
        """Somebody ends the run: users that stop wait for nothing, and have ended when this returns."""
        self._node.hurry(self._stopping)

    def stopped(self) -> None:
        """All users have ended: send the last snapshot, and Locust's own last statistics with it."""
        self._node.wait_for_users()
        self._stopped = True
        self._worker.report()

    def answered(self) -> None:
        """Return when the master has its answer, where it told this worker to stop; nothing can be sent later."""
        if self._answering.acquire(timeout=ANSWER_LIMIT_S):
            self._answering.release()

    def _stop(self, data: Mapping[str, Any]) -> None:
        with self._answering:
            try:
                self._worker.stop(data["at"])
            finally:
                self._worker.send(STOPPED_MESSAGE)

    def _reset(self, data: Mapping[str, Any]) -> None:
        self._node.reset(data["epoch"])
        self._worker.forget_statistics()
        self._worker.report()  # so that the master knows this node again


class SnapshotCollector:
    """The master's side: takes snapshots out of reports, and holds the end of a run until all last ones are in."""

    def __init__(self, master: Master, command: Command) -> None:
        self._master = master
        self._command = command
        self._waiting: set[str] = set()
        self.on_refusal: Callable[[str], None] = logger.error
        """Called with a sentence when a worker cannot take part in the run."""
        master.listen(STOPPED_MESSAGE, self._waiting.discard)
        master.listen_to_data(REFUSED_MESSAGE, self._refused)

    def _refused(self, worker: str, data: Mapping[str, Any]) -> None:
        self.on_refusal(f"worker {worker} cannot take part: {data['why']}")

    def take_out_of(self, report: dict[str, Any], merge: Callable[[Mapping[str, Any]], bool]) -> None:
        """Give a report's snapshot to `merge`, which says False when it is of another epoch: nothing of it counts."""
        snapshot = report.pop(KEY, None)
        if snapshot is not None and not merge(snapshot):
            self._master.discount(report)

    def start(self, configuration: RunConfiguration) -> None:
        """A run begins; the workers hear of it with their orders to start."""
        set_tasks(self._command, configuration, configuration.scenarios)
        self._master.begin_run()

    def poll(self) -> Mapping[str, Any] | None:
        """None: workers send their snapshots by themselves."""
        return None

    def ask(self) -> None:
        """Have all workers send their snapshots now."""
        self._master.send(REPORT_MESSAGE, {})

    def with_users(self) -> list[str]:
        """The workers that have users now, to share the arrivals."""
        return self._master.workers_with_users()

    def arrivals(self, order: Order) -> None:
        """Tell all workers what arrives, and whose it is."""
        self._master.send(ARRIVALS_MESSAGE, order)

    def reset(self, epoch: str) -> None:
        """Have all workers count from nothing."""
        self._master.send(RESET_MESSAGE, {"epoch": epoch})

    def stopping(self, stop_timeout_s: float) -> None:
        """Stop the workers, and return when the last snapshots of those that live have been taken in.

        `stop_timeout_s`: how long users may take to stop.
        """
        self._master.end_ramp_up()
        self._waiting.clear()
        self._waiting.update(self._master.workers())
        self._master.send(STOP_MESSAGE, {"at": time.time()})  # Locust's clock for its orders to start
        with self._master.hearing():
            self._wait(FINAL_LIMIT_S + stop_timeout_s)

    def hurry(self) -> None:
        """Somebody ends the run: the users of all workers wait for nothing when they stop."""
        self._master.send(HURRY_MESSAGE, {})

    def last(self) -> Mapping[str, Any] | None:
        """None: they have come by themselves."""
        return None

    def _wait(self, limit_s: float) -> None:
        began_s = time.monotonic()
        logged = False
        while missing := sorted(filter(self._may_answer, self._waiting)):
            waited_s = time.monotonic() - began_s
            if waited_s > limit_s:
                logger.error("No last counts came from: %s", ", ".join(missing))
                return
            if waited_s > LOG_AFTER_S and not logged:
                logged = True
                logger.info("Waiting up to %.0f s for the last counts of %s", limit_s - waited_s, ", ".join(missing))
            gevent.sleep(POLL_S)

    def _may_answer(self, worker: str) -> bool:
        unheard_s = self._master.unheard_s(worker)
        return unheard_s is not None and unheard_s < UNHEARD_LIMIT_S


class LocalNode:
    """The same for a local run, whose only node is at hand."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._stopping = False

    def start(self, configuration: RunConfiguration) -> None:
        self._stopping = False
        self._node.start(configuration)

    def poll(self) -> Mapping[str, Any] | None:
        """The counts so far; None before the first run."""
        return self._node.snapshot(final=False)

    def ask(self) -> None:
        """`poll` has them."""

    def with_users(self) -> list[str]:
        """This node alone."""
        return [self._node.recorder.worker]

    def arrivals(self, order: Order) -> None:
        self._node.follow(order)

    def reset(self, epoch: str) -> None:
        self._node.reset(epoch)

    def stopping(self, stop_timeout_s: float) -> None:
        """Locust stops the users next."""
        self._stopping = True
        self._node.stopping()

    def hurry(self) -> None:
        """Somebody ends the run: users that stop wait for nothing, and have ended when this returns."""
        self._node.hurry(self._stopping)

    def last(self) -> Mapping[str, Any] | None:
        """The last counts; ends the node's run."""
        self._node.wait_for_users()
        snapshot = self._node.snapshot(final=True)
        self._node.end()
        return snapshot
