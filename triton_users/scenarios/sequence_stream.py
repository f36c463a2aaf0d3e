"""One sequence over one stream of its own: sends it, checks each answer, ends the stream; decides nothing random.

All requests are handed over at once and the answers checked as they come. A client that waits for each answer before
the next request loses its sequence on a busy server: one that waits in the backlog for longer than the idle limit is
forgotten before its second request. Triton answers a stream strictly in order, so the answers need no matching; their
request ids are checked nevertheless.

Each sequence gets a stream of its own, as in Triton's stress test: after a failure nothing late can be taken for an
answer of the next sequence, and the server has to open and close streams all the time.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import ScenarioFailure, Session
from triton_users.scenarios.calls import DEADLINE_EXCEEDED
from triton_users.scenarios.open_sequences import open_sequences
from triton_users.scenarios.sequence_models import SequenceModel, expected_answers

GRACE_S = 2.0
"""How much longer than the stream's own deadline we wait for its end; only a defect of the client needs it."""

DRAIN_S = 2.0
"""How long the answers to what is already under way are awaited before they are cancelled, after a wrong answer or when
the user is stopped.

Triton 2.51 can crash when requests of a stream are cancelled (issues 7368 and 8034 of its server, mended in later
releases): that must neither hide what was found nor be how a run ends.
"""

REQUESTS_AT_A_STRETCH = 256
"""Requests handed over before other users get a turn; about 10 ms."""

STEPS_SHOWN = 100
"""The last steps that a failure shows; a sequence of the default length has fewer than that."""


def run_sequence(
    session: Session, model: SequenceModel, correlation_id: int, values: tuple[int, ...], *, end: bool = True
) -> int:
    """Send one sequence with START, and with END if `end`; returns its number of requests.

    Raises ScenarioFailure unless each answer was what it must be, the stream ended well and all of it was in time.
    What the server may still hold is noted in the user's open sequences, however this ends.
    """
    opened = open_sequences(session)
    sent_sequence = _SentSequence(session, model, correlation_id, values, end)
    ended = False
    try:
        sent_sequence.run()
        ended = end
    finally:
        if ended:
            opened.ended(model.name, correlation_id)
        elif sent_sequence.sent:
            opened.seen(model.name, correlation_id, session.clock())
    return sent_sequence.sent


