"""Calls with one request and one response: the hot path; knows no sockets and no frames.

A call whose message fits the windows costs one send, one switch to the hub, one receive and one switch back.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import grpc
from gevent import getcurrent

from triton_users.transport.errors import CallError, FinishedCall, MessageFault, Outcome, UnsupportedError
from triton_users.transport.exchange import Exchange
from triton_users.transport.future import CallFuture
from triton_users.transport.http2.pieces import join_pieces
from triton_users.transport.http2.stream import Stream, StreamState
from triton_users.transport.messages import PREFIX, PREFIX_SIZE, MessageReader, encode_message
from triton_users.transport.method import Method
from triton_users.transport.sending import send_large
from triton_users.transport.status import conclude, head_meaning, trailers_meaning

if TYPE_CHECKING:
    from triton_users.transport.channel import Channel

_CLOSED = StreamState.CLOSED
_OK = grpc.StatusCode.OK


class UnaryExchange(Exchange):
    """One attempt after the other to get one response for one request."""

    __slots__ = ("_limit", "_reader")

    def __init__(self, channel: Channel, called_s: float, limit: int) -> None:
        Exchange.__init__(self, channel, called_s)
        self._limit = limit + PREFIX_SIZE
        self._reader: Any = None

    def progress(self) -> None:
        stream = self.stream
        if stream is not None and stream.received_bytes > self._limit and self.outcome is None:
            text = f"received message larger than max ({stream.received_bytes} vs. {self._limit - PREFIX_SIZE})"
            self.end(Outcome(grpc.StatusCode.RESOURCE_EXHAUSTED, text))
            return
        greenlet = self._reader
        if greenlet is not None:
            if self.outcome is not None or (stream is not None and stream.state >= StreamState.HALF_CLOSED_REMOTE):
                self._reader = None
                self.wake(greenlet)
        elif self._sender is not None:
            Exchange.progress(self)

    def wait_for_response(self, stream: Stream) -> None:
        """Wait until the stream's response has ended, or the call has."""
        hub = self.hub
        try:
            while stream.state < StreamState.HALF_CLOSED_REMOTE and self.outcome is None:
                self._reader = getcurrent()
                hub.switch()
        finally:
            self._reader = None


