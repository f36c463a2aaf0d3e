"""Makes the loads of a capacity search, through arrivals or through users, and tells what all nodes have counted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import gevent

from triton_users.judge import client_limited
from triton_users.run.capacity import Sample
from triton_users.run.locust import Command
from triton_users.run.pace import LEAD_S, Order, Pace
from triton_users.run.reporting import Reporting

RESTING_RATE = "0.001"
"""Arrivals a second of a cool-down: next to none."""
ANSWER_LIMIT_S = 3.0
"""How long snapshots that were asked for may take, in seconds: as long as a worker takes to send one by itself."""
LOOK_S = 0.02
"""How often it is looked whether they are there, in seconds."""


class Asked(Protocol):
    """Those who have users (`coordinator.Nodes`)."""

    def ask(self) -> None: ...
    def arrivals(self, order: Order) -> None: ...


class ClusterLoads:
    """See `capacity.Loads`."""

    def __init__(
        self,
        command: Command,
        nodes: Asked,
        reporting: Reporting,
        poll: Callable[[], None],
        pace: Pace | None,
        limits: client_limited.Limits,
    ) -> None:
        """`pace`: of a search over the rate. `poll` takes in what a local node has counted."""
        self._command = command
        self._nodes = nodes
        self._reporting = reporting
        self._poll = poll
        self._pace = pace
        self._limits = limits
        self._rate = 0.0
        self._in_force_s = 0.0
        """From when on that rate holds, in seconds of the cluster."""

    def make(self, load: float) -> None:
        if self._pace is None:
            self._command.set_users(int(load))
        else:
            self._rate = load
            self._set_rate(self._pace, f"{load:g}")

    def ready(self, load: float) -> bool:
        if self._pace is not None:
            return self._pace.now_s() >= self._in_force_s
        return self.sample().users == int(load)

    def rest(self) -> None:
        if self._pace is not None:
            self._set_rate(self._pace, RESTING_RATE)

    def sample(self) -> Sample:
        self._hear_all()
        collector, now_s = self._reporting.collector, self._reporting.now_s
        heard = {key: state for key, state in collector.workers.items() if not state.silent_at(now_s)}
        gauges = collector.gauges(now_s)
        waits_s = gauges.get("arrival_waits_ms", 0) / 1e3 / max(len(heard), 1)
        return Sample(
            now_s,
            collector.epoch,
            {key: (state.at_s, state.ledger) for key, state in heard.items()},
            gauges.get("in_flight", 0) + waits_s * self._rate,
            gauges.get("users", 0),
        )

    def limited(self, begun_s: float, ended_s: float) -> list[str]:
        workers = self._reporting.collector.workers.values()
        return client_limited.sentences(client_limited.findings(workers, self._limits, begun_s, ended_s))

    def _set_rate(self, pace: Pace, text: str) -> None:
        pace.set_rate(text)
        self._in_force_s = pace.now_s() + LEAD_S
        self._nodes.arrivals(pace.order())

    def _hear_all(self) -> None:
        """Have each worker that lives send its counts, and return when they are there."""
        collector = self._reporting.collector
        before = {key: state.sequence for key, state in collector.workers.items()}
        limit_s = time.monotonic() + ANSWER_LIMIT_S
        self._nodes.ask()
        self._poll()
        while time.monotonic() < limit_s:
            now_s = self._reporting.now_s
            due = {key for key, state in collector.workers.items() if not state.final and not state.silent_at(now_s)}
            if due and all(collector.workers[key].sequence > before.get(key, 0) for key in due):
                return
            gevent.sleep(LOOK_S)
