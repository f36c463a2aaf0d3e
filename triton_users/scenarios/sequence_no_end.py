"""SequenceNoEnd: a sequence without END, and later the proof that the server gave its slot back."""

from __future__ import annotations

import random
from collections import OrderedDict

from triton_users.scenarios.base import ScenarioFailure, Session
from triton_users.scenarios.correlation_ids import draw_fresh_offset
from triton_users.scenarios.sequence_models import draw_values
from triton_users.scenarios.sequence_scenario import SequencePlan, SequenceScenario
from triton_users.scenarios.without_start import answer_without_start, evidence

PROOFS_A_RUN = 4
"""How many due proofs one run checks, oldest first. Each run adds one claim, so these never pile up."""

MAX_DEFERRED = 512
"""How many claims wait for their proof; with more than 50 runs a second for one user some go unchecked."""


class SequenceNoEnd(SequenceScenario):
    """Each run leaves a sequence open, whose slot the server must reclaim after its idle limit.

    The proof: once the idle limit and a margin have passed since the last answer, a request without START for that id
    must get the START error. An ordinary answer means that the server still holds the sequence. Claims whose time has
    not come when the user stops stay unchecked. Ids are drawn from the part of the user's block that no other scenario
    touches, so nothing can have reopened or ended it; should the same id be drawn twice, the later run takes the place
    of the earlier one's claim, which stays unchecked.
    """

    name = "SequenceNoEnd"
    description = "a sequence without END; after the idle limit the server must have forgotten it"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._deferred: OrderedDict[tuple[str, int], float] = OrderedDict()
        """When each open sequence had its last answer, oldest first."""

    def plan(self, draw: random.Random) -> SequencePlan:
        settings = self.session.settings
        return SequencePlan(
            model=draw.choice(tuple(self.models)),
            id_offset=draw_fresh_offset(draw),
            sequences=(draw_values(draw, settings.sequence_length_mean, settings.sequence_length_stdev),),
        )

    def run(self, plan: SequencePlan) -> int:
        proofs = self._check_due()
        key = (plan.model, self.correlation_id(plan.id_offset))
        if self._deferred.pop(key, None) is not None:
            self.session.signals.deferred_checks_settled(unchecked=1)
        try:
            requests = self.send(plan, last_ends=False)
        except ScenarioFailure as failure:
            failure.requests += proofs
            raise
        self._deferred[key] = self.session.clock()
        if len(self._deferred) > MAX_DEFERRED:
            self._deferred.popitem(last=False)
            self.session.signals.deferred_checks_settled(unchecked=1)
        return proofs + requests

    def _check_due(self) -> int:
        """Check the oldest due claims; return the number of requests this took."""
        settings = self.session.settings
        held_s = settings.idle_limit_s + settings.idle_margin_s
        for proofs in range(PROOFS_A_RUN):
            if not self._deferred:
                return proofs
            (model_name, correlation_id), last_answer = next(iter(self._deferred.items()))
            silent_s = self.session.clock() - last_answer
            if silent_s < held_s:
                return proofs
            self._prove(model_name, correlation_id, silent_s, proofs)
        return PROOFS_A_RUN

    def _prove(self, model_name: str, correlation_id: int, silent_s: float, earlier: int) -> None:
        model = self.models[model_name]
        try:
            got = answer_without_start(self.session, model, correlation_id, 1, end=True)
        except ScenarioFailure as failure:
            del self._deferred[model_name, correlation_id]
            failure.requests += earlier
            raise
        del self._deferred[model_name, correlation_id]  # not sooner: a user stopped in between leaves it unchecked
        if got is not None:
            settings = self.session.settings
            raise ScenarioFailure(
                f"sequence {correlation_id} is still held by {model_name} {silent_s:.1f} s after its last answer, with "
                f"an idle limit of {settings.idle_limit_s:g} s and a margin of {settings.idle_margin_s:g} s: its slot "
                f"was not reclaimed (a request without START was answered {got})",
                requests=earlier + 1,
                got=got,
                silent_s=silent_s,
                **evidence(model, correlation_id, 1),
            )
        self.session.signals.deferred_checks_settled(confirmed=1)

    def close(self) -> None:
        if self._deferred:
            self.session.signals.deferred_checks_settled(unchecked=len(self._deferred))
