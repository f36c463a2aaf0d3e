"""Sequences over one stream of their own: sends them, checks each answer, ends the stream; decides nothing random.

All requests are handed over at once and the answers checked as they come. A client that waits for each answer before
the next request loses its sequence on a busy server: one that waits in the backlog for longer than the idle limit is
forgotten before its second request. Only a sequence that is to pause waits for its answers first: it has its slot then.

Triton answers a stream strictly in order, so an answer needs no matching; its request id is checked nevertheless, and
where several sequences share the stream it says whose answer it is.

Each run gets a stream of its own, as in Triton's stress test: after a failure nothing late can be taken for an answer
of the next sequence, and the server has to open and close streams all the time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from triton_users.client.client import DRAIN_S
from triton_users.scenarios.base import ScenarioFailure, Session, Skip
from triton_users.scenarios.calls import DEADLINE_EXCEEDED, START_ERROR
from triton_users.scenarios.open_sequences import open_sequences
from triton_users.scenarios.sequence_models import SequenceModel, expected_answers
from triton_users.scenarios.sequence_progress import Progress

GRACE_S = 2.0
"""How much longer than the stream's own deadline we wait for its end; only a defect of the client needs it."""

REQUESTS_AT_A_STRETCH = 256
"""Requests handed over before other users get a turn; about 10 ms."""

STEPS_SHOWN = 100
"""The last steps that a failure shows; a sequence of the default length has fewer than that."""

SILENCE_SHARE = 0.95
"""A server that was without a request of a sequence for longer than this part of its idle limit may have forgotten it.

What is measured is the longest it can have been, so the rest is only for clocks of two machines that run apart.
"""


@dataclass(frozen=True)
class Pause:
    """A moment in a sequence at which its client is silent."""

    before: int
    """The number of the request that it comes before, from 1."""
    share: float
    """How long it is, as a part of the idle limit."""


@dataclass(frozen=True)
class SequenceToSend:
    """One sequence with START, and with END if `end`."""

    correlation_id: int
    values: tuple[int, ...]
    end: bool = True


def run_sequence(
    session: Session,
    model: SequenceModel,
    correlation_id: int,
    values: tuple[int, ...],
    *,
    end: bool = True,
    pause: Pause | None = None,
) -> int:
    """Send one sequence with START, and with END if `end`; returns its number of requests.

    Raises ScenarioFailure unless each answer was what it must be, the stream ended well and all of it was in time; Skip
    when what went wrong proves nothing about the server. What the server may still hold is noted in the user's open
    sequences, however this ends.
    """
    return run_sequences(session, model, [SequenceToSend(correlation_id, values, end)], pause=pause)


def run_sequences(
    session: Session, model: SequenceModel, sequences: Sequence[SequenceToSend], *, pause: Pause | None = None
) -> int:
    """Send these sequences at the same time, a request of each in turn; else as `run_sequence`.

    `pause` is for one sequence alone.
    """
    opened = open_sequences(session)
    sent = _SentSequences(session, model, sequences, pause)
    passed = False
    try:
        sent.run()
        passed = True
    finally:
        now = session.clock()
        for each in sent.sequences:
            if passed and each.end:
                opened.ended(model.name, each.correlation_id)
            elif each.sent_s:
                opened.seen(model.name, each.correlation_id, now)
    return sent.sent


class _SentSequence:
    """One sequence on its way: what was sent and answered, and what must have been."""

    def __init__(self, model: SequenceModel, sequence: SequenceToSend) -> None:
        self.model = model
        self.correlation_id = sequence.correlation_id
        self.values = sequence.values
        self.end = sequence.end
        self.expected = expected_answers(self.values, model.datatype, model.accumulates)
        self.sent_s: list[float] = []
        """When each request was handed over."""
        self.got: list[Any] = []

    def flags(self, step: int) -> tuple[bool, bool]:
        """Whether the request carries START, and END."""
        return step == 0, self.end and step == len(self.values) - 1

    def wrong_answer(self) -> dict[str, Any]:
        """The last answer, as the signal for a wrong one tells it."""
        step = len(self.got) - 1
        return {
            "model": self.model.name,
            "correlation_id": self.correlation_id,
            "step": step,
            "expected": self.expected[step],
            "got": self.got[step],
            "steps": self.steps(),
        }

    def failure(self, what: str, **evidence: Any) -> ScenarioFailure:
        return ScenarioFailure(
            f"sequence {self.correlation_id} of {len(self.values)} requests on {self.model.name}: {what}",
            model=self.model.name,
            correlation_id=self.correlation_id,
            **evidence,
            steps=self.steps(),
        )

    def steps(self) -> list[tuple[str, int, int | float, Any]]:
        """(flags, value sent, expected, got) of the answers so far, at most the last STEPS_SHOWN."""
        steps = []
        for step in range(max(0, len(self.got) - STEPS_SHOWN), len(self.got)):
            flags = " ".join(name for name, is_set in zip(("START", "END"), self.flags(step), strict=True) if is_set)
            steps.append((flags, self.values[step], self.expected[step], self.got[step]))
        return steps


