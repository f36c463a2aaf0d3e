"""SequenceNoEnd: a sequence without END, and later the check that the server gave its slot back."""

from __future__ import annotations

import random
from collections import OrderedDict
from typing import NamedTuple

from triton_users.scenarios.base import ScenarioFailure, Session, Skip
from triton_users.scenarios.correlation_ids import draw_fresh_offset
from triton_users.scenarios.sequence_scenario import SequencePlan, SequenceScenario
from triton_users.scenarios.sequence_stream import run_sequence
from triton_users.scenarios.without_start import answer_without_start, evidence

CHECKS_A_RUN = 4
"""How many due checks one run makes, oldest first. Each run adds one, so these never pile up."""

MAX_DEFERRED = 512
"""How many checks wait for their time; with more than 50 runs a second for one user some are never made."""

RESTARTED = 2
"""Requests of the sequence that starts anew with a reclaimed id: the first shows what was kept, the second ends it."""


class _Left(NamedTuple):
    """A sequence that was left open."""

    plan: SequencePlan
    last_answer_s: float


class SequenceNoEnd(SequenceScenario):
    """Each run leaves a sequence open, whose slot the server must reclaim after its idle limit, and a check for later.

    The check: once the idle limit and a margin have passed since the last answer, a request without START for that id
    must get the START error. An ordinary answer means that the server still holds the sequence. Then the id starts
    anew, and must not see what the model had kept of it.

    Checks whose time has not come when the user stops are unchecked, unless the user may wait for them. Ids are drawn
    from the part of the user's block that no other scenario touches, so nothing can have reopened or ended it; should
    the same id be drawn twice, the later run takes the place of the earlier one's check, which stays unchecked.
    """

    name = "SequenceNoEnd"
    description = "a sequence without END; after the idle limit the server must have forgotten it"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._deferred: OrderedDict[tuple[str, int], _Left] = OrderedDict()
        """The sequences left open, by model and correlation id, the oldest first."""

    def plan(self, draw: random.Random) -> SequencePlan:
        return self.draw_sequences(draw, draw.choice(tuple(self.models)), draw_fresh_offset(draw), sequences=1)

    def run(self, plan: SequencePlan) -> int:
        requests = self._check_due()
        key = (plan.model, self.correlation_id(plan.id_offset))
        if self._deferred.pop(key, None) is not None:
            self.session.signals.deferred_checks_settled(unchecked=1)
        try:
            requests += self.send(plan, last_ends=False)
        except (ScenarioFailure, Skip) as stopped:
            stopped.requests += requests
            raise
        self._deferred[key] = _Left(plan, self.session.clock())
        if len(self._deferred) > MAX_DEFERRED:
            self._deferred.popitem(last=False)
            self.session.signals.deferred_checks_settled(unchecked=1)
        return requests

    def next_deferred(self) -> tuple[SequencePlan, float] | None:
        if not self._deferred:
            return None
        left = next(iter(self._deferred.values()))
        return left.plan, left.last_answer_s + self._held_s

    def check_deferred(self) -> int:
        (key, left) = next(iter(self._deferred.items()))
        try:
            requests, held = self._check(*key, left)
        except ScenarioFailure:
            del self._deferred[key]
            raise
        del self._deferred[key]  # not sooner: a user stopped in between leaves it unchecked
        self.session.signals.deferred_checks_settled(confirmed=int(held), unchecked=int(not held))
        return requests

    def close(self) -> None:
        if self._deferred:
            self.session.signals.deferred_checks_settled(unchecked=len(self._deferred))

    @property
    def _held_s(self) -> float:
        return self.session.settings.idle_limit_s + self.session.settings.idle_margin_s

    def _check_due(self) -> int:
        """Make the oldest due checks; return the number of requests this took."""
        requests = 0
        for _ in range(CHECKS_A_RUN):
            following = self.next_deferred()
            if following is None or self.session.clock() < following[1]:
                break
            try:
                requests += self.check_deferred()
            except ScenarioFailure as failure:
                failure.requests += requests
                raise
        return requests

    def _check(self, model_name: str, correlation_id: int, left: _Left) -> tuple[int, bool]:
        """The number of requests this took, and whether it proved anything. ScenarioFailure when the server fails."""
        model, settings = self.models[model_name], self.session.settings
        silent_s = self.session.clock() - left.last_answer_s
        answered = answer_without_start(self.session, model, correlation_id, 1, end=True)
        if answered is not None and answered.is_late(self.session):
            return 1, False
        if answered is not None:
            answered.report(self.session, model, correlation_id)
            raise ScenarioFailure(
                f"sequence {correlation_id} is still held by {model_name} {silent_s:.1f} s after its last answer, with "
                f"an idle limit of {settings.idle_limit_s:g} s and a margin of {settings.idle_margin_s:g} s: its slot "
                f"was not reclaimed (a request without START was answered {answered.got})",
                requests=1,
                got=answered.got,
                silent_s=silent_s,
                **evidence(model, correlation_id, 1),
            )
        (values,) = left.plan.sequences
        try:
            return 1 + run_sequence(self.session, model, correlation_id, values[:RESTARTED]), True
        except Skip as skip:
            return 1 + skip.requests, False
        except ScenarioFailure as failure:
            raise ScenarioFailure(
                f"the id's sequence before was left without END and reclaimed, now it starts anew: {failure}",
                requests=1 + failure.requests,
                **failure.evidence,
            ) from failure
