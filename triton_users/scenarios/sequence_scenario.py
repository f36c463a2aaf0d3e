"""What the five sequence scenarios have in common: the choice of a model and an id, and how plans name them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import zip_longest

from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Skip, Target
from triton_users.scenarios.correlation_ids import draw_offset
from triton_users.scenarios.models import how_to_get_a_sequence_model
from triton_users.scenarios.sequence_models import draw_values, sequence_models
from triton_users.scenarios.sequence_stream import Pause, run_sequence
from triton_users.settings import Settings

PAUSE_SHARES = (0.1, 0.8)
"""The shortest and the longest pause in a sequence, as parts of the idle limit: after it the server must remember."""


@dataclass(frozen=True)
class SequencePlan:
    """Sequences to send one after the other, all with one id."""

    model: str
    id_offset: int
    """The correlation id, counted from the start of the user's block; so a plan does not depend on the run's blocks."""
    sequences: tuple[tuple[int, ...], ...]
    """The values of each."""
    pauses: tuple[Pause | None, ...] = ()
    """Where each pauses, in their order; those beyond the last entry do not."""


class SequenceScenario(Scenario):
    """One or two sequences on one model with one id."""

    waits_for_a_slot = True

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        settings, ready = session.settings, session.target.models
        found = sequence_models(settings.trials, ready, reference_datatypes=settings.reference_datatypes)
        self.models = {model.name: model for model in found}

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
        model, id_offset = draw.choice(tuple(self.models)), draw_offset(draw)
        return self.draw_sequences(draw, model, id_offset, sequences)

    def draw_sequences(self, draw: random.Random, model: str, id_offset: int, sequences: int) -> SequencePlan:
        """A plan of so many sequences on this model with this id, some of which pause."""
        values = tuple(self.draw_values(draw) for _ in range(sequences))
        return SequencePlan(model, id_offset, values, tuple(self._draw_pause(draw, len(each)) for each in values))

    def draw_values(self, draw: random.Random) -> tuple[int, ...]:
        settings = self.session.settings
        return draw_values(draw, settings.sequence_length_mean, settings.sequence_length_stdev)

    def _draw_pause(self, draw: random.Random, length: int) -> Pause | None:
        if draw.random() >= self.session.settings.pause_share or length < 2:
            return None
        return Pause(draw.randrange(1, length), draw.uniform(*PAUSE_SHARES))

    def send(self, plan: SequencePlan, *, last_ends: bool) -> int:
        """Send the plan's sequences, each with START and, but for the last one if not `last_ends`, with END."""
        model, correlation_id = self.models[plan.model], self.correlation_id(plan.id_offset)
        requests = 0
        for number, (values, pause) in enumerate(zip_longest(plan.sequences, plan.pauses), start=1):
            end = last_ends or number < len(plan.sequences)
            try:
                requests += run_sequence(self.session, model, correlation_id, values, end=end, pause=pause)
            except (ScenarioFailure, Skip) as stopped:
                stopped.requests += requests
                raise
        return requests
