"""From a plan as a report has it to the plan that a scenario runs, and the identity check as a play of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from triton_users.replay.case import Plan, Play
from triton_users.scenarios.base import Scenario, Session, Target
from triton_users.scenarios.calls import check_identity, draw_stretch
from triton_users.scenarios.crashing import CrashingPlan
from triton_users.scenarios.model_load import ModelPlan
from triton_users.scenarios.models import identity_models
from triton_users.scenarios.perf_analyzer import PerfAnalyzerPlan
from triton_users.scenarios.resnet import ResNetPlan
from triton_users.scenarios.sequence_no_start import NoStartPlan
from triton_users.scenarios.sequence_scenario import SequencePlan
from triton_users.scenarios.sequence_stream import Pause
from triton_users.scenarios.sequence_valid import BurstPlan
from triton_users.scenarios.timeout import Timeout, TimeoutPlan
from triton_users.settings import Settings, UsageError

IDENTITY = "Identity"
"""The play that is one of Timeout's identity checks alone."""


@dataclass(frozen=True)
class IdentityPlan:
    """One request to an identity model: a stretch of `calls.random_numbers`."""

    model: str
    start: int
    count: int


class Identity(Scenario):
    """One request, whose answer must be what was sent, bit by bit."""

    name = IDENTITY
    description = "one identity check"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.models = {each.name: each for each in identity_models(session.settings.trials, session.target.models)}
        self.prepare(session.shared, session.target, session.settings)
        self.numbers = session.shared["numbers"]

    @classmethod
    def prepare(cls, shared: dict[str, Any], target: Target, settings: Settings) -> None:
        """Draw the numbers that Timeout's checks send."""
        Timeout.prepare(shared, target, settings)

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        return "" if identity_models(settings.trials, target.models) else "no identity model is ready"

    def plan(self, draw: random.Random) -> IdentityPlan:
        raise NotImplementedError("it is made of a failure only")

    def run(self, plan: IdentityPlan) -> int:
        numbers = self.numbers[plan.start : plan.start + plan.count]
        check_identity(self.session, self.session.client, self.models[plan.model], numbers)
        return 1


_KINDS: tuple[tuple[str, type], ...] = (
    ("id_offsets", BurstPlan),
    ("sequences", SequencePlan),
    ("afterwards", TimeoutPlan),
    ("pictures", ResNetPlan),
    ("signal", CrashingPlan),
    ("option", PerfAnalyzerPlan),
    ("stream", ModelPlan),
    ("id_offset", NoStartPlan),
    ("start", IdentityPlan),
)
"""A field that no plan before it has -> the plan."""


def plan_of(plan: Plan) -> Any:
    """The scenario's own plan. UsageError when it is none that this version knows."""
    kind = next((kind for field, kind in _KINDS if field in plan), None)
    try:
        assert kind is not None
        return kind(**{name: _frozen(value) for name, value in plan.items()})
    except (AssertionError, TypeError):
        raise UsageError(f"this version knows no plan with the fields {', '.join(plan)}") from None


def _frozen(value: Any) -> Any:
    """Lists as tuples; a mapping is a pause, the only dataclass inside a plan."""
    if isinstance(value, dict):
        return Pause(**value)
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def identity_check_of(plan: Plan, check: int, target: Target, settings: Settings) -> Play:
    """The identity check of this number in a run of Timeout, alone."""
    draw, models = random.Random(plan["afterwards"]), identity_models(settings.trials, target.models)
    model, start, count = "", 0, 0
    for _ in range(check + 1):
        model, (start, count) = draw.choice(models).name, draw_stretch(draw)
    return Play(IDENTITY, {"model": model, "start": start, "count": count})
