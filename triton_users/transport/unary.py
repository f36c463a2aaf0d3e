"""Calls with one request and one response: the hot path; knows no sockets and no frames.

A call whose message fits the windows costs one send, one switch to the hub, one receive and one switch back.
"""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Any, Final

import grpc
from gevent import GreenletExit, Timeout, getcurrent, sleep

from triton_users.transport.call import Call, CallChannel
from triton_users.transport.connection import STALE_S
from triton_users.transport.errors import (
    CallError,
    FinishedCall,
    MessageFault,
    Outcome,
    UnsupportedError,
    interrupted,
)
from triton_users.transport.future import CallFuture
from triton_users.transport.http2.pieces import join_pieces
from triton_users.transport.http2.stream import Stream, StreamState
from triton_users.transport.journal import journal
from triton_users.transport.messages import PREFIX_SIZE, MessageReader, StreamedMessage
from triton_users.transport.method import Method, metadata_fields
from triton_users.transport.sending import send_large
from triton_users.transport.status import conclude, headers_meaning, keep_page, refusal, trailers_meaning

#: Pauses before the attempts that follow a refused one, in seconds. gRPC demands one such attempt; but grpcio's server
#: (1.85) counts a stream as open for a while after its answer, and where calls queue for streams it at times refuses 1
#: in 20 that are within its MAX_CONCURRENT_STREAMS. Picked so that they outlast that.
REFUSED_PAUSES_S: Final = (0.001, 0.005, 0.025, 0.1)

_ENDED: Final = StreamState.HALF_CLOSED_REMOTE
_OK: Final = grpc.StatusCode.OK