class UnaryUnary(grpc.UnaryUnaryMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """`grpc.UnaryUnaryMultiCallable`."""

    def __init__(self, channel: Channel, method: Method) -> None:
        self._channel = channel
        self._method = method

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        if credentials is not None:
            raise no_call_credentials()
        exchange = UnaryExchange(self._channel, perf_counter(), self._method.options.max_receive_message_bytes)
        return run_unary(exchange, self._method, request, timeout, metadata, wait_for_ready, compression)

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> tuple[Any, grpc.Call]:
        if credentials is not None:
            raise no_call_credentials()
        exchange = UnaryExchange(self._channel, perf_counter(), self._method.options.max_receive_message_bytes)
        response = run_unary(exchange, self._method, request, timeout, metadata, wait_for_ready, compression)
        assert exchange.stream is not None
        return response, FinishedCall(conclude(exchange.stream))

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> CallFuture:
        if credentials is not None:
            raise no_call_credentials()
        exchange = UnaryExchange(self._channel, perf_counter(), self._method.options.max_receive_message_bytes)
        return CallFuture(
            exchange,
            lambda: run_unary(exchange, self._method, request, timeout, metadata, wait_for_ready, compression),
        )


def no_call_credentials() -> UnsupportedError:
    """What a call with `credentials` raises."""
    return UnsupportedError("call credentials are not supported; pass the authorization as metadata")


def run_unary(
    exchange: UnaryExchange,
    method: Method,
    request: Any,
    timeout_s: float | None,
    metadata: Iterable[tuple[str, str | bytes]] | None,
    wait_for_ready: bool | None,
    compression: grpc.Compression | None,
) -> Any:
    """Make the call in this greenlet: the response. CallError for any status but OK; tells the observer either way."""
    observer = exchange.channel.observer
    response = error = None
    sent = received = 0
    try:
        message = method.serialize(request)
        fields = method.metadata_fields(metadata) if metadata else b""
        encoding = method.encoding_of(compression)
        if encoding is not None and message.__class__ is bytes:
            body = encode_message(message, encoding)  # type: ignore[arg-type]  # it is bytes
            prefix, message = body[:PREFIX_SIZE], body[PREFIX_SIZE:]
        else:
            prefix = PREFIX.pack(0, len(message))
        sent = len(message)
        if timeout_s is not None:
            exchange.start_deadline(timeout_s)
        stream = _attempt(exchange, method, encoding, fields, timeout_s, prefix, message, wait_for_ready)
        if stream.unprocessed and exchange.outcome is None:
            # The server vouches that it did nothing: once more, on another connection or stream.
            stream = _attempt(exchange, method, encoding, fields, timeout_s, prefix, message, wait_for_ready)
        received = max(0, stream.received_bytes - PREFIX_SIZE)
        response = _read_response(exchange, method, stream)
        return response
    except CallError as exc:
        error = exc
        raise
    except BaseException as exc:
        exchange.abandon()
        error = CallError(Outcome(grpc.StatusCode.CANCELLED, f"the caller was interrupted by {exc!r}"))
        error.__cause__ = exc
        raise
    finally:
        if exchange._timer is not None:
            exchange.stop_deadline()
        if observer is not None:
            stream_or_none = exchange.stream
            ended_s = (stream_or_none.ended_s if stream_or_none is not None else 0.0) or perf_counter()
            observer.unary_done(
                method.path, request, response, error, exchange.called_s, exchange.started_s, ended_s, sent, received
            )


def _attempt(
    exchange: UnaryExchange,
    method: Method,
    encoding: str | None,
    fields: bytes,
    timeout_s: float | None,
    prefix: bytes,
    message: Any,
    wait_for_ready: bool | None,
) -> Stream:
    """Send the request on a new stream and wait for the end of its response: that stream. CallError for our own verdict."""
    channel = exchange.channel
    exchange.stream = None
    link = channel.link
    if link is None or channel.waiting or not link.available or link.received_s + 1.0 < exchange.called_s:
        link = channel.acquire(exchange, wait_for_ready)
        if timeout_s is not None:
            timeout_s = exchange.time_left()
    if exchange.outcome is not None:
        raise CallError(exchange.outcome)
    if timeout_s is not None:
        fields = method.timeout_field(timeout_s) + fields
    head = method.head(encoding)
    # Nothing may switch greenlets between taking a stream id and sending its HEADERS: ids must rise on the wire.
    opened = link.core.request(head, fields, prefix + message) if message.__class__ is bytes else None
    exchange.link = link
    exchange.started_s = perf_counter()
    if opened is not None:
        stream, data = opened
        stream.owner = exchange
        exchange.stream = stream
        if not link.send(data):
            stream.unprocessed = True
    else:
        stream, opening = link.core.open(head, fields)
        stream.owner = exchange
        exchange.stream = stream
        send_large(exchange, opening, prefix, message, end_stream=True)
    exchange.wait_for_response(stream)
    if stream.state is not _CLOSED:
        exchange.abandon()  # the response ended before our request did
    return stream


def _read_response(exchange: UnaryExchange, method: Method, stream: Stream) -> Any:
    """The response of a stream that has ended; CallError for all else."""
    exchange.raise_if_over()
    trailers = stream.trailers
    if trailers is None or trailers_meaning(trailers).code is not _OK:
        raise CallError(conclude(stream))
    body = join_pieces(stream.inbox)
    try:
        if len(body) >= PREFIX_SIZE and body[0] == 0 and int.from_bytes(body[1:5], "big") == len(body) - PREFIX_SIZE:
            return method.deserialize(False, body[PREFIX_SIZE:], None)
        reader = MessageReader(method.options.max_receive_message_bytes)
        messages = reader.feed(body)
        if len(messages) != 1 or not reader.between_messages:
            raise MessageFault(grpc.StatusCode.INTERNAL, f"{len(messages)} messages in the answer to a unary call")
        packed, message = messages[0]
        assert stream.head is not None
        return method.deserialize(packed, message, head_meaning(stream.head).encoding)
    except MessageFault as fault:
        outcome = conclude(stream)
        raise CallError(
            Outcome(fault.code, str(fault), outcome.initial_metadata, outcome.trailing_metadata)
        ) from fault
