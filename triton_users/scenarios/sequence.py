"""What the five sequence scenarios have in common: the choice of a model and an id, and how plans name them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Target
from triton_users.scenarios.calls import START_ERROR, infer
from triton_users.scenarios.models import SequenceModel, how_to_get_a_sequence_model, sequence_models
from triton_users.scenarios.sequences import draw_offset, draw_values
from triton_users.scenarios.streaming import open_sequences, run_sequence
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


def answer_without_start(
    session: Session, model: SequenceModel, correlation_id: int, value: int, *, end: bool
) -> int | float | None:
    """Send one request without START and return what was answered; None if it was refused with the START error.

    `end` sets END, which makes a server that took the request give its slot back. ScenarioFailure for any other error.
    """
    tensor = InferInput(model.input, list(model.shape), model.datatype)
    tensor.set_data_from_numpy(np.full(model.shape, value, model.dtype))

    def is_start_error(error: Exception) -> bool:
        text = str(error)
        return START_ERROR in text and f"sequence {correlation_id} to model '{model.name}'" in text

    try:
        with session.client.expect_error(is_start_error):
            result = infer(session, session.client, model.name, [tensor], sequence_id=correlation_id, sequence_end=end)
    except InferenceServerException as exc:
        if is_start_error(exc):
            return None
        raise ScenarioFailure(
            f"sequence {correlation_id} on {model.name}: a request without START got another error than the START "
            f"error: {exc}",
            requests=1,
            **evidence(model, correlation_id, value),
        ) from exc
    if not end:
        open_sequences(session).seen(model.name, correlation_id, session.clock())
    answer = result.as_numpy(model.output)
    got: int | float = answer.item() if answer is not None and answer.size == 1 else float("nan")
    session.signals.sequence_validation_failure(
        model=model.name,
        correlation_id=correlation_id,
        step=0,
        expected="the START error",
        got=got,
        steps=[("END" if end else "", value, "the START error", got)],
    )
    return got


def evidence(model: SequenceModel, correlation_id: int, value: int) -> dict[str, Any]:
    return {"model": model.name, "correlation_id": correlation_id, "value": value}
