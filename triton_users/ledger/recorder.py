"""One node's side of the ledger: takes counts in, gives snapshots. Knows no network; times are given to it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from triton_users.ledger.counts import Ledger, Row, count_text
from triton_users.ledger.evidence import Evidence
from triton_users.ledger.lateness import Lateness
from triton_users.ledger.outages import Outages
from triton_users.ledger.plain import normalise, plain

FORMAT = 7
"""Version of a snapshot; a collector refuses another one."""


class Recorder:
    """Counts what this node's users do. No method yields, so a snapshot never shows half a request."""

    def __init__(self, worker: str, epoch: str) -> None:
        self.worker = worker
        """This node's name, as the master knows it."""
        self.epoch = epoch
        """What this counts for: any text, the same on all nodes, new for every run and every reset."""
        self.incarnation = secrets.token_hex(8)
        """Tells this process from an earlier one of the same name."""
        self.ledger = Ledger()
        self.outages = Outages()
        self.lateness = Lateness()
        self._evidence: dict[str, Evidence] = {}
        self._sent_evidence: dict[str, int] = {}
        self._sequence = 0

    def row(self, scenario: str, model: str) -> Row:
        """Where to record requests of this scenario to this model; keep it, it stays valid, also after `reset`."""
        return self.ledger.row(scenario, model)

    def run_finished(
        self,
        scenario: str,
        outcome: str,
        requests: int,
        duration_us: int,
        reason: str = "",
        *,
        excusable: bool = True,
        answers_checked: int = 0,
    ) -> None:
        """Count one run. `outcome` is "passed", "failed" or "skipped"; `reason` is needed for "skipped" only.

        `excusable`: a failed run may be excused where its scenario is allowed to fail.
        """
        counts = self.ledger.scenario(scenario)
        counts.requests += requests
        if outcome == "skipped":
            count_text(counts.skips, normalise(reason) or "no reason given")
            return
        if outcome == "passed":
            counts.passed += 1
        else:
            counts.failed += 1
            counts.unexcused += not excusable
        counts.answers_checked += answers_checked
        counts.durations.record(duration_us)

    def exception(self, text: str) -> None:
        """Count an exception that users' code outside of any scenario raised; texts are counted as errors' are."""
        count_text(self.ledger.exceptions, normalise(text))

    def deadline_exceeded(self, scenario: str, expected: bool) -> None:
        """Count a deadline that fired."""
        counts = self.ledger.scenario(scenario)
        if expected:
            counts.expected_deadlines += 1
        else:
            counts.unexpected_deadlines += 1

    def sequence_failure(self, scenario: str) -> None:
        """Count a response that is not what the model of the sequence says."""
        self.ledger.scenario(scenario).sequence_failures += 1

    def deferred_checks_settled(self, scenario: str, confirmed: int, unchecked: int, requests: int = 0) -> None:
        """Count what became of checks that earlier runs put off, and requests sent for them outside of any run."""
        counts = self.ledger.scenario(scenario)
        counts.confirmed += confirmed
        counts.unchecked += unchecked
        counts.requests += requests

    def reconnected(self, reason: str) -> None:
        """Count a connection that was made again, by why the one before took no more calls."""
        count_text(self.ledger.reconnects, normalise(reason) or "no reason given")

    def failure(self, scenario: str, at_s: float, reason: str, record: Mapping[str, Any]) -> None:
        """Keep the evidence of a failed run, within bounds; `run_finished` counts it. `at_s`: as in `snapshot`."""
        self._evidence.setdefault(scenario, Evidence()).keep(
            {
                "scenario": scenario,
                "worker": self.worker,
                "at_s": float(at_s),
                "reason": plain(str(reason)),
                "record": plain(dict(record)),
            }
        )

    def snapshot(
        self,
        at_s: float,
        final: bool = False,
        gauges: Mapping[str, int] | None = None,
        selfcheck: Mapping[str, Any] | None = None,
        sent_elsewhere: Mapping[str, tuple[int | None, str]] | None = None,
    ) -> dict[str, Any]:
        """Everything counted in this epoch so far, as plain values.

        `at_s`: seconds since this node began to count for the epoch. `gauges` are values of this
        moment ("users", "open_sequences"), summed over workers. `final`: this node will count no more.
        `sent_elsewhere`: model -> how many requests other programs of this node sent it, which no row has (None: nobody
        knows how many), and which programs.
        Evidence is sent when there is new one, and all of it in a final snapshot.
        """
        self._sequence += 1
        changed = {
            name: evidence.dump()
            for name, evidence in self._evidence.items()
            if final or evidence.seen != self._sent_evidence.get(name)
        }
        self._sent_evidence = {name: evidence.seen for name, evidence in self._evidence.items()}
        return {
            "format": FORMAT,
            "epoch": self.epoch,
            "worker": self.worker,
            "incarnation": self.incarnation,
            "sequence": self._sequence,
            "at_s": float(at_s),
            "final": final,
            "ledger": self.ledger.dump(),
            "evidence": changed,
            "gauges": dict(gauges or {}),
            "selfcheck": dict(selfcheck or {}),
            "outages": self.outages.dump(),
            "lateness": self.lateness.dump(),
            "sent_elsewhere": {model: list(sent) for model, sent in (sent_elsewhere or {}).items()},
        }

    def reset(self, epoch: str) -> None:
        """Forget everything and count for another epoch from here on."""
        self.epoch = epoch
        self.ledger.clear()
        self.outages.clear()
        self.lateness.clear()
        self._evidence.clear()
        self._sent_evidence.clear()
        self._sequence = 0
