"""SequenceValid: one sequence with START and END."""

from __future__ import annotations

import random

from triton_users.scenarios.sequence_scenario import SequencePlan, SequenceScenario


class SequenceValid(SequenceScenario):
    """Every answer must equal the model of the sequence."""

    name = "SequenceValid"
    description = "one sequence with START and END, every answer checked"

    def plan(self, draw: random.Random) -> SequencePlan:
        return self.draw_plan(draw, sequences=1)

    def run(self, plan: SequencePlan) -> int:
        return self.send(plan, last_ends=True)
