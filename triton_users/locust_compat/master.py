"""The master's runner: how a run ends, and workers that come and go. Knows no message of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gevent
from locust.runners import HEARTBEAT_INTERVAL, HEARTBEAT_LIVENESS, STATE_RUNNING, STATE_SPAWNING, MasterRunner
from locust.stats import RequestStats, StatsEntry


def give_newcomers_no_users(runner: MasterRunner) -> None:
    """Let a worker that joins from now on wait for the next run.

    Locust fires `test_stopping` before it takes its dispatcher away: while listeners wait, a worker that joins is given
    users that nobody will stop. Seen in 2.46 and 2.47. Can go when the dispatcher is gone before `test_stopping`.
    """
    runner._users_dispatcher = None
    runner.spawning_completed = False


@contextmanager
def keep_hearing_workers_while_their_loop_stops_the_run(runner: MasterRunner) -> Iterator[None]:
    """Have another greenlet hear the workers, and count their silence, where this one is the one that does.

    Locust also stops a run in its loops `client_listener` and `heartbeat_worker`, when no worker is left. A listener of
    `test_stopping` that waits for something from a worker then waits for itself. Seen in 2.46 and 2.47. Can go when
    these loops stop a run in a greenlet of its own.
    """
    loop = getattr(gevent.getcurrent(), "_run", None)
    stand_in = gevent.spawn(loop) if loop in (runner.client_listener, runner.heartbeat_worker) else None
    try:
        yield
    finally:
        if stand_in is not None:
            stand_in.kill()


def seconds_since_a_worker_was_heard(runner: MasterRunner, worker: str) -> float | None:
    """How long ago its last heartbeat came, to about a second; None where there is no such worker (any more).

    Locust calls a worker missing after 4 s of silence, which one that lives reaches too when its machine has no CPU for
    it, and says no more than that. It counts down once a second. Seen in 2.46 and 2.47. Can go when a worker node
    carries the time of its last heartbeat.
    """
    node = runner.clients.get(worker)
    return None if node is None else (HEARTBEAT_LIVENESS - node.heartbeat) * HEARTBEAT_INTERVAL


def count_nothing_of_a_report_from_before_a_reset(data: dict[str, Any], stats: RequestStats) -> None:
    """Empty the statistics in a worker's report, before Locust's own listener adds them up.

    Locust adds up whatever comes: also what a worker sent before it heard of a reset, or of the next run. Seen in 2.46
    and 2.47. Can go when a report says which run it is of.
    """
    data.update(stats=[], stats_total=StatsEntry(stats, "Aggregated", "").serialize(), errors={})


def workers_that_have_users(runner: MasterRunner) -> list[str]:
    """The names of the workers that run users now.

    Locust gives a master's workers by their state, but a worker that joined a run is running before it has users, and
    one may never get any. Seen in 2.46 and 2.47. Can go when a master gives the users of each worker.
    """
    nodes = runner.clients.get_by_state(STATE_SPAWNING) + runner.clients.get_by_state(STATE_RUNNING)
    return sorted(node.id for node in nodes if node.user_count > 0)


class RampUp:
    """The greenlet that starts a run's users; made in a listener of `test_start`, which Locust fires in it.

    Locust's master leaves it alive when the run is stopped: at its end it declares a run that has been stopped to be
    running. Seen in 2.46 and 2.47. Can go when `stop` of a master ends the ramp-up, as that of a local runner does.
    """

    def __init__(self) -> None:
        current = gevent.getcurrent()
        self._greenlet = current if isinstance(current, gevent.Greenlet) else None

    def end_with_its_run(self) -> None:
        """Kill it, unless it is the one that calls."""
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill()


class LocustMaster:
    """The master's runner as `run/` uses it."""

    def __init__(self, runner: MasterRunner) -> None:
        self._runner = runner
        self._ramp_up: RampUp | None = None

    def listen(self, message: str, listener: Callable[[str], None]) -> None:
        """Call `listener` with the worker's name for each such message."""
        self._runner.register_message(message, lambda msg, **_: listener(msg.node_id))

    def listen_to_data(self, message: str, listener: Callable[[str, Any], None]) -> None:
        """Call `listener` with the worker's name and what it sent, for each such message."""
        self._runner.register_message(message, lambda msg, **_: listener(msg.node_id, msg.data))

    def send(self, message: str, data: Mapping[str, Any]) -> None:
        """Send a message to all workers."""
        self._runner.send_message(message, dict(data))

    def workers(self) -> list[str]:
        """The names of all workers that are known, those that are missing included."""
        return list(self._runner.clients)

    def workers_with_users(self) -> list[str]:
        """Those that are heard and have users, by what they last said."""
        return workers_that_have_users(self._runner)

    def unheard_s(self, worker: str) -> float | None:
        """Seconds since it was last heard; None when it is known no more."""
        return seconds_since_a_worker_was_heard(self._runner, worker)

    def begin_run(self) -> None:
        """To be called in a listener of `test_start`."""
        self._ramp_up = RampUp()

    def end_ramp_up(self) -> None:
        """Start no more users in this run, whoever joins."""
        if self._ramp_up is not None:
            self._ramp_up.end_with_its_run()
        give_newcomers_no_users(self._runner)

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """Workers are heard, whichever greenlet this is."""
        with keep_hearing_workers_while_their_loop_stops_the_run(self._runner):
            yield

    def discount(self, report: dict[str, Any]) -> None:
        """Have Locust count nothing of this report."""
        count_nothing_of_a_report_from_before_a_reset(report, self._runner.stats)
