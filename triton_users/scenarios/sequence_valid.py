"""SequenceValid: one sequence with START and END, or a burst of such."""

from __future__ import annotations

import random
from dataclasses import dataclass

from triton_users.scenarios.correlation_ids import BURST_OFFSETS
from triton_users.scenarios.sequence_scenario import SequencePlan, SequenceScenario
from triton_users.scenarios.sequence_stream import SequenceToSend, run_sequences


@dataclass(frozen=True)
class BurstPlan:
    """Sequences to send at the same time."""

    model: str
    id_offsets: tuple[int, ...]
    """The correlation id of each, counted from the start of the user's block."""
    sequences: tuple[tuple[int, ...], ...]
    """The values of each."""


class SequenceValid(SequenceScenario):
    """Every answer must equal the model of the sequence.

    Part of the runs on models that batch are bursts. Users that each send one sequence hardly ever meet in a batch:
    they filled 39 of 2,293; a burst of eight fills nearly all of its own. So answers mixed up inside a batch show.
    """

    name = "SequenceValid"
    description = "one sequence with START and END, or a burst of them, every answer checked"

    def plan(self, draw: random.Random) -> SequencePlan | BurstPlan:
        plan = self.draw_plan(draw, sequences=1)
        settings = self.session.settings
        if draw.random() >= settings.burst_share or not self.models[plan.model].batches:
            return plan
        more = (self.draw_values(draw) for _ in range(settings.burst_sequences - 1))
        id_offsets = tuple(draw.sample(BURST_OFFSETS, settings.burst_sequences))
        return BurstPlan(plan.model, id_offsets, (*plan.sequences, *more))

    def run(self, plan: SequencePlan | BurstPlan) -> int:
        if isinstance(plan, SequencePlan):
            return self.send(plan, last_ends=True)
        burst = zip(map(self.correlation_id, plan.id_offsets), plan.sequences, strict=True)
        return run_sequences(self.session, self.models[plan.model], [SequenceToSend(*each) for each in burst])
