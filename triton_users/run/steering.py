"""Steers the load of one run from the master: when runs arrive, at what rate, and the search for the highest one.

Without a rate and without a search it does nothing: users then run one task after the other, as Locust has them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import gevent

from triton_users.arrivals.settings import ArrivalSettings
from triton_users.declaration import read
from triton_users.options import judging_from
from triton_users.run.capacity import CapacitySearch, lend_a_rate, plan_of, search_of
from triton_users.run.loads import ClusterLoads
from triton_users.run.locust import Command
from triton_users.run.pace import LEAD_S, Order, Pace
from triton_users.run.reporting import TICK_S, Reporting
from triton_users.settings import UsageError

logger = logging.getLogger(__name__)

WORKERS_REPORT_S = 7.0
"""After so many seconds each worker has reported twice (Locust's 3 s)."""
AGAIN_S = 5.0
"""For so many seconds workers are sent their order each second, of which the one that was fastest sets their clock."""
UNDER_WAY_S = 60.0
"""How long after the last arrival, and the wait it may have, requests may be under way in a run without a run time."""


class Sharing(Protocol):
    """Those who have users (`coordinator.Nodes`)."""

    def with_users(self) -> list[str]: ...
    def arrivals(self, order: Order) -> None: ...
    def ask(self) -> None: ...


class Steering:
    """One run's, which says when it can be reported (`attach`), and how far it is with all else."""

    def __init__(self, command: Command, nodes: Sharing, seed: int) -> None:
        """Raises UsageError for options that no load can be made of."""
        self._command = command
        self._nodes = nodes
        self._searched = search_of(command.options, shaped=command.shaped)
        self._lent_rate = lend_a_rate(self._searched, command.options)
        arrivals = read(ArrivalSettings, command.options)
        arrivals.check()
        self._pace = Pace(arrivals, seed, time.perf_counter) if arrivals.open else None
        self.fail_on_missed_rate: bool = arrivals.open and arrivals.fail_on_missed_rate
        self.described = "" if not arrivals.open else "as the search had it" if self.searches else arrivals.described
        """What arrives, for people; "" in a closed run."""
        self._reporting: Reporting | None = None
        self._search: CapacitySearch | None = None
        self._searching: gevent.Greenlet[..., None] | None = None
        self._spawned = self._stopping = False
        self._over_s = math.inf
        """When the last arrival of the run was due, in seconds of the cluster."""

    @property
    def searches(self) -> bool:
        """Whether it searches for the capacity: such a run ends when that is done."""
        return self._searched.searches

    @property
    def trace(self) -> str:
        """The digest of the trace that is replayed; "" where there is none."""
        return self._pace.digest if self._pace is not None else ""

    @property
    def named(self) -> Sequence[tuple[str, str]]:
        """Each pair of model and input in the trace (`trace_names.check`)."""
        return self._pace.named if self._pace is not None else ()

    def attach(self, reporting: Reporting, poll: Callable[[], None]) -> None:
        """The run has its report. `poll` takes in what a local node has counted."""
        self._reporting = reporting
        if not self.searches:
            return
        options = self._command.options
        limits = judging_from(options)["limits"]
        self._search = CapacitySearch(
            self._searched,
            plan_of(self._searched, options, self._command.target_users),
            ClusterLoads(self._command, self._nodes, reporting, poll, self._pace, limits),
            options.find_capacity,
            reporting.capacity,
            sleep=gevent.sleep,
        )
        reporting.capacity(self._search.answer())

    def spawned(self) -> None:
        """All users are there, at the start or after their number was changed."""
        pace = self._pace
        self._spawned = True
        if pace is None or not pace.begun:
            self._begin_arrivals()
        else:
            rate = read(ArrivalSettings, self._command.options).rate
            if self._search is None and rate is not None and rate.text != pace.rate:
                self.set_rate(rate.text)  # it came with the number of users
            else:
                self._share_anew(pace)
        self._begin_search()

    def set_rate(self, text: str) -> None:
        """Have arrivals come at another rate; see `coordinator.Coordinator.set_rate`."""
        if self._pace is None or self._reporting is None or self._reporting.finished or self._stopping:
            raise UsageError("rate: there is no run that goes on with a rate; start one with --rate")
        self._pace.set_rate(text)
        self._command.options.rate = text
        self._send(self._pace)

    def poll_begins(self) -> None:
        """Each second of the run, before the nodes' counts are asked for."""
        self._count_intended()
        if self._pace is not None and not self._stopping:
            self._begin_arrivals()
            if self._pace.begun:
                self._share_anew(self._pace)

    def poll_ends(self) -> None:
        """The same, after that."""
        if self._pace is not None and not self._stopping:
            self._end_with_the_schedule(self._pace)

    def stopping(self) -> None:
        """The run ends: nothing arrives any more, and what is known of the capacity by now is what is found."""
        self._count_intended()
        search, searching = self._search, self._searching
        if search is not None and (searching is None or not searching.ready()):
            search.broke_off("the run was ended")
        if searching is not None and searching is not gevent.getcurrent():
            searching.kill()
        self._stopping = True

    def stopped(self) -> None:
        """The run has ended: a rate that its search was lent is not the next run's."""
        if self._lent_rate:
            self._command.options.rate = ""

    def _begin_arrivals(self) -> None:
        """Once the users are there. Locust may say so before it has heard of any worker's users."""
        if self._pace is not None and self._spawned and not self._pace.begun and (users := self._nodes.with_users()):
            self._pace.begin(users)
            self._send(self._pace)
            self._begin_search()

    def _begin_search(self) -> None:
        """Once arrivals have begun, where it is over their rate."""
        begun = self._pace is None or self._pace.begun
        if self._search is not None and self._searching is None and begun:
            self._searching = gevent.spawn(self._find_capacity, self._search)

    def _find_capacity(self, search: CapacitySearch) -> None:
        try:
            search.run()
        except Exception as error:  # a run that nobody steers any more must not go on
            logger.exception("The search for the capacity broke off")
            search.broke_off(f"it broke off: {error}")
        self._command.end_run()

    def _send(self, pace: Pace) -> None:
        """A rate begins."""
        self._nodes.arrivals(pace.order())
        if self._reporting is not None:
            self._reporting.rate_is(pace.rate, LEAD_S)

    def _share_anew(self, pace: Pace) -> None:
        """Workers that have come or gone since take their share, or leave it to the others."""
        if pace.workers_are(self._nodes.with_users()) or pace.now_s() < AGAIN_S:
            self._nodes.arrivals(pace.order())

    def _count_intended(self) -> None:
        if self._pace is not None and self._reporting is not None and not self._stopping:
            self._reporting.intended(self._pace.intended())

    def _end_with_the_schedule(self, pace: Pace) -> None:
        """End a headless run that has no other end, once all that was to arrive has been dealt with."""
        command, reporting = self._command, self._reporting
        if not pace.over() or not command.options.headless or command.run_time_s or reporting is None:
            return
        over_s = pace.now_s() - self._over_s if self._over_s < math.inf else 0.0
        self._over_s = min(self._over_s, pace.now_s())
        reported = over_s >= (WORKERS_REPORT_S if command.distributed else TICK_S)
        if (reported and not reporting.in_flight()) or over_s > command.options.arrival_wait_s + UNDER_WAY_S:
            logger.info("All arrivals have come: the run ends")
            self._pace = None
            command.quit()
