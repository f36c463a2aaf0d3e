"""The master's side of the ledger: merges snapshots of all workers. Knows no network; times are given to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from triton_users.ledger.counts import Ledger
from triton_users.ledger.evidence import Evidence
from triton_users.ledger.recorder import FORMAT

SILENT_S = 10.0
"""While the run goes on, a worker that has sent nothing for this long, in seconds, is called silent. Three of its
reports have not come then."""


@dataclass(slots=True)
class WorkerState:
    """What is known of one worker process (one incarnation; a worker that was started again is another one)."""

    worker: str
    incarnation: str
    first_seen_s: float
    """Seconds into the run when its first snapshot came."""
    last_seen_s: float
    """Seconds into the run when its newest snapshot came."""
    began_s: float
    """Seconds into the run when the worker began to count, its own second 0, as its fastest snapshot shows it."""
    at_s: float = 0.0
    """The newest snapshot's time by the worker's own clock."""
    sequence: int = 0
    """The newest snapshot's number, from 1."""
    merged: int = 0
    """Snapshots that were merged. The others up to `sequence` never came or came late; nothing is missing for it."""
    final: bool = False
    """Its last snapshot said that it was the last one."""
    ledger: Ledger = field(default_factory=Ledger)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    gauges: dict[str, int] = field(default_factory=dict)
    selfcheck: dict[str, Any] = field(default_factory=dict)
    outages: tuple[bool, str, list[tuple[float, float]]] = (False, "", [])
    """See `Outages.dump`; times by the worker's own clock."""
    lateness: tuple[int, list[tuple[str, str, float, float, float]], list[tuple[float, float]]] = (0, [], [])
    """See `Lateness.dump`; times by the worker's own clock."""
    sent_elsewhere: dict[str, tuple[int | None, str]] = field(default_factory=dict)
    """Model -> how many requests other programs of this worker sent it, None: nobody knows; and which programs."""

    def silent_at(self, now_s: float) -> bool:
        """Whether it should have sent something by then, `now_s` seconds into the run, and has not."""
        return not self.final and now_s - self.last_seen_s > SILENT_S


@dataclass(frozen=True, slots=True)
class Change:
    """What one snapshot added to the one before it of the same worker."""

    worker: str
    now_s: float
    """Seconds into the run when it came."""
    span_s: float
    """How much time it covers, in seconds: since the worker's snapshot before it, or since the worker began."""
    counted: Ledger


class Collector:
    """All workers' counts of a run. A snapshot that comes twice, late or never changes nothing if a later one comes."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        """Only snapshots of this epoch are merged."""
        self.total = Ledger()
        """Everybody's counts together."""
        self.workers: dict[tuple[str, str], WorkerState] = {}
        """(worker, incarnation) -> what is known of it."""
        self.refused: dict[str, int] = {}
        """Why a snapshot could not be merged -> how many of them; those of another epoch are not among them."""

    def merge(self, snapshot: Mapping[str, Any], now_s: float) -> Change | None:
        """Take a snapshot in; None when it brings nothing: an old one, a repeated one, one of another epoch.

        `now_s`: seconds into the run. A snapshot that cannot be read is counted under `refused` and changes nothing.
        """
        try:
            if snapshot["format"] != FORMAT:
                reason = f"worker {snapshot['worker']} sends ledger format {snapshot['format']}, not {FORMAT} as here"
                self.refused[reason] = self.refused.get(reason, 0) + 1
                return None
            if snapshot["epoch"] != self.epoch:
                return None
            key = (str(snapshot["worker"]), str(snapshot["incarnation"]))
            sequence, at_s, final = int(snapshot["sequence"]), float(snapshot["at_s"]), bool(snapshot["final"])
            state = self.workers.get(key)
            if state is not None and sequence <= state.sequence:
                return None
            ledger = Ledger.load(snapshot["ledger"])
            evidence = {name: Evidence.load(dumped) for name, dumped in snapshot["evidence"].items()}
            gauges = {str(name): int(value) for name, value in snapshot["gauges"].items()}
            selfcheck = dict(snapshot["selfcheck"])
            goes_on, why, spans = snapshot["outages"]
            outages = (bool(goes_on), str(why), [(float(from_s), float(to_s)) for from_s, to_s in spans])
            sent_elsewhere = {
                str(model): (None if number is None else int(number), str(who))
                for model, (number, who) in snapshot["sent_elsewhere"].items()
            }
            seen, late, silences = snapshot["lateness"]
            lateness = (
                int(seen),
                [(str(s), str(m), float(at), float(took), float(usual)) for s, m, at, took, usual in late],
                [(float(from_s), float(to_s)) for from_s, to_s in silences],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            reason = f"a snapshot could not be read: {type(problem).__name__}: {problem}"
            self.refused[reason] = self.refused.get(reason, 0) + 1
            return None
        if state is None:
            state = self.workers[key] = WorkerState(*key, first_seen_s=now_s, last_seen_s=now_s, began_s=now_s - at_s)
        counted = ledger.since(state.ledger)
        self.total.add(counted)
        change = Change(state.worker, now_s, max(0.0, at_s - state.at_s), counted)
        state.ledger = ledger
        state.evidence.update(evidence)
        state.gauges, state.selfcheck = gauges, selfcheck
        state.outages, state.lateness, state.sent_elsewhere = outages, lateness, sent_elsewhere
        state.sequence, state.at_s, state.last_seen_s = sequence, at_s, now_s
        state.began_s = min(state.began_s, now_s - at_s)
        # A worker goes on to report after its last count; only a new count would take its word back.
        state.final = final or (state.final and not counted.scenarios and not counted.rows and not counted.reconnects)
        state.merged += 1
        return change

    def gauges(self, now_s: float) -> dict[str, int]:
        """The newest gauges of all workers that still run `now_s` seconds into the run, summed by name."""
        together: dict[str, int] = {}
        for state in self.workers.values():
            if not state.final and not state.silent_at(now_s):
                for name, value in state.gauges.items():
                    together[name] = together.get(name, 0) + value
        return together

    def evidence(self) -> dict[str, Evidence]:
        """Scenario -> its kept failures, of all workers, their times in seconds of the run."""
        of: dict[str, list[Evidence]] = {}
        for state in self.workers.values():
            for name, evidence in state.evidence.items():
                of.setdefault(name, []).append(evidence.later(state.began_s))
        return {name: Evidence.together(parts) for name, parts in of.items()}

    def lost(self) -> list[WorkerState]:
        """Workers that never said they were done: after the end of a run, those whose last counts may be missing."""
        return [state for state in self.workers.values() if not state.final]

    def reset(self, epoch: str) -> None:
        """Forget everything and collect another epoch from here on."""
        self.epoch = epoch
        self.total = Ledger()
        self.workers.clear()
        self.refused.clear()
