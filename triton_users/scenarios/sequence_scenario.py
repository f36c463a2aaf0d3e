"""What the five sequence scenarios have in common: the choice of a model and an id, and how plans name them."""

from __future__ import annotations

import random
from dataclasses import dataclass

from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Target
from triton_users.scenarios.correlation_ids import draw_offset
from triton_users.scenarios.models import how_to_get_a_sequence_model
from triton_users.scenarios.sequence_models import draw_values, sequence_models
from triton_users.scenarios.sequence_stream import run_sequence
from triton_users.settings import Settings


@dataclass(frozen=True)
class SequencePlan:
    """Sequences to send one after the other, all with one id."""

    model: str
    id_offset: int
    """The correlation id, counted from the start of the user's block; so a plan does not depend on the run's blocks."""
    sequences: tuple[tuple[int, ...], ...]
    """The values of each."""


class SequenceScenario(Scenario):
    """One or two sequences on one model with one id."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.models = {m.name: m for m in sequence_models(session.settings.trials, session.target.models)}

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        if sequence_models(settings.trials, target.models):
            return ""
        return (
            f"no sequence model of the trials {', '.join(settings.trials)} is ready on the server; "
            f"{how_to_get_a_sequence_model(settings.trials)}, or give {cls.name} weight 0"
        )

    def correlation_id(self, offset: int) -> int:
        return self.session.correlation_ids[offset]

    def draw_plan(self, draw: random.Random, sequences: int) -> SequencePlan:
        settings = self.session.settings
        return SequencePlan(
            model=draw.choice(tuple(self.models)),
            id_offset=draw_offset(draw),
            sequences=tuple(
                draw_values(draw, settings.sequence_length_mean, settings.sequence_length_stdev)
                for _ in range(sequences)
            ),
        )

    def send(self, plan: SequencePlan, *, last_ends: bool) -> int:
        """Send the plan's sequences, each with START and, but for the last one if not `last_ends`, with END."""
        model, correlation_id = self.models[plan.model], self.correlation_id(plan.id_offset)
        requests = 0
        for number, values in enumerate(plan.sequences, start=1):
            end = last_ends or number < len(plan.sequences)
            try:
                requests += run_sequence(self.session, model, correlation_id, values, end=end)
            except ScenarioFailure as failure:
                failure.requests += requests
                raise
        return requests
