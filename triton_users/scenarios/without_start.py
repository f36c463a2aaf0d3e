"""One request without START and what came of it: the server must refuse it, unless the sequence is open there."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import ScenarioFailure, Session
from triton_users.scenarios.calls import DEADLINE_EXCEEDED, START_ERROR, infer
from triton_users.scenarios.open_sequences import open_sequences
from triton_users.scenarios.sequence_models import SequenceModel

DECOUPLED_ERROR = "doesn't support models with decoupled transaction policy"
"""What Triton says to any unary request for a model that may answer one request more than once, or not at all."""


@dataclass(frozen=True)
class Answered:
    """The server took the request for a sequence's next."""

    got: int | float
    """What it answered."""
    took_s: float
    """How long that took, in seconds."""
    steps: list[tuple[str, int, str, int | float]]

    def is_late(self, session: Session) -> bool:
        """Whether the server was so slow that it may not have come round to reclaim a sequence whose time was over.

        It needs a moment of CPU for that, and has the idle margin to find one; whoever gets no CPU for that long also
        takes long to answer.
        """
        return self.took_s > session.settings.idle_margin_s / 2

    def report(self, session: Session, model: SequenceModel, correlation_id: int) -> None:
        """Fire the signal for a wrong answer."""
        session.signals.sequence_validation_failure(
            model=model.name,
            correlation_id=correlation_id,
            step=0,
            expected="the START error",
            got=self.got,
            steps=self.steps,
        )


def answer_without_start(
    session: Session, model: SequenceModel, correlation_id: int, value: int, *, end: bool
) -> Answered | None:
    """Send one request without START; None if it was refused with the START error, as it must be.

    `end` sets END, which makes a server that took the request give its slot back. ScenarioFailure for any other error.
    """
    tensor = InferInput(model.input, list(model.shape), model.datatype)
    tensor.set_data_from_numpy(np.full(model.shape, value, model.dtype))
    started = session.clock()

    def is_start_error(error: Exception) -> bool:
        text = str(error)
        return START_ERROR in text and f"sequence {correlation_id} to model '{model.name}'" in text

    try:
        result = _answer(session, model, tensor, is_start_error, sequence_id=correlation_id, sequence_end=end)
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
    return Answered(got, session.clock() - started, [("END" if end else "", value, "the START error", got)])


def evidence(model: SequenceModel, correlation_id: int, value: int) -> dict[str, Any]:
    return {"model": model.name, "correlation_id": correlation_id, "value": value}


def _answer(session: Session, model: SequenceModel, tensor: InferInput, wanted: Any, **kwargs: Any) -> Any:
    """The answer to one request, over a stream where the model is only served over streams."""
    decoupled: set[str] = session.shared.setdefault("decoupled models", set())
    client = session.client
    if model.name not in decoupled:
        try:
            with client.expect_error(lambda error: wanted(error) or DECOUPLED_ERROR in str(error)):
                return infer(session, client, model.name, [tensor], **kwargs)
        except InferenceServerException as exc:
            if DECOUPLED_ERROR not in str(exc):
                raise
            decoupled.add(model.name)
    with client.expect_error(wanted):
        return _infer_over_stream(session, model.name, tensor, **kwargs)


def _infer_over_stream(session: Session, model: str, tensor: InferInput, **kwargs: Any) -> Any:
    """The first answer to one request over a stream of its own. InferenceServerException for an error."""
    limit_s = session.settings.request_timeout_ms / 1e3
    started = session.clock()
    answers: list[tuple[Any, InferenceServerException | None]] = []
    came = threading.Event()

    def take(result: Any, error: InferenceServerException | None) -> None:
        answers.append((result, error))
        came.set()

    session.client.start_stream(take, stream_timeout=limit_s)
    try:
        session.client.async_stream_infer(model, [tensor], **kwargs)
        came.wait(limit_s + 1.0)  # the stream's own deadline ends it sooner
    finally:
        session.client.drain_stream()
    result, error = answers[0] if answers else (None, InferenceServerException("no answer", DEADLINE_EXCEEDED))
    if error is None:
        return result
    if error.status() == DEADLINE_EXCEEDED:
        elapsed_s = session.clock() - started
        session.signals.deadline_exceeded(model=model, expected=False, elapsed_s=elapsed_s, limit_s=limit_s)
    raise error
