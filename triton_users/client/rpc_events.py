"""Turns what the channel tells about each call into Locust's `request` event; knows no statistics and no sockets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import grpc
from gevent import GreenletExit
from locust.event import EventHook
from tritonclient.utils import InferenceServerException

from triton_users.client.stream_requests import Stray, StreamedCall, StreamRequests, end_of
from triton_users.ledger import Histogram, normalise
from triton_users.transport import CallError
from triton_users.transport.errors import ConnectFailure
from triton_users.transport.observer import StreamInfo

ENDED_EARLY = "the server ended the stream with OK, and had not answered the request"
ENDED_IDLE = "the server ended the stream with OK, while no request waited and more could have come"
EVIDENCE = "ModelStatistics"
"""What a scenario asks beside its own requests, while it waits for one: no traffic of it, so in none of its counts."""


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


class _Error(NamedTuple):
    """The first error that came for a request of a stream."""

    failure: RequestFailure
    wanted: bool
    """Whether it was wanted when it came."""
    response: Any


class Traced(Protocol):
    """The span of a unary RPC, or those of a stream and its requests (`client.tracing`)."""

    def request_ended(
        self,
        *,
        scenario: str,
        model: str,
        request_id: str,
        outcome: str,
        failure: RequestFailure | None,
        begun_s: float,
        ended_s: float,
        first_s: float | None = None,
        responses: int | None = None,
    ) -> None:
        """A request is over. `outcome`: `answered`, `expected`, `failed` or `unanswered`."""
        ...

    def stream_ended(self, error: CallError | None, *, by_us: bool, at_s: float) -> None:
        """The stream is over, not yet its requests that wait."""
        ...


class Tracing(Protocol):
    """Makes a user's spans (`client.tracing`)."""

    def taken(self, request: Any) -> Traced | None:
        """The span of a unary RPC with this request, once."""
        ...

    def interceptor(self, url: str, events: RpcEvents) -> Callable[[str, Any], Any]:
        """For `Channel.intercept` of a channel to `url`."""
        ...


class BusyWhenStopped(GreenletExit):
    """Ends a request that nobody waits for any more, to a server that was seen to be at work on others before it."""


