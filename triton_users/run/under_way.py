"""One run from its first request to its verdict: all that steers it, sees it and reports it, and how they end.

On the local runner or the master, for as long as one run lasts. Settles nothing: that is `coordinator`'s.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from typing import Any, Protocol

from gevent.lock import RLock

from triton_users.judge.client_limited import hms
from triton_users.options import report_dir_from
from triton_users.report import RunInfo
from triton_users.report.build import State
from triton_users.run.embedded import Embedded
from triton_users.run.locust import Command
from triton_users.run.reporting import Reporting
from triton_users.run.sampling import Sampler
from triton_users.run.steering import Steering
from triton_users.run.watch import ServerWatch

logger = logging.getLogger(__name__)

RUN_TIME_MARGIN_S = 1.0
"""How much earlier than its run time a run may seem to end, in seconds: Locust's clock for it starts before ours."""


class Counting(Protocol):
    """Those who have users (`coordinator.Nodes`)."""

    def poll(self) -> Mapping[str, Any] | None: ...


class RunUnderWay:
    """The newest run; once it has ended, what is left of it is its report."""

    def __init__(
        self,
        command: Command,
        nodes: Counting,
        info: RunInfo,
        epoch: str,
        *,
        steering: Steering,
        sampler: Sampler,
        watch: ServerWatch,
        embedded: Embedded | None,
        begun_s: float,
    ) -> None:
        """`embedded`: the server, where it is ours. `begun_s`: when Locust had it begin, by the monotonic clock.

        Raises OSError when its report's folder cannot be made.
        """
        self._command = command
        self._nodes = nodes
        self._sampler = sampler
        self._watch = watch
        self._embedded = embedded
        self._begun_s = begun_s
        self._stopping_s = math.inf
        self._ending = RLock()
        self._refusals: list[str] = []
        """Of workers that cannot take part."""
        self._died = ""
        """How the embedded server ended by itself; "" while it runs."""
        self.steering = steering
        self.reporting = Reporting(info, report_dir_from(command.options), epoch, self.poll, sampler.seen)

    def begin(self) -> None:
        """To be called before the first request."""
        self.steering.attach(self.reporting, self._hear)
        self._watch.start()
        self._sampler.start()

    def poll(self) -> None:
        """Each second."""
        self._end_with_the_server()
        self.steering.poll_begins()
        self._hear()
        self.steering.poll_ends()

    def refused(self, why: str) -> None:
        """A worker cannot take part: the run is not what was asked for, so it fails."""
        self._refusals.append(why)

    def reset(self, epoch: str) -> bool:
        """Forget what was counted and begin another report; False when that cannot be, or the run has ended."""
        with self._ending:
            if self.reporting.finished:
                return False
            try:
                self.reporting.reset(epoch)
            except OSError as error:
                logger.error("The report's counts are not reset, since their report cannot be written: %s", error)
                return False
            self._sampler.reset()
            return True

    def stopping(self) -> None:
        """It ends now: what comes until `finish` is the time that its users take to stop."""
        self.steering.stopping()
        self._stopping_s = min(self._stopping_s, time.monotonic())
        self.reporting.stopping()

    def finish(self, state: State) -> None:
        """Ask the server a last time, write the report and settle the exit code.

        The second of two calls waits for the first.
        """
        with self._ending:
            if self.reporting.finished:
                return
            try:
                ending = self._ending_now()
                if self._watch.answered:
                    self._sampler.settle(self.reporting.computed_all)
                else:
                    self._sampler.unsettled()
                self._command.exit_with(self.reporting.finish(state, **ending))
            finally:
                self._sampler.stop()
                self.steering.stopped()
                self._watch.stop()

    def _hear(self) -> None:
        """Take in what a local node has counted."""
        if (snapshot := self._nodes.poll()) is not None:
            self.reporting.merge(snapshot)

    def _end_with_the_server(self) -> None:
        """End the run when its embedded server has ended: that one does not come back."""
        if not self._died and self._has_died():
            logger.error("The run ends: %s", self._died)
            self._command.end_run()

    def _has_died(self) -> bool:
        if not self._died and self._embedded is not None:
            self._died = self._embedded.how_it_ended()
        return bool(self._died)

    def _ending_now(self) -> dict[str, Any]:
        """What `Reporting.finish` is to know."""
        begun_s = self.reporting.begun_s
        lost = "it ended because all its workers were lost" if self.reporting.all_lost else ""
        died = [self._died] if self._has_died() else []
        return {
            "at_the_end": [*died, *self._watch.at_the_end(begun_s)],
            "incomplete": [reason for reason in (*self._refusals, self._cut_short(), lost) if reason],
            "absences": self._watch.absences(begun_s),
            "slow_questions": self._watch.slow_questions(begun_s),
        }

    def _cut_short(self) -> str:
        """How far it came, when it was given a run time and did not come so far."""
        wanted_s = None if self.steering.searches else self._command.run_time_s  # a search ends when it is done
        ran_s = min(self._stopping_s, time.monotonic()) - self._begun_s
        if not wanted_s or ran_s >= wanted_s - RUN_TIME_MARGIN_S:
            return ""
        return f"it ended after {hms(ran_s)} of the {hms(wanted_s)} it was to run"
