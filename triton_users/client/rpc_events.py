"""Turns what the channel tells about each call into Locust's `request` event; knows no statistics and no sockets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import grpc
from gevent import GreenletExit
from locust.event import EventHook
from tritonclient.utils import InferenceServerException

from triton_users.ledger import normalise
from triton_users.transport import CallError
from triton_users.transport.errors import ConnectFailure
from triton_users.transport.observer import StreamInfo

ENDED_EARLY = "the server ended the stream with OK, and had not answered the request"
ENDED_IDLE = "the server ended the stream with OK, while no request waited and more could have come"
EVIDENCE = "ModelStatistics"
"""What a scenario asks beside its own requests, while it waits for one: no traffic of it, so in none of its counts."""


class _Pending(NamedTuple):
    """A request that waits in a stream for its response."""

    sent_s: float
    """When it left, in perf_counter seconds."""
    request_id: str
    model: str
    size: int


class RequestFailure(InferenceServerException):  # type: ignore[misc]  # tritonclient ships no type information
    """A failed request as Locust shows it: failures with the same status and text share a row, whatever their ids."""

    def __init__(self, status: str | None, message: str, debug_details: str | None = None) -> None:
        super().__init__(msg=message, status=status, debug_details=debug_details)

    def __repr__(self) -> str:
        return normalise(str(self))

    @property
    def unreachable(self) -> bool:
        """Whether no connection could be made: what the channel says below gRPC, whatever its message is."""
        return str(self.debug_details()).startswith(f"{ConnectFailure.__name__}(")


class BusyWhenStopped(GreenletExit):
    """Ends a request that nobody waits for any more, to a server that was seen to be at work on others before it."""


class RpcEvents:
    """Fires `request` once for each unary RPC and once for each response of a stream. A `transport.CallObserver`.

    One belongs to one client, so to one user. The event gets, beside Locust's own arguments: `scenario`, `model` (""
    for RPCs that name none), `method` (the RPC's name), `queue_time_ms` (how long the request waited in this client
    for a connection or a stream), `request_length` (bytes) and `expected_error` (the error that was wanted, or None).
    Requests that nobody waits for any more, because the user was stopped, go to `unanswered`, which is fired as
    `events.RequestUnanswered` says; a connection that had to be made again goes to `reconnected`, as
    `events.Reconnected` says.
    """

    def __init__(
        self,
        request_event: EventHook,
        context: Callable[[], dict[str, Any]] = dict,
        unanswered: EventHook | None = None,
        reconnected: EventHook | None = None,
    ) -> None:
        self._fire: Callable[..., None] = request_event.fire
        self._unanswered = unanswered
        self._reconnected = reconnected
        self._context = context
        self.scenario = ""
        """What the user is doing now: the first part of the rows' names; "" outside scenarios."""
        self.expected: Callable[[InferenceServerException], bool] | None = None
        """Says of an error whether it is wanted at the moment."""

    def unary_done(
        self,
        method: str,
        request: Any,
        response: Any,
        error: CallError | None,
        called_s: float,
        started_s: float | None,
        ended_s: float,
        sent_bytes: int,
        received_bytes: int,
    ) -> None:
        rpc = method[method.rfind("/") + 1 :]
        if rpc == EVIDENCE and self.scenario:
            return
        model = request.model_name if rpc == "ModelInfer" else ""
        if error is not None:
            # The user was stopped in the middle of it, or gave it up (cancel, close); a `gevent.Timeout` is a failure.
            if isinstance(error.__cause__, GreenletExit) or (error.__cause__ is None and _by_us(error)):
                if started_s is not None:
                    busy = isinstance(error.__cause__, BusyWhenStopped)
                    self._gave_up(rpc, model, ended_s - started_s, busy=busy)
                return
            # what had left by then, as far as anybody knows
            sent_bytes = 0 if started_s is None else getattr(request, "handed_over", sent_bytes)
        begun_s = called_s if started_s is None else started_s
        self._record(
            rpc, model, _failure(error), begun_s, ended_s, begun_s - called_s, sent_bytes, received_bytes, response
        )

    def stream_sent(self, call: StreamInfo, request: Any, at_s: float, size: int) -> None:
        if call.note is None:
            call.note = _StreamTimes()
        call.note.sent(at_s, request.id, request.model_name, size)

    def stream_received(self, call: StreamInfo, response: Any, at_s: float, size: int) -> None:
        times: _StreamTimes | None = call.note
        if times is None:
            return  # a response nobody asked for; the stream's own end tells what became of it
        sent = times.answered(response.infer_response.id)
        failure = RequestFailure(None, response.error_message) if response.error_message else None
        self._record("ModelStreamInfer", sent.model, failure, sent.sent_s, at_s, 0.0, sent.size, size, response)

    def stream_done(self, call: StreamInfo, error: CallError | None, at_s: float) -> None:
        times: _StreamTimes | None = call.note
        waiting = times.unanswered() if times is not None else ()
        if error is not None and _by_us(error):
            for sent in waiting:
                self._gave_up("ModelStreamInfer", sent.model, at_s - sent.sent_s)
            return
        failure = _failure(error) or RequestFailure(None, ENDED_EARLY if waiting else ENDED_IDLE)
        for sent in waiting:
            self._record("ModelStreamInfer", sent.model, failure, sent.sent_s, at_s, 0.0, sent.size, 0, None)
        if waiting or (error is None and call.half_closed):
            return
        if times is None or error is None or not error.outcome.local:
            # Nobody waited, so nobody else would say that the stream is no more.
            self._record("ModelStreamInfer", "", failure, at_s, at_s, 0.0, 0, 0, None)

    def never_sent(self, model: str, error: InferenceServerException) -> None:
        """A request was made for a stream that had ended before."""
        now_s = time.perf_counter()
        failure = RequestFailure(error.status(), error.message())
        self._record("ModelStreamInfer", model, failure, now_s, now_s, 0.0, 0, 0, None)

    def connection_opened(self, reason: str | None) -> None:
        if reason is not None and self._reconnected is not None:
            self._reconnected.fire(reason=reason)

    def _gave_up(self, rpc: str, model: str, waited_s: float, *, busy: bool = False) -> None:
        if self._unanswered is not None:
            self._unanswered.fire(scenario=self.scenario, model=model, method=rpc, waited_s=waited_s, busy=busy)

    def _record(
        self,
        rpc: str,
        model: str,
        failure: RequestFailure | None,
        begun_s: float,
        ended_s: float,
        queue_time_s: float,
        sent_bytes: int,
        received_bytes: int,
        response: Any,
    ) -> None:
        elapsed_s = ended_s - begun_s
        wanted = failure if failure is not None and self.expected is not None and self.expected(failure) else None
        self._fire(
            request_type="grpc",
            name=row_name(self.scenario, model or rpc),
            response_time=elapsed_s * 1e3,
            response_length=received_bytes,
            response=response,
            context=self._context(),
            exception=None if wanted else failure,
            start_time=time.time() - elapsed_s,
            url=None,
            scenario=self.scenario,
            model=model,
            method=rpc,
            queue_time_ms=queue_time_s * 1e3,
            request_length=sent_bytes,
            expected_error=wanted,
        )


