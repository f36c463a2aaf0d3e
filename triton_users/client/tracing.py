"""A span of each RPC and of each request of a stream, with OpenTelemetry. Imported only where Locust's `--otel` is on.

Attributes are those of OpenTelemetry's conventions for gRPC, 1.44 (https://opentelemetry.io/docs/specs/semconv/rpc),
Triton's own (`triton.model_name`, `triton.request_id`) and ours. Exporters are none of this module's business.

The `traceparent` of a unary RPC is its span's. A stream has one for all its requests, since metadata are sent once: so
the stream has a span of its own, and each request one in a trace of its own, linked to the stream's. As children they
would make one endless trace of a user's stream, and all be sampled or none.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from importlib.metadata import version
from time import perf_counter, time_ns
from typing import Any, Final

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode

from triton_users.client.rpc_events import EVIDENCE, RequestFailure, RpcEvents, requests_of
from triton_users.transport import CallError
from triton_users.transport.target import parse_target

SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"
OF_A_REQUEST: Final = " request"
"""Behind the name of a stream's RPC: the name of the span of one of its requests."""
MAX_TEXT: Final = 300
"""Characters of an error's message that a span has."""

Metadata = Iterable[tuple[str, "str | bytes"]]


def new_tracing() -> UserTracing | None:
    """For one user, with the process's tracer provider; None where that exports nothing."""
    if os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none":
        return None
    tracer = trace.get_tracer("triton_users", version("triton-users"), schema_url=SCHEMA)
    return None if isinstance(tracer, trace.NoOpTracer) else UserTracing(tracer)


class UserTracing:
    """Makes the spans of one user. A `rpc_events.Tracing`."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self.tracer = tracer
        self._unary: dict[int, UnarySpan] = {}
        """By the identity of the request, of those that are under way: nothing else knows a call at both its ends."""

    def taken(self, request: Any) -> UnarySpan | None:
        return self._unary.pop(id(request), None)

    def began(self, request: Any, span: Span) -> None:
        """A unary RPC with this request is about to be made, and is sampled."""
        self._unary[id(request)] = UnarySpan(span)

    def interceptor(self, url: str, events: RpcEvents) -> Callable[[str, Any], Any]:
        target = parse_target(url)
        server: dict[str, str | int] = {"server.address": target.path or target.host}
        if target.path is None:
            server["server.port"] = target.port

        def intercept(path: str, call: Any) -> Any:
            method = Method(self.tracer, path, server)
            if isinstance(call, grpc.StreamStreamMultiCallable):
                return TracedStreams(call, method)
            return TracedUnary(call, method, self, events)

        return intercept


class Method:
    """An RPC method of a server: what all its spans share."""

    def __init__(self, tracer: trace.Tracer, path: str, server: dict[str, str | int]) -> None:
        self.tracer = tracer
        self.name = path.lstrip("/")
        self.attributes = {"rpc.system.name": "grpc", "rpc.method": self.name, **server}

    def begin(self) -> Span:
        """The span of a call that is made now, below the caller's own if it has one."""
        return self.tracer.start_span(self.name, kind=SpanKind.CLIENT, attributes=self.attributes)


