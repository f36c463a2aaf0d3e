"""Calls with a stream of requests, of responses, or both; knows no sockets and no frames.

Two greenlets at most work for such a call: the one that reads it, and the pump, which draws requests from the caller's
iterator and ends with the call, even when the iterator is blocked. Responses are cut into messages in the hub and
deserialised by the reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

import gevent
import grpc
from gevent import getcurrent
from gevent.event import Event

from triton_users.transport.errors import CallError, MessageFault, Outcome
from triton_users.transport.exchange import Exchange
from triton_users.transport.future import CallFuture, call_back
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.stream import StreamState
from triton_users.transport.messages import MessageReader, StreamedMessage, encode_message
from triton_users.transport.metadata import Metadata
from triton_users.transport.method import Method
from triton_users.transport.observer import StreamInfo
from triton_users.transport.sending import prefix_of, send_large
from triton_users.transport.status import conclude, head_meaning
from triton_users.transport.unary import no_call_credentials

if TYPE_CHECKING:
    from triton_users.transport.channel import Channel


class StreamExchange(Exchange):
    """The call itself. The caller holds a `StreamCall`, so that forgetting that ends the call."""

    __slots__ = (
        "_encoding",
        "_fields",
        "_message_reader",
        "_method",
        "_observer",
        "_queue",
        "_queued_bytes",
        "_reader",
        "_requests",
        "_uncredited",
        "_wait_for_ready",
        "callbacks",
        "final",
        "finished",
        "head_seen",
        "info",
        "pump",
        "told",
    )

    def __init__(
        self,
        channel: Channel,
        method: Method,
        requests: Iterable[Any],
        timeout_s: float | None,
        metadata: Iterable[tuple[str, str | bytes]] | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
    ) -> None:
        Exchange.__init__(self, channel, perf_counter())
        self._method = method
        self._requests = requests
        self._fields = method.metadata_fields(metadata) if metadata else b""
        self._wait_for_ready = wait_for_ready
        self._encoding = method.encoding_of(compression)
        self._observer = channel.observer
        self._message_reader = MessageReader(method.options.max_receive_message_bytes)
        self._queue: deque[tuple[bool, bytes, float]] = deque()
        self._queued_bytes = 0
        self._uncredited = 0
        self._reader: Any = None
        #: How the call ended; None while it goes on.
        self.final: Outcome | None = None
        self.finished = Event()
        self.head_seen = Event()
        self.callbacks: list[Callable[[], Any]] = []
        self.info = StreamInfo(method.path, self.called_s)
        #: Whether the observer knows the end.
        self.told = False
        if timeout_s is not None:
            self.start_deadline(timeout_s)
        self.pump: Any = gevent.spawn(self._pump) if self.outcome is None else None
        if self.outcome is not None:
            self._finish(self.outcome)

    # Sending, in the pump's greenlet

    def _pump(self) -> None:
        try:
            self._open()
            for request in self._requests:
                if self.over:
                    break
                self._send(request)
                if self.over:
                    break
            else:
                self._half_close()
        except CallError as exc:
            self._fail(exc._outcome)
        except gevent.GreenletExit:
            if not self.over:
                self._fail(Outcome(grpc.StatusCode.CANCELLED, "the call's request pump was killed"))
        except Exception as exc:  # noqa: BLE001  # whatever the caller's iterator raises
            self._fail(Outcome(grpc.StatusCode.UNKNOWN, f"Exception iterating requests! {exc!r}"))

    def _open(self) -> None:
        link = self.channel.link
        if link is None or self.channel.waiting or not link.available or link.received_s + 1.0 < self.called_s:
            link = self.channel.acquire(self, self._wait_for_ready)
        self.raise_if_over()
        fields = self._fields
        left_s = self.time_left()
        if left_s is not None:
            fields = self._method.timeout_field(left_s) + fields
        stream, data = link.core.open(self._method.head(self._encoding), fields)
        stream.owner = self
        stream.owner_consumes = True
        self.link, self.stream = link, stream
        self.started_s = perf_counter()
        if not link.send(data):
            stream.unprocessed = True

    def _send(self, request: Any) -> None:
        message = self._method.serialize(request)
        size = len(message)
        if self._encoding is not None and not isinstance(message, StreamedMessage):
            packed = encode_message(message, self._encoding)
            prefix, message = packed[:5], packed[5:]
        else:
            prefix = prefix_of(message)
        if not isinstance(message, StreamedMessage) and len(message) < 16_379:
            prefix, message = prefix + message, b""
        if self._observer is not None:
            self._observer.stream_sent(self.info, request, perf_counter(), size)
        send_large(self, b"", prefix, message, end_stream=False)

    def _half_close(self) -> None:
        while not self.over:
            assert self.link is not None and self.stream is not None
            if not self.link.backlog:
                self.link.send(self.link.core.finish(self.stream))
                return
            self.link.when_writable(self)
            self.wait()

    def _fail(self, outcome: Outcome) -> None:
        """End the call from the pump."""
        if not self.end(outcome) and self.final is None and self.outcome is None and self.stream is None:
            self.outcome = outcome
            self.hub.loop.run_callback(self.progress)

    # Receiving, in the hub

    def progress(self) -> None:
        stream = self.stream
        if self.final is None:
            if stream is not None and self.outcome is None:
                if stream.inbox:
                    self._digest(stream)
                if stream.head is not None and not self.head_seen.is_set():
                    self.head_seen.set()
            if self.outcome is not None:
                self._queue.clear()
                self._finish(self.outcome)
            elif stream is not None and stream.state >= StreamState.HALF_CLOSED_REMOTE:
                outcome = conclude(stream)
                if outcome.code is grpc.StatusCode.OK and not self._message_reader.between_messages:
                    outcome = Outcome(grpc.StatusCode.INTERNAL, "the response ended within a message")
                self._finish(outcome)
        if self._sender is not None:
            Exchange.progress(self)
        greenlet = self._reader
        if greenlet is not None and (self._queue or self.final is not None):
            self._reader = None
            self.wake(greenlet)

    def _digest(self, stream: Any) -> None:
        now_s = self.link.received_s  # type: ignore[union-attr]  # a stream has a link
        inbox, stream.inbox = stream.inbox, []
        try:
            for piece in inbox:
                self._uncredited += len(piece)
                for packed, message in self._message_reader.feed(piece):
                    self._queue.append((packed, message, now_s))
                    self._queued_bytes += len(message)
        except MessageFault as fault:
            self.outcome = Outcome(fault.code, str(fault))
            self.link.reset(stream, ErrorCode.CANCEL)  # type: ignore[union-attr]  # a stream has a link
        self._give_credit(stream)

    def _give_credit(self, stream: Any) -> None:
        """Let the server go on unless the reader lags behind by half a window."""
        if self._uncredited and self._queued_bytes * 2 <= self._method.options.stream_window_bytes:
            uncredited, self._uncredited = self._uncredited, 0
            self.link.core.consume(stream, uncredited)  # type: ignore[union-attr]  # a stream has a link

    def _finish(self, outcome: Outcome) -> None:
        """The call is over, for whatever reason: stop the pump, free the stream, tell whoever asked. Once."""
        self.final = outcome
        self.stop_deadline()
        stream = self.stream
        if stream is not None and stream.state is StreamState.HALF_CLOSED_REMOTE:
            self.link.reset(stream, ErrorCode.NO_ERROR)  # type: ignore[union-attr]  # a stream has a link
        self.head_seen.set()
        self.finished.set()
        if self.pump is not None:
            self.pump.kill(block=False)
        if self.callbacks or (self._observer is not None and not self._queue):
            gevent.spawn(self._tell)

    def _tell(self) -> None:
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            call_back(callback)
        if not self._queue:
            self._tell_observer()

    def _tell_observer(self) -> None:
        if self._observer is not None and not self.told and self.final is not None:
            self.told = True
            ended_s = self.stream.ended_s if self.stream is not None else 0.0
            error = None if self.final.code is grpc.StatusCode.OK else CallError(self.final)
            self._observer.stream_done(self.info, error, ended_s or perf_counter())

    # Reading, in the reader's greenlet

    def next_response(self) -> Any:
        """The next response; StopIteration after the last of an OK call, CallError after the last of another."""
        while not self._queue:
            if self.final is not None:
                self._tell_observer()
                if self.final.code is grpc.StatusCode.OK:
                    raise StopIteration
                raise CallError(self.final)
            self._reader = getcurrent()
            try:
                self.hub.switch()
            except BaseException as exc:
                self.end(Outcome(grpc.StatusCode.CANCELLED, f"the reader was interrupted by {exc!r}"))
                raise
            finally:
                self._reader = None
        packed, message, at_s = self._queue.popleft()
        self._queued_bytes -= len(message)
        stream, link = self.stream, self.link
        assert stream is not None and link is not None and stream.head is not None
        if self._uncredited and self.final is None:
            self._give_credit(stream)
            link.flush()
        try:
            response = self._method.deserialize(packed, message, head_meaning(stream.head).encoding)
        except MessageFault as fault:
            outcome = Outcome(fault.code, str(fault))
            if not self.end(outcome):
                self.final = outcome
            self._queue.clear()
            raise CallError(outcome) from fault
        if self._observer is not None:
            self._observer.stream_received(self.info, response, at_s, len(message))
        return response

    def forget(self) -> None:
        """Nobody will read on."""
        self.end(Outcome(grpc.StatusCode.CANCELLED, "the call was dropped by its caller"))
        self._queue.clear()
        if self.final is not None and not self.told:
            gevent.spawn(self._tell_observer)


class StreamCall(grpc.Call):  # type: ignore[misc]  # grpc has no type information
    """What `grpc` returns for a call with a stream of responses: an iterator of them and a `grpc.Call`."""

    def __init__(self, exchange: StreamExchange) -> None:
        self._exchange = exchange

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._exchange.next_response()

    def next(self) -> Any:
        return self._exchange.next_response()

    def cancel(self) -> bool:
        return self._exchange.end(Outcome(grpc.StatusCode.CANCELLED, "Locally cancelled by application!"))

    def is_active(self) -> bool:
        return self._exchange.final is None

    def done(self) -> bool:
        return self._exchange.final is not None

    def running(self) -> bool:
        return self._exchange.final is None

    def cancelled(self) -> bool:
        final = self._exchange.final
        return final is not None and final.code is grpc.StatusCode.CANCELLED

    def time_remaining(self) -> float | None:
        return self._exchange.time_left()

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        if self._exchange.final is not None:
            return False
        self._exchange.callbacks.append(callback)
        return True

    def _final(self) -> Outcome:
        self._exchange.finished.wait()
        assert self._exchange.final is not None
        return self._exchange.final

    def code(self) -> grpc.StatusCode:
        return self._final().code

    def details(self) -> str:
        return self._final().details

    def debug_error_string(self) -> str:
        return self._final().debug

    def trailing_metadata(self) -> Metadata:
        return self._final().trailing_metadata

    def initial_metadata(self) -> Metadata:
        self._exchange.head_seen.wait()
        stream = self._exchange.stream
        if stream is not None and stream.head is not None and stream.head is not stream.trailers:
            return head_meaning(stream.head).metadata
        return self._final().initial_metadata

    def __del__(self) -> None:
        exchange = getattr(self, "_exchange", None)
        if exchange is not None and not (exchange.final is not None and exchange.told):
            try:
                exchange.forget()
            except RuntimeError:
                pass  # the interpreter is exiting: there are no greenlets any more


class _Streaming:
    """What the three callables with a streaming side share."""

    def __init__(self, channel: Channel, method: Method) -> None:
        self._channel = channel
        self._method = method

    def _start(
        self,
        requests: Iterable[Any],
        timeout: float | None,
        metadata: Iterable[tuple[str, str | bytes]] | None,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
    ) -> StreamCall:
        if credentials is not None:
            raise no_call_credentials()
        return StreamCall(
            StreamExchange(self._channel, self._method, requests, timeout, metadata, wait_for_ready, compression)
        )


class StreamStream(_Streaming, grpc.StreamStreamMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """`grpc.StreamStreamMultiCallable`."""

    def __call__(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamCall:
        return self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)


class UnaryStream(_Streaming, grpc.UnaryStreamMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """`grpc.UnaryStreamMultiCallable`."""

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamCall:
        return self._start((request,), timeout, metadata, credentials, wait_for_ready, compression)


class StreamUnary(_Streaming, grpc.StreamUnaryMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """`grpc.StreamUnaryMultiCallable`."""

    def __call__(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        call = self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return _only_response(call)

    def with_call(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> tuple[Any, grpc.Call]:
        call = self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return _only_response(call), call

    def future(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> CallFuture:
        call = self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return CallFuture(call._exchange, lambda: _only_response(call))


def _only_response(call: StreamCall) -> Any:
    """The one response of a call that may have one; CallError INTERNAL for none or more."""
    responses = list(call)
    if len(responses) != 1:
        text = f"{len(responses)} messages in the answer to a stream-unary call"
        raise CallError(Outcome(grpc.StatusCode.INTERNAL, text, trailing_metadata=call.trailing_metadata()))
    return responses[0]
