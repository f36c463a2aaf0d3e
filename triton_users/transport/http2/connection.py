"""The client side of one HTTP/2 connection (RFC 9113) as a state machine: bytes in, bytes out, streams that have news.

It does no I/O, knows no clock (it is told the time) and no gRPC. Whoever drives it

- sends `start()` first, then whatever `request`, `open`, `data`, `take_data` and `finish` (see `RequestSender`) return,
  in the order of the calls;
- passes received bytes to `receive` and tells the listener of each returned stream;
- sends what has gathered in `out` whenever convenient: replies, credit, resets.

A peer's fault never leaves as an exception: `receive` ends the connection, says why in `fault`, and leaves a GOAWAY in
`out`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from triton_users.transport.http2 import frames
from triton_users.transport.http2.budget import EARNED_PER_BYTE, EARNED_PER_STREAM, Budget
from triton_users.transport.http2.faults import ConnectionFault, ErrorCode, StreamFault, error_name
from triton_users.transport.http2.frames import ACK, MAX_WINDOW, FrameType, Setting
from triton_users.transport.http2.headers import HeaderDecoder, HeaderList
from triton_users.transport.http2.pieces import append_piece
from triton_users.transport.http2.reader import FrameReader
from triton_users.transport.http2.requests import DEFAULT_WINDOW, RequestSender
from triton_users.transport.http2.stream import Stream, StreamEvent, StreamState
from triton_users.transport.http2.streams import ConnectionState, StreamTable

_ENDED: Final = StreamState.HALF_CLOSED_REMOTE


@dataclass(frozen=True)
class Limits:
    """What we allow the peer. Bytes."""

    stream_window: int
    max_frame: int
    max_header_list: int
    connection_window: int = MAX_WINDOW


class Http2Connection:
    """See the module's docstring. Attributes are for reading, but for `out`, which the driver empties."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.streams = StreamTable()
        self.out = bytearray()
        #: The peer's fault that ended the connection.
        self.fault: ConnectionFault | None = None
        #: The peer's GOAWAY, in words, and its code; None before it.
        self.goaway: str | None = None
        self.goaway_code: int | None = None
        self.pings_answered = 0
        self._budget = Budget()
        self._requests = requests = RequestSender(self.streams, self._budget, limits.stream_window)
        self.peer = requests.peer
        # Bound, not wrapped: a call's path.
        self.request, self.open = requests.request, requests.open
        self.data, self.take_data, self.finish = requests.data, requests.take_data, requests.finish
        self._reader = FrameReader(limits.max_frame, limits.max_header_list)
        self._decoder = HeaderDecoder(limits.max_header_list)
        self._receive_window = limits.connection_window
        self._receive_unacked = 0
        # While `receive` runs: the streams with news, and the time.
        self._touched: list[Stream] = []
        self._now_s = 0.0

    @property
    def state(self) -> ConnectionState:
        """Where the connection is in its life."""
        return self.streams.state

    @property
    def greeted(self) -> bool:
        """Whether the peer has begun as an HTTP/2 server does."""
        return self._reader.greeted

    # Sending

    def start(self) -> bytes:
        """The preface, our SETTINGS and the connection's window: the first bytes on the wire (RFC 9113 section 3.4)."""
        settings = {
            Setting.ENABLE_PUSH: 0,
            Setting.INITIAL_WINDOW_SIZE: self.limits.stream_window,
            Setting.MAX_FRAME_SIZE: self.limits.max_frame,
            Setting.MAX_HEADER_LIST_SIZE: self.limits.max_header_list,
        }
        credit = self.limits.connection_window - DEFAULT_WINDOW
        return frames.PREFACE + frames.encode_settings(settings) + frames.encode_window_update(0, credit)

    @property
    def can_open(self) -> bool:
        """Whether the peer allows one more stream now."""
        return self.streams.state is ConnectionState.OPEN and len(self.streams) < self.peer.max_streams

    def reset(self, stream: Stream, code: ErrorCode, fault: Exception | None = None) -> None:
        """End a stream from our side with RST_STREAM; no effect on a closed one."""
        if stream.state is StreamState.CLOSED:
            return
        stream.fault = fault
        self.out += frames.encode_rst_stream(stream.id, code)
        # What the peer has sent before it sees that is not its fault.
        self._budget.earned += EARNED_PER_STREAM + stream.receive_window * EARNED_PER_BYTE
        self.streams.move(stream, StreamEvent.RESET)

    def consume(self, stream: Stream, size: int) -> None:
        """Give credit for `size` bytes that the listener has taken (see `Stream.listener_consumes`)."""
        unacked = stream.receive_unacked = stream.receive_unacked + size
        if unacked * 2 >= self.limits.stream_window and stream.state < _ENDED:
            stream.receive_unacked = 0
            stream.receive_window += unacked
            self.out += frames.encode_window_update(stream.id, unacked)

    def ping(self, opaque: bytes) -> None:
        """Send a PING. That it is answered shows as bytes received."""
        self.out += frames.encode_ping(opaque)

    def close(self) -> list[Stream]:
        """Say goodbye and end every stream; the streams that were open."""
        if self.state is not ConnectionState.CLOSED:
            self.out += frames.encode_goaway(0, ErrorCode.NO_ERROR)
        return self.lost(None)

    def end_of_input(self) -> ConnectionFault | None:
        """The peer sends no more: its fault, if all that it sent was no HTTP/2."""
        try:
            self._reader.end()
        except ConnectionFault as fault:
            self.fault = fault
        return self.fault

    def lost(self, why: Exception | None) -> list[Stream]:
        """The transport is gone: end every stream with `why`; the streams that were open."""
        return self.streams.end_all(why)

    # Receiving

    def receive(self, data: bytes, now_s: float) -> list[Stream]:
        """Take bytes from the peer; the streams that have news, in order, some perhaps more than once.

        News are: the headers, DATA, the end, or window for a sender that was blocked on it.
        """
        touched = self._touched = []
        if self.streams.state is ConnectionState.CLOSED:
            return touched
        self._now_s = now_s
        self._budget.refill(now_s)
        try:
            self._reader.parse(data, self)
        except ConnectionFault as fault:
            self.fault = fault
            self.out += frames.encode_goaway(0, fault.code, str(fault).encode()[:256])
            touched += self.lost(fault)
        self._touched = []  # or an idle connection would keep the last call and its response alive
        return touched

    def _touch(self, stream: Stream) -> None:
        if not self._touched or self._touched[-1] is not stream:
            self._touched.append(stream)

    def _find(self, stream_id: int, what: str, cost: float) -> Stream | None:
        """The stream of a frame; None if it is gone (RFC 9113 section 5.1, "closed"), which costs the peer `cost`."""
        stream = self.streams.get(stream_id)
        if stream is None:
            if not self.streams.was_opened(stream_id):
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{what} on stream {stream_id}, which was never opened")
            self._budget.spend(cost, f"{what} on a stream that is gone")
        return stream

    def _fail(self, stream: Stream, code: ErrorCode, message: str) -> None:
        """A stream error (RFC 9113 section 5.4.2)."""
        stream.ended_s = self._now_s
        self.reset(stream, code, StreamFault(code, message))
        self._touched.append(stream)

    def on_data(self, stream_id: int, length: int, payload: int, ends: bool) -> Stream | None:
        if length > self._receive_window:
            text = f"DATA of {length} bytes; the connection's window is {self._receive_window}"
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, text)
        self._receive_window -= length
        self._receive_unacked += length
        if self._receive_unacked * 2 >= self.limits.connection_window:
            self.out += frames.encode_window_update(0, self._receive_unacked)
            self._receive_window += self._receive_unacked
            self._receive_unacked = 0
        if not payload and not ends:
            self._budget.spend(1, "an empty DATA")
        stream = self.streams.get(stream_id) or self._find(stream_id, "DATA", 0.25 + length * EARNED_PER_BYTE)
        if stream is None:
            return None
        if stream.headers is None or stream.state >= _ENDED:
            if stream.headers is None:
                self._fail(stream, ErrorCode.PROTOCOL_ERROR, "DATA before HEADERS")
            else:
                self._fail(stream, ErrorCode.STREAM_CLOSED, "DATA after END_STREAM")
            return None
        if length > stream.receive_window:
            text = f"DATA of {length} bytes; the stream's window is {stream.receive_window}"
            self._fail(stream, ErrorCode.FLOW_CONTROL_ERROR, text)
            return None
        stream.receive_window -= length
        self._budget.earned += payload * EARNED_PER_BYTE
        if payload != length:
            self.consume(stream, length - payload)
        return stream

    def on_payload(self, stream: Stream, piece: bytes) -> None:
        if stream.state is StreamState.CLOSED:
            return  # we have reset it in the middle of the frame
        if stream.inbox:
            append_piece(stream.inbox, piece)
        else:
            stream.inbox.append(piece)
        size = len(piece)
        stream.received_bytes += size
        if not stream.listener_consumes:
            self.consume(stream, size)
        self._touch(stream)

    def on_end(self, stream: Stream) -> None:
        if stream.state is not StreamState.CLOSED:
            length = stream.headers.content_length  # type: ignore[union-attr]  # a response without headers does not end
            if length is not None and length != stream.received_bytes:
                stream.trailers = None  # what they say is not to be believed
                text = f"content-length is {length}, but {stream.received_bytes} bytes of DATA came"
                self._fail(stream, ErrorCode.PROTOCOL_ERROR, text)
                return
            stream.ended_s = self._now_s
            self.streams.move(stream, StreamEvent.RECEIVE_END)
            self._touch(stream)

    def on_fragment(self) -> None:
        self._budget.spend(1, "a header block in pieces")

    def on_header_block(self, stream_id: int, block: bytes, ends: bool) -> None:
        stream = self.streams.get(stream_id) or self._find(stream_id, "HEADERS", 1 + len(block) / 256)
        try:
            # Decoded also for a stream that is gone: the block may change the table.
            headers = self._decoder.decode(block)
            if stream is None:
                return
            if self._place(stream, headers, ends):
                if ends:
                    self.on_end(stream)
                else:
                    self._touch(stream)
        except StreamFault as fault:
            if stream is not None:
                self._fail(stream, fault.code, str(fault))

    def _place(self, stream: Stream, headers: HeaderList, ends: bool) -> bool:
        """Put a header list where it belongs in the response (RFC 9113 section 8.1); False for an interim response."""
        status = headers.status
        if stream.state >= _ENDED:
            raise StreamFault(ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM")
        if stream.headers is None:
            if status is None:
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, "a response without :status")
            if status < 200:
                if ends:
                    raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"interim response {status} with END_STREAM")
                self._budget.spend(1, "an interim response")
                return False
            stream.headers = headers
        elif not ends:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM")
        elif status is not None:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, ":status in trailers")
        if ends:
            stream.trailers = headers
        return True

    def on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == FrameType.WINDOW_UPDATE:
            self._on_window_update(stream_id, payload)
        elif kind == FrameType.PING:
            self._on_ping(flags, stream_id, payload)
        elif kind == FrameType.RST_STREAM:
            self._on_rst_stream(stream_id, payload)
        elif kind == FrameType.SETTINGS:
            self._on_settings(flags, stream_id, payload)
        elif kind == FrameType.GOAWAY:
            self._on_goaway(stream_id, payload)
        elif kind == FrameType.PUSH_PROMISE:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which our SETTINGS forbid")
        elif kind == FrameType.PRIORITY and (not stream_id or len(payload) != 5):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"PRIORITY of {len(payload)} bytes on stream {stream_id}")
        else:
            self._budget.spend(1 + len(payload) * EARNED_PER_BYTE, f"a frame of type {kind:#x}")

    def _on_window_update(self, stream_id: int, payload: bytes) -> None:
        self._budget.spend(0.5, "WINDOW_UPDATE")
        increment = frames.decode_u32(payload, "WINDOW_UPDATE") & MAX_WINDOW
        if not stream_id:
            self._touched += self._requests.widen(increment)
            return
        stream = self._find(stream_id, "WINDOW_UPDATE", 0.5)
        if stream is None:
            return
        try:
            if self._requests.widen_stream(stream, increment):
                self._touched.append(stream)
        except StreamFault as fault:
            self._fail(stream, fault.code, str(fault))

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 8 or stream_id:
            code = ErrorCode.PROTOCOL_ERROR if stream_id else ErrorCode.FRAME_SIZE_ERROR
            raise ConnectionFault(code, f"PING of {len(payload)} bytes on stream {stream_id}")
        self._budget.spend(1, "PING")
        if not flags & ACK:
            self.out += frames.encode_ping(payload, ack=True)
            self.pings_answered += 1

    def _on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        code = frames.decode_u32(payload, "RST_STREAM")
        stream = self._find(stream_id, "RST_STREAM", 1)
        if stream is not None:
            if stream.state is not _ENDED:  # else the response is complete and counts (RFC 9113 section 8.1)
                stream.ended_s = self._now_s
                stream.reset_code = code
                stream.unprocessed = code == ErrorCode.REFUSED_STREAM and stream.headers is None
            self.streams.move(stream, StreamEvent.RESET)
            self._touched.append(stream)

    def _on_goaway(self, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        self._budget.spend(1, "GOAWAY")
        last, code, debug = frames.decode_goaway(payload)
        self.streams.state = ConnectionState.DRAINING
        self.goaway_code = code
        self.goaway = f"GOAWAY {error_name(code)}, last stream {last}" + (f": {debug[:256]!r}" if debug else "")
        why = ConnectionFault(ErrorCode.REFUSED_STREAM, f"the server refused the stream: {self.goaway}")
        self._touched += self.streams.end_above(last, why, self._now_s)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        self._budget.spend(1 + len(payload) / 64, "SETTINGS")
        if flags & ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS ACK with {len(payload)} bytes")
            return
        self._touched += self._requests.apply_settings(payload)
        if self.streams.state is ConnectionState.OPENING:
            self.streams.state = ConnectionState.OPEN
        self.out += frames.SETTINGS_ACK
