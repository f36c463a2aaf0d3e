"""SequenceValidNoEnd: a full sequence, then one without END with the same id."""

from __future__ import annotations

import random

from triton_users.scenarios.sequence_scenario import SequencePlan, SequenceScenario


class SequenceValidNoEnd(SequenceScenario):
    """The id stays open on the server afterwards; a later sequence with it must start afresh all the same."""

    name = "SequenceValidNoEnd"
    description = "a full sequence, then one without END with the same id, which stays open"

    def plan(self, draw: random.Random) -> SequencePlan:
        return self.draw_plan(draw, sequences=2)

    def run(self, plan: SequencePlan) -> int:
        return self.send(plan, last_ends=False)
