"""One request without START and what came of it: the server must refuse it, unless the sequence is open there."""

from __future__ import annotations

from typing import Any

import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import ScenarioFailure, Session
from triton_users.scenarios.calls import START_ERROR, infer
from triton_users.scenarios.open_sequences import open_sequences
from triton_users.scenarios.sequence_models import SequenceModel


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
