"""The client side of one HTTP/2 connection (RFC 9113) as a state machine: bytes in, bytes out, streams that have news.

It does no I/O, knows no clock (it is told the time) and no gRPC. Whoever drives it

- sends `start()` first, then whatever `request`, `open`, `take_data` and `finish` return, in the order of the calls;
- passes received bytes to `receive` and tells the listener of each returned stream;
- sends what has gathered in `out` whenever convenient: replies, credit, resets.

A peer's fault never leaves as an exception: `receive` ends the connection, says why in `fault`, and leaves a GOAWAY in
`out`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from triton_users.transport.http2 import frames
from triton_users.transport.http2.budget import Budget
from triton_users.transport.http2.faults import ConnectionFault, ErrorCode, StreamFault, error_name
from triton_users.transport.http2.frames import ACK, END_HEADERS, END_STREAM, MAX_WINDOW, FrameType, Setting
from triton_users.transport.http2.headers import HeaderDecoder, HeaderEncoder, HeaderList, RequestHeaders
from triton_users.transport.http2.pieces import append_piece
from triton_users.transport.http2.reader import FrameReader
from triton_users.transport.http2.settings import PeerSettings
from triton_users.transport.http2.stream import Stream, StreamEvent, StreamState
from triton_users.transport.http2.streams import StreamTable

#: RFC 9113 section 6.9.2: the connection's windows at its start.
DEFAULT_WINDOW: Final = 65_535
#: The most bytes of DATA cut at once, so that a large request does not hold its caller: 50 to 100 us of copying.
MAX_DATA_AT_ONCE: Final = 256 * 1024
#: What a new stream and a byte of DATA earn the peer (see `Budget`). Picked so that a server may answer each request
#: with several WINDOW_UPDATE and PING frames, and go on for a while on a stream that we have reset.
EARNED_PER_STREAM: Final = 16.0
EARNED_PER_BYTE: Final = 1 / 1024

_HEADERS: Final = int(FrameType.HEADERS)
_DATA: Final = int(FrameType.DATA)
_ENDED: Final = StreamState.HALF_CLOSED_REMOTE
_pack_header: Final = frames.FRAME_HEADER.pack


class ConnectionState(IntEnum):
    """Where a connection is in its life."""

    #: Waiting for the server's first SETTINGS (RFC 9113 section 3.4).
    OPENING = 0
    #: Streams can be opened.
    OPEN = 1
    #: GOAWAY came, or ids ran out: open streams finish, no new ones.
    DRAINING = 2
    #: Over; every stream has been closed.
    CLOSED = 3


@dataclass(frozen=True)
class Limits:
    """What we allow the peer. Bytes."""

    stream_window: int
    max_frame: int
    max_header_list: int
    connection_window: int = MAX_WINDOW


class Http2Connection(FrameReader):
    """See the module's docstring. Attributes are for reading, but for `out`, which the driver empties."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits.max_frame, limits.max_header_list)
        self.limits = limits
        self.state = ConnectionState.OPENING
        self.peer = PeerSettings()
        self.streams = StreamTable()
        self.out = bytearray()
        #: The peer's fault that ended the connection.
        self.fault: ConnectionFault | None = None
        #: The peer's GOAWAY, in words, and its code; None before it.
        self.goaway: str | None = None
        self.goaway_code: int | None = None
        #: DATA bytes that we may still send on all streams together.
        self.send_window = DEFAULT_WINDOW
        self.pings_answered = 0
        self._receive_window = limits.connection_window
        self._receive_unacked = 0
        self._encoder = HeaderEncoder()
        self._decoder = HeaderDecoder(limits.max_header_list)
        self._budget = Budget()
        self._earned = 0.0
        # While `receive` runs: the streams with news, and the time.
        self._touched: list[Stream] = []
        self._now_s = 0.0

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
        return self.state is ConnectionState.OPEN and len(self.streams) < self.peer.max_streams

    def request(self, headers: RequestHeaders, extra: bytes, prefix: bytes, body: bytes) -> tuple[Stream, bytes] | None:
        """Open a stream whose whole request goes out at once; None if a window or a frame is too small for that.

        `extra` holds literal fields (`encode_literal`) that follow them; DATA is `prefix + body`. Between this
        call and the sending of its bytes nothing else may be sent: stream ids must rise on the wire, and header blocks
        must keep their order.
        """
        size = len(prefix) + len(body)
        window = self.peer.initial_window
        if size > window or size > self.send_window or size > self.peer.max_frame:
            return None
        block = self._encoder.encode(headers) + extra
        stream = self._new_stream()
        stream.state = StreamState.HALF_CLOSED_LOCAL  # SEND_HEADERS and SEND_END in one step
        stream.send_window = window - size
        self.send_window -= size
        stream_id = stream.id
        length = len(block)
        if length > self.peer.max_frame:
            opening = frames.encode_headers(stream_id, block, False, self.peer.max_frame)
        else:
            opening = _pack_header(length >> 8, length & 0xFF, _HEADERS, END_HEADERS, stream_id) + block
        return stream, opening + _pack_header(size >> 8, size & 0xFF, _DATA, END_STREAM, stream_id) + prefix + body

    def open(self, headers: RequestHeaders, extra: bytes) -> tuple[Stream, bytes]:
        """Open a stream and return its HEADERS; the rules of `request` apply."""
        block = self._encoder.encode(headers) + extra
        stream = self._new_stream()
        stream.move(StreamEvent.SEND_HEADERS)
        return stream, frames.encode_headers(stream.id, block, False, self.peer.max_frame)

    def _new_stream(self) -> Stream:
        assert self.state is ConnectionState.OPEN, f"a stream on a connection that is {self.state.name}"
        stream = self.streams.add(self.peer.initial_window, self.limits.stream_window)
        if self.streams.exhausted:
            self.state = ConnectionState.DRAINING
        self._earned += EARNED_PER_STREAM
        return stream

    def data(self, stream: Stream, prefix: bytes, body: bytes) -> bytes | None:
        """One DATA frame with all of `prefix + body`, without END_STREAM; None if a window or a frame is too small."""
        size = len(prefix) + len(body)
        if size > stream.send_window or size > self.send_window or size > self.peer.max_frame:
            return None
        stream.send_window -= size
        self.send_window -= size
        self._earned += EARNED_PER_STREAM
        return _pack_header(size >> 8, size & 0xFF, _DATA, 0, stream.id) + prefix + body

    def take_data(self, stream: Stream, data: memoryview, end_stream: bool) -> tuple[int, list[bytes | memoryview]]:
        """Cut as much of `data` into DATA frames as the windows allow: the count of bytes taken, and what to send.

        Zero taken of a non-empty `data` means: wait until `receive` returns this stream, then try again, or find it
        ended.
        """
        allowed = min(len(data), stream.send_window, self.send_window, MAX_DATA_AT_ONCE)
        if allowed <= 0:
            if len(data):
                self.streams.block(stream)
            return 0, []
        parts: list[bytes | memoryview] = []
        for start in range(0, allowed, self.peer.max_frame):
            stop = min(start + self.peer.max_frame, allowed)
            ends = END_STREAM if end_stream and stop == len(data) else 0
            parts.append(frames.encode_data_header(stop - start, ends, stream.id))
            parts.append(data[start:stop])
        stream.send_window -= allowed
        self.send_window -= allowed
        self._earned += allowed * EARNED_PER_BYTE
        if end_stream and allowed == len(data):
            self.streams.move(stream, StreamEvent.SEND_END)
        return allowed, parts

    def finish(self, stream: Stream) -> bytes:
        """End our side of a stream with an empty DATA."""
        self.streams.move(stream, StreamEvent.SEND_END)
        return frames.encode_data_header(0, END_STREAM, stream.id)

    def reset(self, stream: Stream, code: ErrorCode, fault: Exception | None = None) -> None:
        """End a stream from our side with RST_STREAM; no effect on a closed one."""
        if stream.state is StreamState.CLOSED:
            return
        stream.fault = fault
        self.out += frames.encode_rst_stream(stream.id, code)
        # What the peer has sent before it sees that is not its fault.
        self._earned += EARNED_PER_STREAM + stream.receive_window * EARNED_PER_BYTE
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

    def lost(self, why: Exception | None) -> list[Stream]:
        """The transport is gone: end every stream with `why`; the streams that were open."""
        self.state = ConnectionState.CLOSED
        return self.streams.end_all(why)

    # Receiving

    def receive(self, data: bytes, now_s: float) -> list[Stream]:
        """Take bytes from the peer; the streams that have news, in order, some perhaps more than once.

        News are: the headers, DATA, the end, or window for a sender that was blocked on window.
        """
        touched = self._touched = []
        if self.state is ConnectionState.CLOSED:
            return touched
        self._now_s = now_s
        self._budget.refill(now_s, self._earned)
        self._earned = 0.0
        try:
            self.parse(data)
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
        self._earned += payload * EARNED_PER_BYTE
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
        code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
        if not stream_id:
            self.send_window += increment
            if not increment or self.send_window > MAX_WINDOW:
                raise ConnectionFault(code, f"WINDOW_UPDATE of {increment} makes the window {self.send_window}")
            self._touched += self.streams.unblock_all()
            return
        stream = self._find(stream_id, "WINDOW_UPDATE", 0.5)
        if stream is None:
            return
        stream.send_window += increment
        if not increment or stream.send_window > MAX_WINDOW:
            self._fail(stream, code, f"WINDOW_UPDATE of {increment} makes the window {stream.send_window}")
        elif self.streams.unblock(stream):
            self._touched.append(stream)

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
        self.state = ConnectionState.DRAINING
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
        peer = self.peer
        window = peer.initial_window
        for key, value in frames.decode_settings(payload):
            peer.apply(key, value)
            if key == Setting.HEADER_TABLE_SIZE:
                self._encoder.resize(value)  # each: the smallest of several must be announced, too
        if peer.initial_window != window:
            self.streams.resize_send_windows(peer.initial_window - window)
            self._touched += self.streams.unblock_all()
        if self.state is ConnectionState.OPENING:
            self.state = ConnectionState.OPEN
        self.out += frames.SETTINGS_ACK