class RpcEvents:
    """Fires `request` once for each unary RPC and each request of a stream. A `transport.CallObserver`.

    One belongs to one client, so to one user. The event gets, beside Locust's own arguments: `scenario`, `model` (""
    for RPCs that name none), `method` (the RPC's name), `queue_time_ms` (how long the request waited in this client
    for a connection or a stream), `request_length` (bytes) and `expected_error` (the error that was wanted, or None).
    A request of a stream is over with its final response. Its `response_time` is until its last response that is not
    an empty end, its `response` the newest of them, and where it was answered `measures` has, in microseconds, the
    time to its first response, those between responses (a histogram), and their number; `by_order` tells that its
    responses carried no id. A response that belongs to no request is an event of its own, with an exception.
    In an open loop the `response_time` of a run's first request is from when the run was due; `measures` then has the
    `service` time of each request, and of the first one its `issue_delay`.
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
        tracing: Tracing | None = None,
    ) -> None:
        """`tracing`: makes a span of each RPC and of each request of a stream."""
        self._fire: Callable[..., None] = request_event.fire
        self._unanswered = unanswered
        self._reconnected = reconnected
        self.tracing = tracing
        self._context = context
        self.scenario = ""
        """What the user is doing now: the first part of the rows' names; "" outside scenarios."""
        self.expected: Callable[[InferenceServerException], bool] | None = None
        """Says of an error whether it is wanted at the moment."""
        self.open_loop = False
        """Whether runs start when they are due, so that a request's service time is a measure beside its latency."""
        self.intended_s: float | None = None
        """When the run that goes on was to begin, in perf_counter seconds; None once its first request has ended."""

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
        traced = None if self.tracing is None else self.tracing.taken(request)
        request_id = "" if traced is None else getattr(request, "id", "")
        if error is not None:
            # The user was stopped in the middle of it, or gave it up (cancel, close); a `gevent.Timeout` is a failure.
            if isinstance(error.__cause__, GreenletExit) or (error.__cause__ is None and _by_us(error)):
                if started_s is not None:
                    busy = isinstance(error.__cause__, BusyWhenStopped)
                    self._gave_up(rpc, model, started_s, ended_s, traced, request_id, busy=busy)
                return
            # what had left by then, as far as anybody knows
            sent_bytes = 0 if started_s is None else getattr(request, "handed_over", sent_bytes)
        begun_s = called_s if started_s is None else started_s
        self._record(
            rpc, model, _failure(error), begun_s, ended_s, begun_s - called_s, sent_bytes, received_bytes, response,
            traced=traced, request_id=request_id,
        )  # fmt: skip

    def stream_sent(self, call: StreamInfo, request: Any, at_s: float, size: int) -> None:
        requests_of(call).sent(request.id, request.model_name, size, at_s)

    def stream_received(self, call: StreamInfo, response: Any, at_s: float, size: int) -> None:
        answer, error = response.infer_response, response.error_message
        empty, final = end_of(answer)
        requests = requests_of(call)
        owner = requests.received(answer.id, at_s, size, empty=empty, final=final, error=error)
        if isinstance(owner, Stray):
            failure = RequestFailure(None, str(owner))
            self._record(
                "ModelStreamInfer", owner.model, failure, at_s, at_s, 0.0, 0, size, response,
                traced=requests.traced, request_id=owner.request_id,
            )  # fmt: skip
            return
        if error and owner.error is error:
            failure = RequestFailure(None, error)
            owner.note = _Error(failure, self._is_wanted(failure), response)
        elif not isinstance(owner.note, _Error) and not (empty and owner.responses):
            owner.note = response
        if owner.over:
            self._stream_request_over(owner, requests.traced)

    def _stream_request_over(self, owner: StreamedCall, traced: Traced | None) -> None:
        begun_s, note = owner.last_s if owner.sent_s is None else owner.sent_s, owner.note
        sent, received = owner.sent_bytes, owner.received_bytes
        if isinstance(note, _Error):
            self._record(
                "ModelStreamInfer", owner.model, note.failure, begun_s, owner.last_s, 0.0, sent, received,
                note.response, wanted=note.wanted, traced=traced, request_id=owner.request_id,
            )  # fmt: skip
            return
        measures: dict[str, tuple[int, ...] | Histogram] = {"responses": (owner.responses,)}
        if owner.responses:
            measures["first_response"] = (int((owner.first_s - begun_s) * 1e6),)
            if owner.gaps is not None:
                measures["inter_response"] = owner.gaps
        self._record(
            "ModelStreamInfer", owner.model, None, begun_s, owner.ended_s, 0.0, sent, received, note,
            traced=traced, request_id=owner.request_id, measures=measures, by_order=owner.by_order,
        )  # fmt: skip

    def stream_done(self, call: StreamInfo, error: CallError | None, at_s: float) -> None:
        requests = requests_of(call)
        waiting, traced = requests.waiting(), requests.traced
        by_us = error is not None and _by_us(error)
        if traced is not None:
            traced.stream_ended(error, by_us=by_us, at_s=at_s)
        if by_us:
            for each in waiting:
                if isinstance(each.note, _Error):
                    self._stream_request_over(each, traced)  # what has failed stays so
                elif each.sent_s is not None:
                    self._gave_up("ModelStreamInfer", each.model, each.sent_s, at_s, traced, each.request_id)
            return
        failure = _failure(error) or RequestFailure(None, ENDED_EARLY if waiting else ENDED_IDLE)
        for each in waiting:
            why = failure
            if each.responses:
                more = f"; {each.responses} responses to request {each.request_id!r} had come, and no final one"
                why = RequestFailure(failure.status(), f"{failure.message()}{more}", failure.debug_details())
            begun_s = at_s if each.sent_s is None else each.sent_s
            self._record(
                "ModelStreamInfer", each.model, why, begun_s, at_s, 0.0, each.sent_bytes, each.received_bytes, None,
                traced=traced, request_id=each.request_id,
            )  # fmt: skip
        if waiting or (error is None and call.half_closed):
            return
        if not requests.taken or error is None or not error.outcome.local:
            # Nobody waited, so nobody else would say that the stream is no more.
            self._record("ModelStreamInfer", "", failure, at_s, at_s, 0.0, 0, 0, None, traced=traced)

    def never_sent(self, model: str, error: InferenceServerException) -> None:
        """A request was made for a stream that had ended before."""
        now_s = time.perf_counter()
        failure = RequestFailure(error.status(), error.message())
        self._record("ModelStreamInfer", model, failure, now_s, now_s, 0.0, 0, 0, None)

    def connection_opened(self, reason: str | None) -> None:
        if reason is not None and self._reconnected is not None:
            self._reconnected.fire(reason=reason)

    def _gave_up(
        self,
        rpc: str,
        model: str,
        begun_s: float,
        ended_s: float,
        traced: Traced | None,
        request_id: str,
        *,
        busy: bool = False,
    ) -> None:
        if traced is not None:
            traced.request_ended(
                scenario=self.scenario, model=model, request_id=request_id, outcome="unanswered", failure=None,
                begun_s=begun_s, ended_s=ended_s,
            )  # fmt: skip
        if self._unanswered is not None:
            waited_s = ended_s - begun_s
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
        wanted: bool | None = None,
        traced: Traced | None = None,
        request_id: str = "",
        **more: Any,
    ) -> None:
        """`wanted`: whether the failure is; None where that is what is expected now. `more`: see the class."""
        if failure is None:
            expected = None
        else:
            expected = failure if (self._is_wanted(failure) if wanted is None else wanted) else None
        if traced is not None:
            measures = more.get("measures", {})
            first = measures.get("first_response")
            traced.request_ended(
                scenario=self.scenario, model=model, request_id=request_id,
                outcome="answered" if failure is None else "failed" if expected is None else "expected",
                failure=failure, begun_s=begun_s, ended_s=ended_s,
                first_s=None if first is None else begun_s + first[0] / 1e6,
                responses=measures["responses"][0] if measures else None,
            )  # fmt: skip
        elapsed_s = ended_s - begun_s
        if self.open_loop:
            more["measures"] = measures = more.get("measures", {})
            measures["service"] = (int(elapsed_s * 1e6),)
            if self.intended_s is not None:
                measures["issue_delay"] = (max(0, int((begun_s - self.intended_s) * 1e6)),)
                elapsed_s, self.intended_s = ended_s - self.intended_s, None
        self._fire(
            request_type="grpc",
            name=row_name(self.scenario, model or rpc),
            response_time=elapsed_s * 1e3,
            response_length=received_bytes,
            response=response,
            context=self._context(),
            exception=None if expected else failure,
            start_time=time.time() - elapsed_s,
            url=None,
            scenario=self.scenario,
            model=model,
            method=rpc,
            queue_time_ms=queue_time_s * 1e3,
            request_length=sent_bytes,
            expected_error=expected,
            **more,
        )

    @contextmanager
    def hold(self) -> Iterator[list[dict[str, Any]]]:
        """Inside this block events wait, in the list, for its end; until then they may be changed."""
        held: list[dict[str, Any]] = []
        fire, self._fire = self._fire, lambda **event: held.append(event)
        try:
            yield held
        finally:
            self._fire = fire
            for event in held:
                fire(**event)

    def _is_wanted(self, failure: RequestFailure) -> bool:
        return self.expected is not None and self.expected(failure)


def requests_of(call: StreamInfo) -> StreamRequests:
    """The requests of a stream; made at the first call."""
    if call.note is None:
        call.note = StreamRequests()
    found: StreamRequests = call.note
    return found


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