class UnaryCall(Call):
    """A call and what it was called with; `run` makes it."""

    __slots__ = (
        "_compression",
        "_encoding",
        "_killed",
        "_message",
        "_metadata",
        "_method",
        "_prefix",
        "_reader",
        "_request",
        "_size",
        "_timeout_s",
        "_wait_for_ready",
    )

    def __init__(
        self,
        channel: CallChannel,
        method: Method,
        request: Any,
        timeout_s: float | None,
        metadata: Iterable[tuple[str, str | bytes]] | None,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
    ) -> None:
        Call.__init__(self, channel, perf_counter())
        if credentials is not None:
            raise UnsupportedError("call credentials are not supported; pass the authorization as metadata")
        self._method = method
        self._request = request
        self._timeout_s = timeout_s
        self._metadata = metadata_fields(metadata)  # a caller's mistake is raised before there is a call
        self._wait_for_ready = wait_for_ready
        self._encoding = method.encoding_of(compression)
        self._message: bytes | StreamedMessage | None = None
        self._prefix = b""
        self._size = 0
        self._reader: Any = None
        self._killed: GreenletExit | None = None
        """What killed the greenlet while the call went on to its end."""

    def serialize(self) -> None:
        """Take the request's bytes, so that it may be changed from here on; `run` does it otherwise. CallError."""
        self._size, self._prefix, self._message = self._method.serialize(self._request, self._encoding)

    def run(self) -> Any:
        """Make the call in this greenlet: the response. CallError for any status but OK. The observer is told.

        GreenletExit at the end of a call that was drained (`ChannelOptions.drain_s`), whatever that end is.
        """
        response = error = None
        try:
            if self._message is None and self.outcome is None:
                self.serialize()
            if self._timeout_s is not None:
                self.start_deadline(self._timeout_s)
            stream = self._attempt()
            if stream.unprocessed and self.outcome is None and self._killed is None:
                stream = self._try_again()
            response = self._read_response(stream)
            return response
        except CallError as exc:
            self.abandon()  # open only if it is another call's error, out of the chunks of a StreamedMessage
            error = exc
            raise
        except BaseException as exc:
            self.abandon()
            error = interrupted(exc)
            raise
        finally:
            if self._timer is not None:
                self.stop_deadline()
            if self.stream is not None:
                self.stream.listener = None  # or each call would keep its messages until a garbage collection
            if self.channel.observer is not None:
                self._tell(response, error)
            if self._killed is not None:
                killed, self._killed = self._killed, None
                raise killed

    def _tell(self, response: Any, error: CallError | None) -> None:
        received, ended_s = 0, 0.0
        if self.stream is not None:
            received = max(0, self.stream.received_bytes - PREFIX_SIZE)
            ended_s = self.stream.ended_s
        self.channel.observer.unary_done(  # type: ignore[union-attr]  # the caller has looked
            self._method.path,
            self._request,
            response,
            error,
            self.called_s,
            self.started_s,
            ended_s or perf_counter(),
            self._size,
            received,
        )

    def _try_again(self) -> Stream:
        """The server vouches that it did nothing for the last stream: once more, on another stream or connection."""
        journal.info("a call of %s was refused and is made again: %s", self._method.path, refusal(self.stream))
        for pause_s in REFUSED_PAUSES_S:
            self.stream = None
            sleep(pause_s)
            if self.deadline_s is not None:
                self._timeout_s = self.time_left()
                if not self._timeout_s:
                    self._expire()  # the timer may have fired while the last stream had just ended
            stream = self._attempt()
            if not stream.unprocessed or self.outcome is not None or self._killed is not None:
                break
        return stream

    def _attempt(self) -> Stream:
        """Send the request on a new stream and wait for the end of its response: that stream. CallError by `end`."""
        channel = self.channel
        timeout_s = self._timeout_s
        self.stream = None
        connection = channel.connection
        if (
            connection is None
            or channel.waiting
            or not connection.available
            or connection.received_s + STALE_S < self.called_s
        ):
            connection = channel.acquire(self, self._wait_for_ready)
            timeout_s = self.time_left()
        self.raise_if_over()
        method, message = self._method, self._message
        extra = method.extra_fields(timeout_s, self._metadata)
        # Nothing may switch greenlets between taking a stream id and sending its HEADERS: ids must rise on the wire.
        self.connection = connection
        opened = None
        if message.__class__ is bytes:
            opened = connection.core.request(method.headers(self._encoding), extra, self._prefix, message)
        self.started_s = perf_counter()
        if opened is not None:
            stream, data = opened
            stream.listener = self
            self.stream = stream
            if not connection.send_together(data, self):
                stream.unprocessed = True
        else:
            stream, opening = connection.core.open(method.headers(self._encoding), extra)
            stream.listener = self
            self.stream = stream
            send_large(self, opening, self._prefix, message, end_stream=True)  # type: ignore[arg-type]  # serialized
        try:
            self._wait_for_end(stream)
        except GreenletExit as killed:
            if not self._drain(stream):
                raise
            self._killed = killed
        if stream.state is _ENDED:
            self.abandon()  # the response ended before our request did
        return stream

    def left(self, at_s: float, *, written: bool) -> None:
        """See `together.HeldCall`."""
        self.started_s = at_s
        if not written and self.stream is not None:
            self.stream.unprocessed = True

    def _wait_for_end(self, stream: Stream) -> None:
        """Until the response has ended, or we have ended the call."""
        hub = self.hub
        try:
            while stream.state < _ENDED and self.outcome is None:
                self._reader = getcurrent()
                hub.switch()
        finally:
            self._reader = None

    def _drain(self, stream: Stream) -> bool:
        """Whether the call of a greenlet that was killed ended within `drain_s`."""
        limit_s = self._method.options.drain_s
        if not limit_s:
            return False
        with Timeout(limit_s, False):  # type: ignore[arg-type]  # False: no exception
            self._wait_for_end(stream)
        return stream.state >= _ENDED or self.outcome is not None

    def progress(self) -> None:
        stream = self.stream
        if stream is not None and self.outcome is None and stream.state < _ENDED and stream.inbox:
            limit = self._method.options.max_receive_message_bytes
            assert stream.headers is not None
            if not headers_meaning(stream.headers).is_grpc:
                keep_page(stream)
            elif stream.received_bytes - PREFIX_SIZE > limit:
                text = f"received message larger than max ({stream.received_bytes - PREFIX_SIZE} vs. {limit})"
                self.end(Outcome(grpc.StatusCode.RESOURCE_EXHAUSTED, text))
                return
        greenlet = self._reader
        if greenlet is not None:
            if self.outcome is not None or (stream is not None and stream.state >= _ENDED):
                self._reader = None
                self.wake(greenlet)
        elif self._waiter is not None:
            Call.progress(self)

    def _read_response(self, stream: Stream) -> Any:
        """The response of a stream that has ended; CallError for all else."""
        if self.outcome is not None:
            raise CallError(self.outcome)
        trailers = stream.trailers
        if trailers is None or trailers_meaning(trailers).code is not _OK:
            raise CallError(conclude(stream))
        if self.deadline_s is not None and stream.ended_s > self.deadline_s:
            raise CallError(self.expired())  # the timer was late, like the answer
        body = join_pieces(stream.inbox)
        size = len(body) - PREFIX_SIZE
        limit = self._method.options.max_receive_message_bytes
        try:
            if 0 <= size <= limit and body[0] == 0 and int.from_bytes(body[1:5], "big") == size:
                return self._method.deserialize(False, body[PREFIX_SIZE:], None)
            reader = MessageReader(limit)
            messages = reader.feed(body)
            if len(messages) != 1 or not reader.between_messages:
                text = f"{len(messages)} messages in the {len(body)} bytes of a unary call's answer"
                raise MessageFault(grpc.StatusCode.INTERNAL, text)
            assert stream.headers is not None
            return self._method.deserialize(*messages[0], headers_meaning(stream.headers).encoding)
        except MessageFault as fault:
            whole = conclude(stream)
            outcome = Outcome(fault.code, str(fault), whole.initial_metadata, whole.trailing_metadata)
            raise CallError(outcome) from fault


class UnaryUnary(grpc.UnaryUnaryMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """`grpc.UnaryUnaryMultiCallable`."""

    def __init__(self, channel: CallChannel, method: Method) -> None:
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
        return UnaryCall(
            self._channel, self._method, request, timeout, metadata, credentials, wait_for_ready, compression
        ).run()

    def with_call(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> tuple[Any, FinishedCall]:
        call = UnaryCall(
            self._channel, self._method, request, timeout, metadata, credentials, wait_for_ready, compression
        )
        response = call.run()
        assert call.stream is not None
        return response, FinishedCall(conclude(call.stream), call.stream.ended_s - call.called_s)

    def future(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> CallFuture:
        call = UnaryCall(
            self._channel, self._method, request, timeout, metadata, credentials, wait_for_ready, compression
        )
        try:
            call.serialize()
        except CallError as exc:
            call.outcome = exc.outcome
        return CallFuture(call, call.run)