class _SentSequence:
    """The state of one sequence on its way. `take` runs in the stream's reader, all else in the user's greenlet."""

    def __init__(
        self, session: Session, model: SequenceModel, correlation_id: int, values: tuple[int, ...], end: bool
    ) -> None:
        self._session = session
        self._model = model
        self._correlation_id = correlation_id
        self._values = values
        self._end = end
        self._expected = expected_answers(values, model.datatype, model.accumulates)
        self.sent = 0
        self._got: list[Any] = []
        self._failure: ScenarioFailure | None = None
        self._deadline_passed = False
        self._wrong_answer: dict[str, Any] | None = None
        self._answers = 0
        """How many came, those after a wrong one included, which nobody judges any more."""
        self._awaited = len(values)
        """How many must come; fewer once a failure has stopped the sending."""
        self._settled = threading.Event()
        """Set with the last answer or the first failure."""
        self._drained = threading.Event()
        """Set when nothing is under way any more: with the last answer, or the stream's end."""
        self._abandoned = False

    def run(self) -> None:
        session = self._session
        limit_s = session.settings.sequence_timeout_ms / 1e3
        started = session.clock()
        over = False
        try:
            session.client.start_stream(self.take, stream_timeout=limit_s)
            self._send()
            self._settled.wait(max(0.0, started + limit_s + GRACE_S - session.clock()))
            if self._wrong_answer is not None:
                self._let_answers_come()
            if self._answers >= self._awaited:
                session.client.stop_stream()  # waits for the stream's status, at most until its deadline
                over = True
        except InferenceServerException as exc:
            if self._failure is None:
                self._failure = self._fail(f"the stream broke: {exc}")
                self._failure.__cause__ = exc
        except BaseException:  # the user is stopped
            self._let_answers_come()
            raise
        finally:
            if not over:
                self._abandoned = True
                session.client.stop_stream(cancel_requests=True)
        elapsed_s = session.clock() - started
        if self._failure is None and not over:
            self._failure = self._fail(f"no answer to request {len(self._got)} after {elapsed_s:.1f} s")
        if self._wrong_answer is not None:
            session.signals.sequence_validation_failure(**self._wrong_answer)
        if self._deadline_passed:
            session.signals.deadline_exceeded(
                model=self._model.name, expected=False, elapsed_s=elapsed_s, limit_s=limit_s
            )
        if self._failure is not None:
            self._failure.requests = self.sent
            raise self._failure

    def _send(self) -> None:
        model = self._model
        tensor = InferInput(model.input, list(model.shape), model.datatype)
        last = len(self._values) - 1
        for step, value in enumerate(self._values):
            self._session.client.async_stream_infer(
                model.name,
                [tensor.set_data_from_numpy(np.full(model.shape, value, model.dtype))],
                request_id=str(step),
                sequence_id=self._correlation_id,
                sequence_start=step == 0,
                sequence_end=self._end and step == last,
            )
            self.sent += 1
            if self.sent % REQUESTS_AT_A_STRETCH == 0:
                self._session.sleep(1e-6)  # not 0, with which gevent looks at no socket for up to 50 turns
            if self._failure is not None:
                return

    def _let_answers_come(self) -> None:
        """Wait until nothing is under way, for at most DRAIN_S."""
        self._awaited = self.sent
        self._look_for_the_last()
        self._drained.wait(DRAIN_S)

    def take(self, result: Any, error: InferenceServerException | None) -> None:
        """The stream's callback: judge the next answer. Never raises, since that would end the stream's reader."""
        if self._abandoned:
            return
        ended = error is not None and error.status() is not None  # this is the stream's status, not an answer
        if not ended:
            self._answers += 1
        if self._failure is None:
            self._judge(result, error, ended)
        if self._failure is not None:
            self._settled.set()
        if ended:
            self._drained.set()
        self._look_for_the_last()

    def _look_for_the_last(self) -> None:
        if self._answers >= self._awaited:
            self._settled.set()
            self._drained.set()

    def _judge(self, result: Any, error: InferenceServerException | None, ended: bool) -> None:
        step = len(self._got)
        if ended:
            self._deadline_passed = error is not None and error.status() == DEADLINE_EXCEEDED
            self._failure = self._fail(f"no answer to request {step}: {error}")
        elif step == len(self._values):
            self._failure = self._fail(f"more answers than requests: {error or self._read(result, step - 1)}")
        else:
            got = f"error: {error}" if error is not None else self._read(result, step)
            self._got.append(got)
            if got != self._expected[step]:
                self._wrong(step, got)

    def _read(self, result: Any, step: int) -> Any:
        """The number answered, or a text that says why it is none."""
        answered_id = result.get_response().id
        if answered_id != str(step):
            return f"an answer to request {answered_id!r}"
        answer = result.as_numpy(self._model.output)
        if answer is None:
            return f"no tensor {self._model.output}"
        if answer.shape != self._model.shape or answer.dtype != self._model.dtype:
            return f"a tensor of type {answer.dtype} and shape {answer.shape}"
        return answer.item()

    def _wrong(self, step: int, got: Any) -> None:
        expected = self._expected[step]
        self._wrong_answer = {
            "model": self._model.name,
            "correlation_id": self._correlation_id,
            "step": step,
            "expected": expected,
            "got": got,
            "steps": self._steps(),
        }
        self._failure = self._fail(f"answer {step} is {got}, not {expected}", step=step, expected=expected, got=got)

    def _fail(self, what: str, **evidence: Any) -> ScenarioFailure:
        return ScenarioFailure(
            f"sequence {self._correlation_id} of {len(self._values)} requests on {self._model.name}: {what}",
            model=self._model.name,
            correlation_id=self._correlation_id,
            **evidence,
            steps=self._steps(),
        )

    def _steps(self) -> list[tuple[str, int, int | float, Any]]:
        """(flags, value sent, expected, got) of the answers so far, at most the last STEPS_SHOWN."""
        last = len(self._values) - 1
        steps = []
        for step in range(max(0, len(self._got) - STEPS_SHOWN), len(self._got)):
            flags = " ".join(
                name for name, is_set in (("START", step == 0), ("END", self._end and step == last)) if is_set
            )
            steps.append((flags, self._values[step], self._expected[step], self._got[step]))
        return steps