class TracedUnary(grpc.UnaryUnaryMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """Calls with one request and one response, each with a span."""

    def __init__(self, call: Any, method: Method, tracing: UserTracing, events: RpcEvents) -> None:
        self._call = call
        self._method = method
        self._tracing = tracing
        self._events = events
        self._is_evidence = method.name.endswith(f"/{EVIDENCE}")

    def __call__(
        self, request: Any, timeout: float | None = None, metadata: Metadata | None = None, *more: Any, **named: Any
    ) -> Any:
        metadata = self._begin(request, metadata)
        try:
            return self._call(request, timeout, metadata, *more, **named)
        finally:
            self._tracing.taken(request)  # still there when it was refused before it was a call

    def with_call(
        self, request: Any, timeout: float | None = None, metadata: Metadata | None = None, *more: Any, **named: Any
    ) -> Any:
        metadata = self._begin(request, metadata)
        try:
            return self._call.with_call(request, timeout, metadata, *more, **named)
        finally:
            self._tracing.taken(request)

    def future(
        self, request: Any, timeout: float | None = None, metadata: Metadata | None = None, *more: Any, **named: Any
    ) -> Any:
        metadata = self._begin(request, metadata)
        try:
            return self._call.future(request, timeout, metadata, *more, **named)
        except BaseException:
            self._tracing.taken(request)
            raise

    def _begin(self, request: Any, metadata: Metadata | None) -> Metadata | None:
        if self._is_evidence and self._events.scenario:
            return metadata  # it is in no count either
        span = self._method.begin()
        if span.is_recording():  # nothing is to be said of one that is not
            self._tracing.began(request, span)
        return with_parent(metadata, span.get_span_context())


class TracedStreams(grpc.StreamStreamMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """Calls with streams of requests and responses: a span of each call, and one of each request."""

    def __init__(self, call: Any, method: Method) -> None:
        self._call = call
        self._method = method

    def __call__(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Metadata | None = None,
        *more: Any,
        **named: Any,
    ) -> Any:
        span = self._method.begin()
        metadata = with_parent(metadata, span.get_span_context())
        handle = self._call(request_iterator, timeout, metadata, *more, **named)
        requests_of(handle.info).traced = StreamSpans(span, self._method)
        return handle


class UnarySpan:
    """The span of a unary RPC that is under way."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def request_ended(self, *, failure: RequestFailure | None, outcome: str, ended_s: float, **of: Any) -> None:
        """See `rpc_events.Traced`."""
        _finish(self._span, failure, outcome, **of)
        self._span.end(wall_ns(ended_s))

    def stream_ended(self, error: CallError | None, *, by_us: bool, at_s: float) -> None:
        raise NotImplementedError("a unary RPC is no stream")


class StreamSpans:
    """The span of a stream, and those of its requests."""

    __slots__ = ("_links", "_method", "_span")

    def __init__(self, span: Span, method: Method) -> None:
        self._span = span
        self._method = method
        self._links = (Link(span.get_span_context()),)

    def request_ended(
        self,
        *,
        failure: RequestFailure | None,
        outcome: str,
        begun_s: float,
        ended_s: float,
        first_s: float | None = None,
        **of: Any,
    ) -> None:
        """See `rpc_events.Traced`. No more is known of a span before it is over, so it is made now."""
        method, began_ns = self._method, wall_ns(begun_s)
        span = method.tracer.start_span(
            f"{method.name}{OF_A_REQUEST}", Context(), SpanKind.CLIENT, method.attributes, self._links, began_ns
        )
        if not span.is_recording():
            return
        if first_s is not None:
            span.add_event("first response", timestamp=began_ns + int((first_s - begun_s) * 1e9))
        _finish(span, failure, outcome, **of)
        span.end(began_ns + max(0, int((ended_s - begun_s) * 1e9)))

    def stream_ended(self, error: CallError | None, *, by_us: bool, at_s: float) -> None:
        """See `rpc_events.Traced`."""
        span = self._span
        if not span.is_recording():
            return
        code = "OK" if error is None else error.code().name
        span.set_attribute("rpc.response.status_code", code)
        if error is not None and not by_us:
            span.set_attribute("error.type", code)
            span.set_status(StatusCode.ERROR, (error.details() or "")[:MAX_TEXT])
        span.end(wall_ns(at_s))


def _finish(
    span: Span,
    failure: RequestFailure | None,
    outcome: str,
    *,
    scenario: str,
    model: str,
    request_id: str,
    responses: int | None = None,
    **_: Any,
) -> None:
    """Say what became of a request. Only what the report calls failed is an error."""
    attributes: dict[str, str | int] = {"triton_users.outcome": outcome}
    if failure is None:
        attributes["rpc.response.status_code"] = "CANCELLED" if outcome == "unanswered" else "OK"
    else:
        code = (failure.status() or "").rpartition(".")[2]
        if code:
            attributes["rpc.response.status_code"] = code
        attributes["error.type"] = code or "_OTHER"  # an error in a stream has a message only
        if outcome == "failed":
            span.set_status(StatusCode.ERROR, failure.message()[:MAX_TEXT])
    if model:
        attributes["triton.model_name"] = model
    if request_id:
        attributes["triton.request_id"] = request_id
    if scenario:
        attributes["triton_users.scenario"] = scenario
    if responses is not None:
        attributes["triton_users.responses"] = responses
    span.set_attributes(attributes)


def with_parent(metadata: Metadata | None, span: SpanContext) -> Metadata | None:
    """These metadata and W3C's headers of the trace (https://www.w3.org/TR/trace-context)."""
    if not span.is_valid:
        return metadata
    parent = ("traceparent", f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}")
    if span.trace_state:
        return (*(metadata or ()), parent, ("tracestate", span.trace_state.to_header()))
    return (*metadata, parent) if metadata else (parent,)


def wall_ns(at_s: float) -> int:
    """A moment of `perf_counter` as Unix time."""
    return time_ns() - int((perf_counter() - at_s) * 1e9)
