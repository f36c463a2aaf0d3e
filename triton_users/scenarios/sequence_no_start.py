"""SequenceNoStart: one request without START, which the server must refuse."""

from __future__ import annotations

import random
from dataclasses import dataclass

from triton_users.scenarios.base import ScenarioFailure, Skip
from triton_users.scenarios.correlation_ids import draw_offset
from triton_users.scenarios.open_sequences import open_sequences
from triton_users.scenarios.sequence_scenario import SequenceScenario
from triton_users.scenarios.without_start import answer_without_start, evidence


@dataclass(frozen=True)
class NoStartPlan:
    """One request."""

    model: str
    id_offset: int
    """The correlation id, counted from the start of the user's block."""
    value: int


class SequenceNoStart(SequenceScenario):
    """Skipped while the id may be open on the model: the server would take the request for the sequence's next."""

    name = "SequenceNoStart"
    description = "one request without START, which must get the START error"

    def plan(self, draw: random.Random) -> NoStartPlan:
        return NoStartPlan(draw.choice(tuple(self.models)), draw_offset(draw), draw.randrange(1024 * 1024))

    def run(self, plan: NoStartPlan) -> int:
        model, correlation_id = self.models[plan.model], self.correlation_id(plan.id_offset)
        opened = open_sequences(self.session)
        if opened.is_open(model.name, correlation_id, self.session.clock()):
            raise Skip(f"the sequence of its id may still be open on {model.name}")
        was_left = opened.was_left(model.name, correlation_id)
        answered = answer_without_start(self.session, model, correlation_id, plan.value, end=False)
        if answered is None:
            return 1
        if was_left and answered.is_late(self.session):
            raise Skip(f"the server was busy: it may not have reclaimed the id's last sequence on {model.name}", 1)
        answered.report(self.session, model, correlation_id)
        raise ScenarioFailure(
            f"sequence {correlation_id} on {model.name}: {answered.got} was answered to {plan.value}, sent without "
            "START; it must get the START error",
            requests=1,
            got=answered.got,
            **evidence(model, correlation_id, plan.value),
        )
