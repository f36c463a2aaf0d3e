"""One run's counts on their way to its report: merges snapshots, keeps the history, writes checkpoints and the end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import gevent

from triton_users import ledger
from triton_users.capacity.answer import Answer
from triton_users.judge import audit
from triton_users.ledger.timeline import Timeline
from triton_users.report import ReportFolder, RunInfo, build_report, render_text
from triton_users.report.build import State, utc
from triton_users.run.checkpoint import Checkpoint
from triton_users.witness.seen import Absence, Seen

logger = logging.getLogger(__name__)

MAX_RATES = 200
"""Changes of an open loop's rate that a report names; further ones are made as well."""

TICK_S = 1.0
"""How often the gauges (users, open sequences) are polled, in seconds."""


class Reporting:
    """From the first second of a run to its report."""

    def __init__(
        self, info: RunInfo, parent: Path, epoch: str, poll: Callable[[], None], seen: Callable[[], Seen] = Seen
    ) -> None:
        """`epoch` names what is counted (`ledger.Collector.epoch`); `poll` is called every second of the run.

        `seen` tells what was seen of the server so far.

        Raises OSError when the report's folder cannot be made.
        """
        self._info = info
        self._parent = parent
        self._begun_s = time.monotonic()
        self._load_s: float | None = None
        """How far into the run its users had the order to stop."""
        self._poll = poll
        self._seen = seen
        self._collector = ledger.Collector(epoch)
        self._timeline = Timeline()
        self.folder = ReportFolder(parent, info.started)
        self._checkpoint = self._checkpoint_in(self.folder)
        self._ticker = gevent.spawn(self._tick)
        self._report: dict[str, Any] | None = None
        self._intended = 0
        self._intended_s = 0.0
        """How many arrivals were due, and until when they are counted."""
        self._rates: list[tuple[float, str]] = []

    def merge(self, snapshot: Mapping[str, Any]) -> bool:
        """Take in a node's counts; False when they are of another epoch: an earlier run, or before a reset."""
        change = self._collector.merge(snapshot, self._now_s())
        if change is not None:
            self._timeline.add(change)
        return snapshot.get("epoch") == self._collector.epoch

    def intended(self, arrivals: int) -> None:
        """So many arrivals of an open loop were due since the last call."""
        now_s = self._now_s()
        self._timeline.intended(arrivals, self._intended_s, now_s)
        self._intended, self._intended_s = self._intended + arrivals, now_s

    def rate_is(self, text: str, in_s: float) -> None:
        """Arrivals come at this rate, as a person wrote it, in so many seconds from now on."""
        if len(self._rates) < MAX_RATES:
            self._rates.append((self._now_s() + in_s, text))

    def in_flight(self) -> int:
        """How many arrivals users are at work on, as their nodes last said."""
        return self._collector.gauges(self._now_s()).get("in_flight", 0)

    def reset(self, epoch: str) -> None:
        """Forget all counts; those that come are of `epoch` from here on, and their report has a folder of its own.

        What was counted before stays in the old folder, and both reports say so. Raises OSError when one of the two
        cannot be written; nothing is forgotten then.
        """
        now = datetime.now(timezone.utc)
        folder = ReportFolder(self._parent, now)
        self._checkpoint.stop()  # other greenlets run meanwhile; from here on none does
        try:
            self._poll()
            when = utc(now)
            report = self.report()
            counts = "{runs:,} runs, {failed:,} failed; {rpcs:,} RPCs, {rpcs_failed:,} with an error"
            counted = counts.format(**report["totals"])
            goes_on = f"the counts were reset at {when}: the run goes on in {folder.path}"
            report["verdict"]["warnings"].insert(0, goes_on)
            self.folder.write(report)
            before = f"the counts were reset at {when}: what was before ({counted}) is in {self.folder.path}"
            self._info = replace(self._info, started=now, notes=[*self._info.notes, before])
            self.folder = folder
            self._begun_s = time.monotonic()
            self._intended, self._intended_s = 0, 0.0
            self._rates = [(0.0, text) for _, text in self._rates[-1:]]
            self._collector.reset(epoch)
            self._timeline.reset()
        finally:
            self._checkpoint = self._checkpoint_in(self.folder)

    def report(self, state: State = "running") -> dict[str, Any]:
        """The report as of now, or the last one once the run has ended (`report.build_report`)."""
        if self._report is not None:
            return self._report
        now_s = self._now_s()
        return build_report(
            self._info,
            self._collector,
            self._timeline,
            now_s=now_s,
            load_s=self._load_s or now_s,
            state=state,
            intended=self._intended,
            seen=self._seen(),
            rates=self._rates,
        )

    def capacity(self, answer: Answer) -> None:
        """What a search for the highest load that holds has found so far."""
        self._info = replace(self._info, capacity=answer)

    @property
    def collector(self) -> ledger.Collector:
        """All counts so far, to be read."""
        return self._collector

    @property
    def now_s(self) -> float:
        """Seconds of the run."""
        return self._now_s()

    def stopping(self) -> None:
        """The users have the order to stop: no load is made from here on, whatever they still wait for."""
        if self._load_s is None:
            self._load_s = self._now_s()

    def finish(
        self,
        state: State,
        at_the_end: Sequence[str] = (),
        incomplete: Sequence[str] = (),
        absences: Sequence[Absence] = (),
        slow_questions: Sequence[tuple[float, float]] = (),
    ) -> int:
        """Write the report in every form and return the exit code. `state`: "finished" or "interrupted".

        `at_the_end`: what was wrong with the server then. `incomplete`: why the run is not whole. `absences`: models
        that were not ready for a while. `slow_questions`: see `RunInfo`.
        A run whose report cannot be written has not passed.
        """
        self._ticker.kill(block=False)
        self._checkpoint.stop()
        self._info = replace(
            self._info,
            at_the_end=at_the_end,
            incomplete=incomplete,
            absences=absences,
            slow_questions=slow_questions,
        )
        report = self.report(state)
        try:
            self.folder.write(report)
        except OSError as error:
            why = f"its report could not be written whole to {self.folder.path}: {error}"
            self._info = replace(self._info, incomplete=[*incomplete, why])
            report = self.report(state)
            self.folder.write_what_fits(report)
        self._report = report
        return int(report["verdict"]["exit_code"])

    def computed_all(self, seen: Seen) -> bool:
        """Whether the server has counted every request that was answered."""
        audited = audit.audit(seen, self._collector.total, self._collector.workers.values())
        return not audit.sentences(audited, "fewer")

    @property
    def total(self) -> ledger.Ledger:
        """Everybody's counts together."""
        return self._collector.total

    def gauges(self) -> dict[str, int]:
        """What the run has now, of all workers: "users" and "open_sequences"; nothing once it has ended."""
        return {} if self.finished else self._collector.gauges(self._now_s())

    @property
    def finished(self) -> bool:
        return self._report is not None

    @property
    def begun_s(self) -> float:
        """When second 0 of the report was, by the monotonic clock."""
        return self._begun_s

    @property
    def all_lost(self) -> bool:
        """Whether no worker that sent its counts ever said that those were its last; to be asked after the end."""
        return 0 < len(self._collector.workers) == len(self._collector.lost())

    def text(self) -> str:
        """The report for a terminal or a log."""
        return render_text(self.report())

    def _checkpoint_in(self, folder: ReportFolder) -> Checkpoint:
        checkpoint = Checkpoint(folder, self.report)
        checkpoint.start()
        return checkpoint

    def _now_s(self) -> float:
        return time.monotonic() - self._begun_s

    def _tick(self) -> None:
        while True:
            gevent.sleep(TICK_S)
            try:
                self._poll()
                now_s = self._now_s()
                self._timeline.gauge(now_s, self._collector.gauges(now_s))
            except Exception:  # one poll that went wrong must not be the last one
                logger.exception("A poll of the run's counts failed")
