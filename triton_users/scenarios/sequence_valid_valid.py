"""SequenceValidValid: two full sequences back to back with the same id."""

from __future__ import annotations

import random

from triton_users.scenarios.sequence_scenario import SequencePlan, SequenceScenario


class SequenceValidValid(SequenceScenario):
    """The second sequence must not see what the first one left."""

    name = "SequenceValidValid"
    description = "two full sequences back to back with one id; the second must not see the first's state"

    def plan(self, draw: random.Random) -> SequencePlan:
        return self.draw_plan(draw, sequences=2)

    def run(self, plan: SequencePlan) -> int:
        return self.send(plan, last_ends=True)