class _SentSequences:
    """The sequences of one stream on their way. `take` runs in the stream's reader, all else in the user's greenlet."""

    def __init__(
        self, session: Session, model: SequenceModel, sequences: Sequence[SequenceToSend], pause: Pause | None
    ) -> None:
        self._session = session
        self._model = model
        self._pause = pause
        self.sequences = [_SentSequence(model, sequence) for sequence in sequences]
        longest = max(len(each.values) for each in self.sequences)
        self._order = [(each, step) for step in range(longest) for each in self.sequences if step < len(each.values)]
        """Every request, in the order of sending; its place in it is its request id."""
        self._number = {(id(each), step): number for number, (each, step) in enumerate(self._order)}
        self._oldest = 0
        """The place of the oldest request without an answer: what an answer without an id belongs to."""
        self.sent = 0
        self._outcome: ScenarioFailure | Skip | None = None
        self._deadline_passed = False
        self._wrong: _SentSequence | None = None
        self._answers = 0
        """How many came, those after a wrong one included, which nobody judges any more."""
        self._awaited = pause.before if pause else len(self._order)
        """How many must come next; fewer once a failure has stopped the sending."""
        self._settled = threading.Event()
        """Set with the last answer that is awaited or the first failure."""
        self._drained = threading.Event()
        """Set when nothing is under way any more: with the last answer, or the stream's end."""
        self._abandoned = False

    def run(self) -> None:
        session, pause = self._session, self._pause
        pause_s = pause.share * session.settings.idle_limit_s if pause else 0.0
        limit_s = session.settings.sequence_timeout_ms / 1e3 + pause_s
        progress = Progress(session, self._model.name, [each.correlation_id for each in self.sequences])
        started = session.clock()
        over = False
        try:
            session.client.start_stream(self.take, stream_timeout=limit_s)
            self._send(self._awaited)
            self._wait(progress, started, limit_s)
            if pause is not None and self._outcome is None and self._answers >= self._awaited:
                self._be_silent(pause_s)
                self._awaited = len(self._order)
                self._settled.clear()
                self._drained.clear()
                self._send(self._awaited)
                self._wait(progress, started, limit_s)
            if self._wrong is not None:
                self._let_answers_come()
            if self._answers >= self._awaited:
                session.client.stop_stream()  # waits for the stream's status, at most until its deadline
                over = True
        except InferenceServerException as exc:
            if self._outcome is None:
                self._outcome = self._oldest_sequence().failure(f"the stream broke: {exc}")
                self._outcome.__cause__ = exc
        except BaseException:  # the user is stopped
            self._let_answers_come()
            raise
        finally:
            if not over:
                self._abandoned = True
                session.client.stop_stream(cancel_requests=True)
        elapsed_s = session.clock() - started
        if self._outcome is None and not over:
            each, step = self._order[self._oldest]
            self._outcome = each.failure(f"no answer to request {step} after {elapsed_s:.1f} s")
            self._deadline_passed = True
        if self._wrong is not None:
            session.signals.sequence_validation_failure(**self._wrong.wrong_answer())
        if self._deadline_passed:
            session.signals.deadline_exceeded(
                model=self._model.name, expected=False, elapsed_s=elapsed_s, limit_s=limit_s
            )
            begun = any(0 < len(each.got) < len(each.values) for each in self.sequences)
            if why := progress.busy(self._answers, begun):
                self._outcome = Skip(why)
        if self._outcome is not None:
            self._outcome.requests = self.sent
            raise self._outcome
        progress.answered()

    def _send(self, until: int) -> None:
        """Hand requests over, up to this place in the order."""
        model, client = self._model, self._session.client
        tensor = InferInput(model.input, list(model.shape), model.datatype)
        for each, step in self._order[self.sent : until]:
            start, end = each.flags(step)
            now = self._session.clock()
            client.async_stream_infer(
                model.name,
                [tensor.set_data_from_numpy(np.full(model.shape, each.values[step], model.dtype))],
                request_id=str(self.sent),
                sequence_id=each.correlation_id,
                sequence_start=start,
                sequence_end=end,
            )
            each.sent_s.append(now)
            self.sent += 1
            if self.sent % REQUESTS_AT_A_STRETCH == 0:
                self._session.sleep(1e-6)  # not 0, with which gevent looks at no socket for up to 50 turns
            if self._outcome is not None:
                return

    def _wait(self, progress: Progress, started: float, limit_s: float) -> None:
        """Wait for what is awaited, or the first failure; half-way to the limit, look at what the server does."""
        session = self._session
        if not self._settled.wait(max(0.0, started + limit_s / 2 - session.clock())):
            progress.look(self._answers)
            self._settled.wait(max(0.0, started + limit_s + GRACE_S - session.clock()))

    def _be_silent(self, pause_s: float) -> None:
        """Pause for that long, or as long as the server cannot have forgotten the sequence yet."""
        (each,) = self.sequences
        silent_s = self._session.clock() - each.sent_s[-1]
        left_s = SILENCE_SHARE * self._session.settings.idle_limit_s - silent_s
        if left_s > 0:
            self._session.sleep(min(pause_s, left_s))

    def _let_answers_come(self) -> None:
        """Wait until nothing is under way, for at most DRAIN_S: after a wrong answer, or when the user is stopped."""
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
        if self._outcome is None:
            if ended:
                self._judge_end(error)
            else:
                self._judge(result, error)
        if self._outcome is not None:
            self._settled.set()
        if ended:
            self._drained.set()
        self._look_for_the_last()

    def _look_for_the_last(self) -> None:
        if self._answers >= self._awaited:
            self._settled.set()
            self._drained.set()

    def _judge_end(self, error: InferenceServerException | None) -> None:
        """The stream has ended, which only we may do."""
        self._deadline_passed = error is not None and error.status() == DEADLINE_EXCEEDED
        if self._oldest < len(self._order):
            each, step = self._order[self._oldest]
            self._outcome = each.failure(f"no answer to request {step}: {error}")
        else:
            self._outcome = self.sequences[-1].failure(f"all answers came, then the stream ended with {error}")

    def _judge(self, result: Any, error: InferenceServerException | None) -> None:
        each, step, got = self._read(result, error)
        if each is None:
            self._outcome = self.sequences[-1].failure(f"more answers than requests: {got}")
            return
        each.got.append(got)
        while self._oldest < len(self._order) and self._is_answered(*self._order[self._oldest]):
            self._oldest += 1
        expected = each.expected[step]
        if got == expected:
            return
        if error is None:
            what = f"answer {step} is {got}, not {expected}"
        elif START_ERROR not in str(error):
            what = f"answer {step} is an error, not {expected}: {error}"
        elif (silent_s := self._silence_s(each, step)) > SILENCE_SHARE * self._session.settings.idle_limit_s:
            self._outcome = Skip("the idle limit was over before the server had the sequence's next request")
            return
        else:
            after = f"{silent_s:.2f} s after the request before"
            what = f"answer {step} is the START error, not {expected}, {after}: {error}"
        self._wrong = each
        self._outcome = each.failure(what, step=step, expected=expected, got=got)

    def _read(self, result: Any, error: InferenceServerException | None) -> tuple[_SentSequence | None, int, Any]:
        """Whose answer it is, to which of its requests, and the number answered, or a text that says why it is none."""
        if error is not None:
            if self._oldest >= len(self._order):
                return None, 0, error
            return *self._order[self._oldest], f"error: {error}"
        answered_id = result.get_response().id
        each = self._answered_by(answered_id)
        if each is None:
            if self._oldest >= len(self._order):
                return None, 0, f"one to request {answered_id!r}"
            return *self._order[self._oldest], f"an answer to request {answered_id!r}"
        answer = result.as_numpy(self._model.output)
        if answer is None:
            got: Any = f"no tensor {self._model.output}"
        elif answer.shape != self._model.shape or answer.dtype != self._model.dtype:
            got = f"a tensor of type {answer.dtype} and shape {answer.shape}"
        else:
            got = answer.item()
        return each, len(each.got), got

    def _answered_by(self, request_id: str) -> _SentSequence | None:
        """The sequence whose next answer carries this id; None when it is nobody's."""
        for each in self.sequences:
            if str(self._number.get((id(each), len(each.got)))) == request_id:
                return each
        return None

    def _is_answered(self, each: _SentSequence, step: int) -> bool:
        return step < len(each.got)

    def _silence_s(self, each: _SentSequence, step: int) -> float:
        """The longest that the server can have been without a request of the sequence before this one, in seconds."""
        if step == 0:
            return 0.0
        now = self._session.clock()
        if self._pause is not None and step >= self._pause.before:
            return now - each.sent_s[self._pause.before - 1]
        sent_s = each.sent_s[step] if step < len(each.sent_s) else now
        return sent_s - each.sent_s[step - 1]

    def _oldest_sequence(self) -> _SentSequence:
        return self._order[min(self._oldest, len(self._order) - 1)][0]
