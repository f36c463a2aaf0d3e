"""Single requests as scenarios send them: under a limit, their deadlines told; judges no answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import Client, ScenarioFailure, Session
from triton_users.scenarios.models import IdentityModel

DEADLINE_EXCEEDED = "StatusCode.DEADLINE_EXCEEDED"

START_ERROR = "must specify the START flag on the first request of the sequence"
"""What Triton says to a request of a sequence that it does not know, in the middle of its error."""


def infer(session: Session, client: Client, model: str, inputs: list[Any], **kwargs: Any) -> Any:
    """`client.infer` under the run's request timeout. InferenceServerException as from the client."""
    limit_s = session.settings.request_timeout_ms / 1e3
    started = session.clock()
    try:
        return client.infer(model, inputs, client_timeout=limit_s, **kwargs)
    except InferenceServerException as exc:
        if exc.status() == DEADLINE_EXCEEDED:
            elapsed_s = session.clock() - started
            session.signals.deadline_exceeded(model=model, expected=False, elapsed_s=elapsed_s, limit_s=limit_s)
        raise


def check_identity(session: Session, client: Client, model: IdentityModel, values: Sequence[float]) -> None:
    """Send these numbers, which FP32 holds exactly, to an identity model. ScenarioFailure unless they come back."""
    sent = np.array(values, dtype=np.float32).reshape(model.shape(len(values)))
    tensor = InferInput(model.input, list(sent.shape), "FP32").set_data_from_numpy(sent)
    try:
        answer = infer(session, client, model.name, [tensor]).as_numpy(model.output)
    except InferenceServerException as exc:
        raise ScenarioFailure(f"{model.name} did not answer a small request: {exc}", model=model.name) from exc
    if answer is None or answer.dtype != sent.dtype or not np.array_equal(answer, sent):
        raise ScenarioFailure(
            f"{model.name} answered {'no ' + model.output if answer is None else answer.tolist()!s:.500} "
            f"to {sent.tolist()}",
            model=model.name,
            sent=sent.tolist(),
        )
