"""Calls with a stream of requests, of responses, or both: the call itself; knows no sockets and no frames.

Two greenlets at most work for such a call: the one that reads it, and the pump, which draws requests from the caller's
iterator and ends with the call, even when the iterator is blocked. A `RequestFeed` spares the pump's wake-ups: it sends
from the greenlet that makes the requests, while the pump waits for one. Responses are cut into messages in the hub and
deserialised by the reader.

A server may refuse the stream (GOAWAY, REFUSED_STREAM) when some requests are already on their way and the pump is
blocked in the iterator. So requests are kept until the response begins, up to a limit, and a greenlet of its own sends
them once more on a new stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, Final

import gevent
import grpc
from gevent import getcurrent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from triton_users.transport.call import Call, CallChannel
from triton_users.transport.connection import STALE_S
from triton_users.transport.errors import CallError, MessageFault, Outcome, UnsupportedError, cancelled
from triton_users.transport.feed import RequestFeed
from triton_users.transport.future import call_back
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.stream import Stream, StreamState
from triton_users.transport.journal import journal
from triton_users.transport.messages import StreamedMessage
from triton_users.transport.method import Method, metadata_fields
from triton_users.transport.observer import StreamInfo
from triton_users.transport.responses import UnreadResponses
from triton_users.transport.sending import send_large
from triton_users.transport.status import conclude, headers_meaning, keep_page, refusal

#: Bytes of requests kept for one more attempt. Picked arbitrarily; longer calls are not tried again.
REPLAY_BYTES: Final = 64 * 1024

Message = tuple[bytes, "bytes | StreamedMessage"]


class StreamCall(Call):
    """The call itself. The caller holds a handle (`StreamHandle`), so that forgetting that ends the call."""

    __slots__ = (
        "_encoding",
        "_is_grpc",
        "_metadata",
        "_method",
        "_observer",
        "_page_bytes",
        "_pump",
        "_reader",
        "_replay",
        "_replay_bytes",
        "_requests",
        "_requests_ended",
        "_retried",
        "_sending",
        "_told",
        "_unread",
        "_wait_for_ready",
        "callbacks",
        "final",
        "finished",
        "headers_seen",
        "info",
    )

    def __init__(
        self,
        channel: CallChannel,
        method: Method,
        requests: Iterable[Any],
        timeout_s: float | None,
        metadata: Iterable[tuple[str, str | bytes]] | None,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
    ) -> None:
        Call.__init__(self, channel, perf_counter())
        if credentials is not None:
            raise UnsupportedError("call credentials are not supported; pass the authorization as metadata")
        channel.raise_if_closed()
        self._method = method
        self._requests = requests
        self._metadata = metadata_fields(metadata)  # a caller's mistake is raised here, not in the pump
        self._wait_for_ready = wait_for_ready
        self._encoding = method.encoding_of(compression)
        self._observer = channel.observer
        # Sending. Whoever holds the semaphore may send; nobody else waits in `wait`.
        self._sending = BoundedSemaphore(1)
        self._replay: list[Message] | None = []
        self._replay_bytes = 0
        self._requests_ended = False
        self._retried = False
        # Receiving.
        options = method.options
        self._unread = UnreadResponses(options.max_receive_message_bytes, options.stream_window_bytes)
        self._is_grpc = True
        self._page_bytes = 0
        self._reader: Any = None
        # The end.
        self.final: Outcome | None = None
        self.finished = Event()
        self.headers_seen = Event()
        self.callbacks: list[Callable[[], Any]] = []
        self.info = StreamInfo(method.path, self.called_s)
        self._told = False
        if isinstance(requests, RequestFeed):
            requests.begin(self._send_now)
        self._pump = gevent.spawn(self._run_pump)
        if timeout_s is not None:
            self.start_deadline(timeout_s)

    @property
    def over(self) -> bool:
        return self.final is not None or self.outcome is not None

    # Sending, in the pump's greenlet or that of `_send_again`

    def _run_pump(self) -> None:
        try:
            with self._sending:
                self._open()
            for request in self._requests:
                if self.over:
                    return
                size, prefix, message = self._method.serialize(request, self._encoding)
                with self._sending:
                    if self._observer is not None:
                        self._observer.stream_sent(self.info, request, perf_counter(), size)
                    self._keep(prefix, message)
                    self._send(prefix, message)
                if self.over:
                    return
            self._requests_ended = self.info.half_closed = True
            with self._sending:
                self._half_close()
        except CallError as exc:
            self.end(exc.outcome)
        except gevent.GreenletExit:
            self.end(cancelled("the call's request pump was killed"))
        except Exception as exc:  # noqa: BLE001  # whatever the caller's iterator raises
            self.end(Outcome(grpc.StatusCode.UNKNOWN, f"Exception iterating requests! {exc!r}"))

    def _send_now(self, request: Any) -> bool:
        """Send a request from its maker's greenlet, without a switch; False if that must wait, or nobody listens."""
        connection, stream = self.connection, self.stream
        if connection is None or stream is None or stream.state is not StreamState.OPEN or connection.backlog:
            return False
        if self.over or self._sending.locked():
            return False
        try:
            size, prefix, message = self._method.serialize(request, self._encoding)
        except CallError as exc:
            self.end(exc.outcome)
            return True
        if not isinstance(message, bytes):
            return False
        sent_s = perf_counter()
        data = connection.core.data(stream, prefix, message)
        if data is None:
            return False
        if self._observer is not None:
            self._observer.stream_sent(self.info, request, sent_s, size)
        if self._replay is not None:
            self._keep(prefix, message)
        connection.send(data)
        return True

    def _send_again(self) -> None:
        """The server did nothing for the first stream: open another and send what was sent."""
        try:
            with self._sending:
                self._open()
                for prefix, message in list(self._replay or ()):
                    self._send(prefix, message)
                self._replay = None  # there is no third time
                if self._requests_ended:
                    self._half_close()
        except CallError as exc:
            self.end(exc.outcome)

    def _open(self) -> None:
        channel = self.channel
        connection = channel.connection
        if (
            connection is None
            or channel.waiting
            or not connection.available
            or connection.received_s + STALE_S < self.called_s
        ):
            connection = channel.acquire(self, self._wait_for_ready)
        self.raise_if_over()
        extra = self._method.extra_fields(self.time_left(), self._metadata)
        stream, data = connection.core.open(self._method.headers(self._encoding), extra)
        stream.listener = self
        stream.listener_consumes = True
        self.connection, self.stream = connection, stream
        self.started_s = perf_counter()
        if not connection.send(data):
            stream.unprocessed = True

    def _keep(self, prefix: bytes, message: bytes | StreamedMessage) -> None:
        """Remember a request for `_send_again`, if it is worth it."""
        if self._replay is not None:
            self._replay.append((prefix, message))
            self._replay_bytes += len(message)
            if self._replay_bytes > REPLAY_BYTES and not self._retried:
                self._replay = None

    def _send(self, prefix: bytes, message: bytes | StreamedMessage) -> None:
        """Send one message on the current stream; no effect if that has ended."""
        connection, stream = self.connection, self.stream
        assert connection is not None
        if stream is None:
            return  # it was refused; `_send_again` sends what was kept
        if stream.state is StreamState.OPEN and not connection.backlog and isinstance(message, bytes):
            data = connection.core.data(stream, prefix, message)
            if data is not None:
                connection.send(data)
                return
        send_large(self, b"", prefix, message, end_stream=False)

    def _half_close(self) -> None:
        connection, stream = self.connection, self.stream
        assert connection is not None
        if stream is None:
            return  # as in `_send`
        while stream.state is StreamState.OPEN and connection.backlog:
            self.wait_until_writable()
        if stream.state is StreamState.OPEN:
            connection.send(connection.core.finish(stream))

    # Receiving, in the hub

    def progress(self) -> None:
        stream = self.stream
        if self.final is None:
            if self.outcome is None and stream is not None:
                self._digest(stream)
            if self.outcome is not None:
                self._unread.clear()
                self._finish(self.outcome)
            elif stream is not None and stream.state >= StreamState.HALF_CLOSED_REMOTE:
                if stream.unprocessed and self._replay is not None and not self._retried:
                    self._retried = True
                    journal.info("a call of %s was refused and is made again: %s", self._method.path, refusal(stream))
                    stream.listener = None
                    self.stream = None  # or more news of the refused stream would end the call
                    gevent.spawn(self._send_again)
                else:
                    self._finish(self._verdict(stream))
        if self._waiter is not None:
            Call.progress(self)
        greenlet = self._reader
        if greenlet is not None and (self._unread or self.final is not None):
            self._reader = None
            self.wake(greenlet)

    def _digest(self, stream: Stream) -> None:
        """Take what has arrived."""
        connection = self.connection
        assert connection is not None
        if stream.headers is not None and not self.headers_seen.is_set():
            self.headers_seen.set()
            self._replay = None
            self._is_grpc = headers_meaning(stream.headers).is_grpc
        if not stream.inbox:
            return
        if not self._is_grpc:
            keep_page(stream)
            credit, self._page_bytes = stream.received_bytes - self._page_bytes, stream.received_bytes
            connection.core.consume(stream, credit)
            return
        inbox, stream.inbox = stream.inbox, []
        try:
            self._unread.add(inbox, connection.received_s)
        except MessageFault as fault:
            self.outcome = Outcome(fault.code, str(fault))
            connection.reset(stream, ErrorCode.CANCEL)
        self._give_credit(stream)

    def _give_credit(self, stream: Stream) -> bool:
        """Let the server go on, unless the reader lags behind; whether there was credit to give."""
        credit = self._unread.credit()
        if credit:
            assert self.connection is not None
            self.connection.core.consume(stream, credit)
        return bool(credit)

    def _verdict(self, stream: Stream) -> Outcome:
        outcome = conclude(stream)
        if outcome.code is grpc.StatusCode.OK and not self._unread.complete:
            text = "the response ended within a message"
            return Outcome(grpc.StatusCode.INTERNAL, text, outcome.initial_metadata, outcome.trailing_metadata)
        if outcome.code is grpc.StatusCode.OK and self.deadline_s is not None and stream.ended_s > self.deadline_s:
            return self.expired()  # the timer was late, like the answer
        return outcome

    def _finish(self, outcome: Outcome) -> None:
        """The call is over, for whatever reason: stop the pump, free the stream, tell whoever asked. Once."""
        self.final = outcome
        self._replay = None
        self.stop_deadline()
        stream = self.stream
        if stream is not None and stream.state is StreamState.HALF_CLOSED_REMOTE and self.connection is not None:
            self.connection.reset(stream, ErrorCode.NO_ERROR)
        if stream is not None:
            stream.listener = None  # or each call would keep its messages until a garbage collection
        self.headers_seen.set()
        self.finished.set()
        self._pump.kill(block=False)
        if isinstance(self._requests, RequestFeed):
            self._requests.end()
        if self.callbacks or (self._observer is not None and not self._unread):
            gevent.spawn(self._call_back)

    def _call_back(self) -> None:
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            call_back(callback)
        if not self._unread:
            self._tell_done()

    def _tell_done(self) -> None:
        """Tell the observer of the end, once, after the last response was taken."""
        if self._observer is not None and not self._told and self.final is not None:
            self._told = True
            ended_s = self.stream.ended_s if self.stream is not None else 0.0
            error = None if self.final.code is grpc.StatusCode.OK else CallError(self.final)
            self._observer.stream_done(self.info, error, ended_s or perf_counter())

    # Reading, in the reader's greenlet

    @property
    def has_more(self) -> bool:
        """Whether a response has arrived that was not read."""
        return bool(self._unread)

    def next_response(self) -> Any:
        """The next response; StopIteration after the last of an OK call, CallError after the last of another."""
        while not self._unread:
            if self.final is not None:
                self._tell_done()
                if self.final.code is grpc.StatusCode.OK:
                    raise StopIteration
                raise CallError(self.final)
            self._wait_for_response()
        packed, message, at_s = self._unread.take()
        stream, connection = self.stream, self.connection
        assert stream is not None
        assert stream.headers is not None
        if self._unread.uncredited and self.final is None and connection is not None and self._give_credit(stream):
            connection.flush()
        try:
            response = self._method.deserialize(packed, message, headers_meaning(stream.headers).encoding)
        except MessageFault as fault:
            self._unread.clear()
            outcome = Outcome(fault.code, str(fault))
            if not self.end(outcome):
                self.final = outcome
            raise CallError(outcome) from fault
        if self._observer is not None:
            self._observer.stream_received(self.info, response, at_s, len(message))
        return response

    def _wait_for_response(self) -> None:
        if self._reader is not None:
            raise RuntimeError("two greenlets read the same call; let one read and hand on")
        self._reader = getcurrent()
        try:
            self.hub.switch()
        except BaseException as exc:
            if not (isinstance(exc, gevent.GreenletExit) and self._method.options.drain_s):
                self.end(cancelled(f"the reader was interrupted by {exc!r}"))
            raise
        finally:
            self._reader = None

    def forget(self) -> None:
        """Nobody will read on."""
        self._unread.clear()
        self.end(cancelled("the call was dropped by its caller"))
        if self.final is not None and not self._told and self._observer is not None:
            gevent.spawn(self._tell_done)