def row_name(scenario: str, subject: str) -> str:
    """The name of a row in Locust's statistics: the scenario, if there is one, and the model (or else the RPC)."""
    return f"{scenario} {subject}" if scenario else subject


def _by_us(error: CallError) -> bool:
    """Whether this client cancelled the call; a CANCELLED that somebody else sent is a failure."""
    return error.outcome.local and error.code() is grpc.StatusCode.CANCELLED


def _failure(error: CallError | None) -> RequestFailure | None:
    if error is None:
        return None
    return RequestFailure(str(error.code()), error.details() or "", error.debug_error_string())


class _StreamTimes:
    """Which requests of one stream wait for a response.

    Triton answers a stream in order, so a response belongs to the oldest request; an error carries no id at all. Only
    decoupled models answer a request more than once or out of turn: their responses are matched by the request's id,
    and one that finds no waiting request is one more answer to the last that was answered.
    """

    __slots__ = ("_last", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[_Pending] = deque()
        self._last = _Pending(0.0, "", "", 0)

    def sent(self, at_s: float, request_id: str, model: str, size: int) -> None:
        self._waiting.append(_Pending(at_s, request_id, model, size))

    def answered(self, request_id: str) -> _Pending:
        """The request this response answers; a further answer to the same request has sent no bytes of its own."""
        waiting = self._waiting
        if waiting and (not request_id or waiting[0].request_id == request_id):
            self._last = waiting.popleft()
            return self._last
        if request_id != self._last.request_id:
            for index, pending in enumerate(waiting):
                if pending.request_id == request_id:
                    del waiting[index]
                    self._last = pending
                    return pending
        return self._last._replace(size=0)

    def unanswered(self) -> tuple[_Pending, ...]:
        return tuple(self._waiting)
