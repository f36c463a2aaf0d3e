"""The client side of one HTTP/2 connection (RFC 9113) as a state machine: bytes in, bytes out, streams that have news.

It does no I/O, knows no clock (it is told the time) and no gRPC. Whoever drives it

- sends `start()` first, then whatever `request`, `open`, `take_data` and `finish` return, in the order of the calls;
- passes received bytes to `receive` and tells the owner of each returned stream;
- sends what has gathered in `out` whenever convenient: replies, credit, resets.

A peer's fault never leaves as an exception: `receive` ends the connection, says why in `fault`, and leaves a GOAWAY in `out`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from triton_users.transport.http2 import frames
from triton_users.transport.http2.budget import Budget
from triton_users.transport.http2.faults import ConnectionFault, ErrorCode, StreamFault, error_name
from triton_users.transport.http2.frames import ACK, END_HEADERS, END_STREAM, PADDED, FrameType, Setting
from triton_users.transport.http2.headers import HeaderDecoder, HeaderEncoder, RequestHead
from triton_users.transport.http2.stream import Stream, StreamEvent, StreamState

#: RFC 9113 section 6.9.2: windows before any SETTINGS.
DEFAULT_WINDOW: Final = 65_535
#: Stream ids are 31 bits; the connection is replaced long before the last one.
LAST_STREAM_ID: Final = 2**31 - 1
#: The most bytes of DATA cut at once, so that a large request does not hold its caller (one memcpy of it: about 50 us).
MAX_DATA_AT_ONCE: Final = 256 * 1024

_DATA: Final = int(FrameType.DATA)
_HEADERS: Final = int(FrameType.HEADERS)
_CONTINUATION: Final = int(FrameType.CONTINUATION)
_SETTINGS: Final = int(FrameType.SETTINGS)
_unpack_head: Final = frames.FRAME_HEAD.unpack_from
_pack_head: Final = frames.FRAME_HEAD.pack


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
    connection_window: int = frames.MAX_WINDOW


class Connection:
    """See the module's docstring. Attributes are for reading, but for `out`, which the driver empties."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.state = ConnectionState.OPENING
        self.out = bytearray()
        self.streams: dict[int, Stream] = {}
        self.fault: ConnectionFault | None = None
        #: The peer's GOAWAY, in words; None before it.
        self.goaway: str | None = None
        self.goaway_code: int = ErrorCode.NO_ERROR
        #: The peer's settings.
        self.max_streams = LAST_STREAM_ID
        self.peer_max_frame = 16_384
        self.peer_max_header_list: int | None = None
        self._peer_stream_window = DEFAULT_WINDOW
        self.send_window = DEFAULT_WINDOW
        self.pings_answered = 0
        #: Opaque bytes of the peer's last PING acknowledgement.
        self.pong: bytes | None = None
        self._next_id = 1
        self._receive_window = limits.connection_window
        self._receive_unacked = 0
        self._encoder = HeaderEncoder()
        self._decoder = HeaderDecoder(limits.max_header_list)
        self._budget = Budget()
        self._useful = 0.0
        #: Streams that have DATA to send and no window for it.
        self._starved: dict[int, Stream] = {}
        # The parser: an incomplete frame, and how many bytes are needed to go on with it.
        self._partial = bytearray()
        self._needed = frames.HEAD_SIZE
        # The DATA frame whose payload is being read: its stream (None: gone), bytes of payload and of padding to come.
        self._data_stream: Stream | None = None
        self._data_left = 0
        self._padding_left = 0
        self._data_ends = False
        # The header block whose CONTINUATION must come next.
        self._block_id = 0
        self._block = bytearray()
        self._block_ends = False

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
        return self.state is ConnectionState.OPEN and len(self.streams) < self.max_streams

    def request(self, head: RequestHead, extra: bytes, body: bytes) -> tuple[Stream, bytes] | None:
        """Open a stream whose whole request goes out at once; None if the windows or the frame size forbid that.

        `extra` holds literal fields (`encode_literal`) that follow the head's. Between this call and sending the bytes
        nothing else may be sent: stream ids must rise on the wire, and header blocks must keep their order.
        """
        size = len(body)
        window = self._peer_stream_window
        if size > window or size > self.send_window or size > self.peer_max_frame:
            return None
        block = self._encoder.encode(head) + extra
        length = len(block)
        if length > self.peer_max_frame:
            return None
        stream = self._new_stream()
        stream.send_window = window - size
        self.send_window -= size
        stream.state = StreamState.HALF_CLOSED_LOCAL  # IDLE, SEND_HEADERS, SEND_END in one step
        stream_id = stream.id
        return stream, b"".join(
            (
                _pack_head(length >> 8, length & 0xFF, _HEADERS, END_HEADERS, stream_id),
                block,
                _pack_head(size >> 8, size & 0xFF, _DATA, END_STREAM, stream_id),
                body,
            )
        )

    def open(self, head: RequestHead, extra: bytes) -> tuple[Stream, bytes]:
        """Open a stream and return its HEADERS; the rules of `request` apply."""
        block = self._encoder.encode(head) + extra
        stream = self._new_stream()
        stream.move(StreamEvent.SEND_HEADERS)
        return stream, frames.encode_headers(stream.id, block, False, self.peer_max_frame)

    def _new_stream(self) -> Stream:
        stream_id = self._next_id
        assert self.state is ConnectionState.OPEN, f"a stream on a connection that is {self.state.name}"
        self._next_id = stream_id + 2
        if self._next_id > LAST_STREAM_ID:
            self.state = ConnectionState.DRAINING
        stream = Stream(stream_id, self._peer_stream_window, self.limits.stream_window)
        self.streams[stream_id] = stream
        self._useful += 16
        return stream

    def take_data(self, stream: Stream, data: memoryview, end_stream: bool) -> tuple[int, list[bytes | memoryview]]:
        """Cut as much of `data` into DATA frames as the windows allow: the count of bytes taken, and what to send.

        Zero taken (of a non-empty `data`) means: wait until `receive` returns this stream, then try again or find it ended.
        """
        allowed = min(len(data), stream.send_window, self.send_window, MAX_DATA_AT_ONCE)
        if allowed <= 0 and data:
            self._starved[stream.id] = stream
            return 0, []
        allowed = max(allowed, 0)
        parts: list[bytes | memoryview] = []
        start = 0
        while True:
            stop = min(start + self.peer_max_frame, allowed)
            last = end_stream and stop == len(data)
            parts.append(frames.encode_data_head(stop - start, END_STREAM if last else 0, stream.id))
            parts.append(data[start:stop])
            start = stop
            if start == allowed:
                break
        stream.send_window -= allowed
        self.send_window -= allowed
        self._useful += allowed / 1_024
        if end_stream and allowed == len(data):
            self._move(stream, StreamEvent.SEND_END)
        return allowed, parts

    def finish(self, stream: Stream) -> bytes:
        """End our side of a stream with an empty DATA."""
        self._move(stream, StreamEvent.SEND_END)
        return frames.encode_data_head(0, END_STREAM, stream.id)

    def reset(self, stream: Stream, code: ErrorCode, fault: Exception | None = None) -> None:
        """End a stream from our side with RST_STREAM; no effect on a closed one."""
        if stream.state is StreamState.CLOSED:
            return
        stream.fault = fault
        self.out += frames.encode_rst_stream(stream.id, code)
        self._move(stream, StreamEvent.RESET)

    def consume(self, stream: Stream, size: int) -> None:
        """Give credit for `size` bytes of a stream with `buffer_on_receipt` off, in steps of half a window."""
        stream.receive_unacked += size
        unacked = stream.receive_unacked
        if unacked * 2 >= self.limits.stream_window and not stream.response_ended:
            stream.receive_unacked = 0
            stream.receive_window += unacked
            self.out += frames.encode_window_update(stream.id, unacked)

    def ping(self, opaque: bytes) -> None:
        """Send a PING; its echo appears in `pong`."""
        self.out += frames.encode_ping(opaque)

    def close(self) -> list[Stream]:
        """Say goodbye and end every stream; the streams that were open."""
        if self.state is not ConnectionState.CLOSED:
            self.out += frames.encode_goaway(0, ErrorCode.NO_ERROR)
        return self.lost(None)

    def lost(self, why: Exception | None) -> list[Stream]:
        """The transport is gone: end every stream with `why`; the streams that were open."""
        self.state = ConnectionState.CLOSED
        ended = list(self.streams.values())
        for stream in ended:
            stream.fault = stream.fault or why
            self._move(stream, StreamEvent.RESET)
        return ended

    def _move(self, stream: Stream, event: StreamEvent) -> None:
        stream.move(event)
        if stream.state is StreamState.CLOSED:
            self.streams.pop(stream.id, None)
            self._starved.pop(stream.id, None)

    # Receiving

    def receive(self, data: bytes, now_s: float) -> list[Stream]:
        """Take bytes from the peer; the streams that have news (perhaps more than once), in order.

        News are: the head, DATA, the end, or window for a starved sender.
        """
        touched: list[Stream] = []
        if self.state is ConnectionState.CLOSED:
            return touched
        self._budget.refill(now_s, self._useful)
        self._useful = 0.0
        try:
            self._parse(data, touched, now_s)
        except ConnectionFault as fault:
            self.fault = fault
            self.out += frames.encode_goaway(0, fault.code, str(fault).encode()[:256])
            touched += self.lost(fault)
        return touched

    def _parse(self, data: bytes, touched: list[Stream], now_s: float) -> None:
        if self._partial:
            self._partial += data
            if len(self._partial) < self._needed:
                return
            data = bytes(self._partial)
            self._partial.clear()
        position = 0
        size = len(data)
        while True:
            if self._data_left or self._padding_left:
                position = self._read_data(data, position, touched, now_s)
                if self._data_left or self._padding_left:
                    return
                continue
            start = position + 9
            if start > size:
                needed = 9
                break
            high, low, kind, flags, stream_id = _unpack_head(data, position)
            length = high << 8 | low
            if length > self.limits.max_frame or self.state is ConnectionState.OPENING:
                self._check_first(data[position:], kind, flags, length)
            stream_id &= 0x7FFFFFFF
            if self._block_id and (kind != _CONTINUATION or stream_id != self._block_id):
                raise ConnectionFault(
                    ErrorCode.PROTOCOL_ERROR,
                    f"frame of type {kind:#x} on stream {stream_id} inside the header block of stream {self._block_id}",
                )
            if kind == _DATA:
                if flags & PADDED and start == size and length:
                    needed = 10
                    break
                padding = self._padding(data, start, flags, length)
                position = start + 1 if flags & PADDED else start
                self._begin_data(stream_id, flags, length, padding, touched, now_s)
                continue
            end = start + length
            if end > size:
                needed = 9 + length
                break
            payload = data[start:end]
            position = end
            if kind == _HEADERS:
                if not stream_id:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
                fragment = frames.header_fragment(flags, payload) if flags & 0x28 else payload
                if flags & END_HEADERS:
                    self._on_block(stream_id, fragment, bool(flags & END_STREAM), touched, now_s)
                else:
                    self._block_id, self._block_ends = stream_id, bool(flags & END_STREAM)
                    self._grow_block(fragment)
            else:
                self._on_other(kind, flags, stream_id, payload, touched, now_s)
        if position < size:
            self._partial += memoryview(data)[position:]
            self._needed = needed

    def _check_first(self, start: bytes, kind: int, flags: int, length: int) -> None:
        """The two checks that an honest peer's frames in mid-connection never need."""
        if self.state is ConnectionState.OPENING and (kind != _SETTINGS or flags & ACK):
            spoken = " (it speaks HTTP/1)" if start.startswith(b"HTTP/") else ""
            raise ConnectionFault(
                ErrorCode.PROTOCOL_ERROR, f"the peer's first bytes are {start[:16]!r}, no SETTINGS frame{spoken}"
            )
        if length > self.limits.max_frame:
            raise ConnectionFault(
                ErrorCode.FRAME_SIZE_ERROR,
                f"frame of type {kind:#x} with {length} bytes; {self.limits.max_frame} are allowed",
            )

    # DATA (RFC 9113 section 6.1): delivered as it arrives, so that a large frame is never collected first.

    def _padding(self, data: bytes, start: int, flags: int, length: int) -> int:
        """Bytes of padding at the end of a DATA frame, -1 for the pad length byte not counted."""
        if not flags & PADDED:
            return 0
        if not length or data[start] >= length:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"DATA of {length} bytes holds more padding than that")
        return data[start]

    def _begin_data(
        self, stream_id: int, flags: int, length: int, padding: int, touched: list[Stream], now_s: float
    ) -> None:
        if length > self._receive_window:
            raise ConnectionFault(
                ErrorCode.FLOW_CONTROL_ERROR, f"DATA of {length} bytes; the connection's window is {self._receive_window}"
            )
        self._receive_window -= length
        self._receive_unacked += length
        if self._receive_unacked * 2 >= self.limits.connection_window:
            self.out += frames.encode_window_update(0, self._receive_unacked)
            self._receive_window += self._receive_unacked
            self._receive_unacked = 0
        stream = self._find(stream_id, "DATA", 1 + length / 4_096)
        overhead = length and padding + bool(flags & PADDED)
        if stream is not None:
            if stream.response_ended or stream.head is None:
                where = "after END_STREAM" if stream.response_ended else "before HEADERS"
                stream = self._stream_fault(stream, ErrorCode.STREAM_CLOSED, f"DATA {where}", touched, now_s)
            elif length > stream.receive_window:
                text = f"DATA of {length} bytes; the stream's window is {stream.receive_window}"
                stream = self._stream_fault(stream, ErrorCode.FLOW_CONTROL_ERROR, text, touched, now_s)
            else:
                stream.receive_window -= length
                if overhead:
                    self.consume(stream, overhead)
        payload = length - overhead
        if not payload and not flags & END_STREAM:
            self._budget.spend(1, "empty DATA")
        self._data_stream = stream
        self._data_left = payload
        self._padding_left = padding
        self._data_ends = bool(flags & END_STREAM)
        if not length - bool(flags & PADDED):
            self._end_data(touched, now_s)

    def _read_data(self, data: bytes, position: int, touched: list[Stream], now_s: float) -> int:
        available = len(data) - position
        stream = self._data_stream
        take = min(self._data_left, available)
        if take:
            self._data_left -= take
            if stream is not None and stream.state is not StreamState.CLOSED:
                stream.inbox.append(data[position : position + take])
                stream.received_bytes += take
                self._useful += take / 1_024
                if stream.buffer_on_receipt:
                    self.consume(stream, take)
                if not touched or touched[-1] is not stream:
                    touched.append(stream)
        skip = min(self._padding_left, available - take)
        self._padding_left -= skip
        if not self._data_left and not self._padding_left:
            self._end_data(touched, now_s)
        return position + take + skip

    def _end_data(self, touched: list[Stream], now_s: float) -> None:
        stream, self._data_stream = self._data_stream, None
        if stream is not None and self._data_ends and stream.state is not StreamState.CLOSED:
            self._end_response(stream, touched, now_s)

    # HEADERS and CONTINUATION (RFC 9113 sections 6.2, 6.10 and 8.1)

    def _grow_block(self, fragment: bytes) -> None:
        self._budget.spend(1, "a header block in pieces")
        self._block += fragment
        if len(self._block) > self.limits.max_header_list:
            raise ConnectionFault(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"header block of more than {self.limits.max_header_list} bytes on stream {self._block_id}",
            )

    def _on_block(self, stream_id: int, block: bytes, ends: bool, touched: list[Stream], now_s: float) -> None:
        stream = self._find(stream_id, "HEADERS", 1 + len(block) / 256)
        try:
            # Decoded for a stream that is gone, too: the block may change the table.
            headers = self._decoder.decode(block)
            if stream is None:
                return
            if stream.response_ended:
                raise StreamFault(ErrorCode.STREAM_CLOSED, "HEADERS after END_STREAM")
            if stream.head is None:
                if headers.status is None:
                    raise StreamFault(ErrorCode.PROTOCOL_ERROR, "a response without :status")
                if headers.status < 200:
                    if ends:
                        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"interim response {headers.status} with END_STREAM")
                    self._budget.spend(1, "an interim response")
                    return
                stream.head = headers
            elif not ends:
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers without END_STREAM")
            elif headers.status is not None:
                raise StreamFault(ErrorCode.PROTOCOL_ERROR, ":status in trailers")
        except StreamFault as fault:
            if stream is not None:
                self._stream_fault(stream, fault.code, str(fault), touched, now_s)
            return
        if ends:
            stream.trailers = headers
            self._end_response(stream, touched, now_s)
        elif not touched or touched[-1] is not stream:
            touched.append(stream)

    def _end_response(self, stream: Stream, touched: list[Stream], now_s: float) -> None:
        stream.ended_s = now_s
        self._move(stream, StreamEvent.RECEIVE_END)
        if not touched or touched[-1] is not stream:
            touched.append(stream)

    def _find(self, stream_id: int, what: str, cost: float) -> Stream | None:
        """The stream of a frame; None if it is gone (RFC 9113 section 5.1, "closed"), which costs the peer `cost`."""
        stream = self.streams.get(stream_id)
        if stream is None:
            if not stream_id & 1 or stream_id >= self._next_id:
                raise ConnectionFault(
                    ErrorCode.PROTOCOL_ERROR, f"{what} on stream {stream_id}, which was never opened"
                )
            self._budget.spend(cost, f"{what} on a stream that is gone")
        return stream

    def _stream_fault(
        self, stream: Stream, code: ErrorCode, message: str, touched: list[Stream], now_s: float
    ) -> None:
        stream.ended_s = now_s
        self.reset(stream, code, StreamFault(code, message))
        touched.append(stream)

    # All other frames

    def _on_other(
        self, kind: int, flags: int, stream_id: int, payload: bytes, touched: list[Stream], now_s: float
    ) -> None:
        if kind == FrameType.WINDOW_UPDATE:
            self._on_window_update(stream_id, payload, touched, now_s)
        elif kind == FrameType.PING:
            self._on_ping(flags, stream_id, payload)
        elif kind == FrameType.CONTINUATION:
            self._on_continuation(flags, stream_id, payload, touched, now_s)
        elif kind == FrameType.RST_STREAM:
            self._on_rst_stream(stream_id, payload, touched, now_s)
        elif kind == FrameType.SETTINGS:
            self._on_settings(flags, stream_id, payload, touched)
        elif kind == FrameType.GOAWAY:
            self._on_goaway(stream_id, payload, touched, now_s)
        elif kind == FrameType.PUSH_PROMISE:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which our SETTINGS forbid")
        elif kind == FrameType.PRIORITY:
            self._budget.spend(1, "PRIORITY")
            if not stream_id or len(payload) != 5:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"PRIORITY of {len(payload)} bytes on {stream_id}")
        else:
            self._budget.spend(1 + len(payload) / 4_096, f"frames of unknown type {kind:#x}")

    def _on_continuation(
        self, flags: int, stream_id: int, payload: bytes, touched: list[Stream], now_s: float
    ) -> None:
        if not self._block_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"CONTINUATION on stream {stream_id} without HEADERS")
        self._grow_block(payload)
        if flags & END_HEADERS:
            block = bytes(self._block)
            self._block.clear()
            self._block_id = 0
            self._on_block(stream_id, block, self._block_ends, touched, now_s)

    def _on_window_update(self, stream_id: int, payload: bytes, touched: list[Stream], now_s: float) -> None:
        self._budget.spend(0.5, "WINDOW_UPDATE")
        increment = frames.decode_u32(payload, "WINDOW_UPDATE") & frames.MAX_WINDOW
        if not stream_id:
            self.send_window += increment
            if not increment or self.send_window > frames.MAX_WINDOW:
                code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
                raise ConnectionFault(code, f"WINDOW_UPDATE of {increment} makes the window {self.send_window}")
            self._feed_starved(touched)
            return
        stream = self._find(stream_id, "WINDOW_UPDATE", 0.5)
        if stream is None:
            return
        stream.send_window += increment
        if not increment or stream.send_window > frames.MAX_WINDOW:
            code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
            text = f"WINDOW_UPDATE of {increment} makes the window {stream.send_window}"
            self._stream_fault(stream, code, text, touched, now_s)
        elif stream_id in self._starved:
            del self._starved[stream_id]
            touched.append(stream)

    def _feed_starved(self, touched: list[Stream]) -> None:
        touched += self._starved.values()
        self._starved.clear()

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 8 or stream_id:
            code = ErrorCode.PROTOCOL_ERROR if stream_id else ErrorCode.FRAME_SIZE_ERROR
            raise ConnectionFault(code, f"PING of {len(payload)} bytes on stream {stream_id}")
        self._budget.spend(1, "PING")
        if flags & ACK:
            self.pong = payload
        else:
            self.out += frames.encode_ping(payload, ack=True)
            self.pings_answered += 1

    def _on_rst_stream(self, stream_id: int, payload: bytes, touched: list[Stream], now_s: float) -> None:
        code = frames.decode_u32(payload, "RST_STREAM")
        stream = self._find(stream_id, "RST_STREAM", 1)
        if stream is None:
            return
        stream.ended_s = now_s
        stream.reset_code = code
        stream.unprocessed = code == ErrorCode.REFUSED_STREAM
        self._move(stream, StreamEvent.RESET)
        touched.append(stream)

    def _on_goaway(self, stream_id: int, payload: bytes, touched: list[Stream], now_s: float) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"GOAWAY on stream {stream_id}")
        self._budget.spend(1, "GOAWAY")
        last, code, debug = frames.decode_goaway(payload)
        self.state = ConnectionState.DRAINING
        self.goaway_code = code
        self.goaway = f"GOAWAY {error_name(code)}, last stream {last}" + (f": {debug[:256]!r}" if debug else "")
        for stream in [stream for stream in self.streams.values() if stream.id > last]:
            stream.unprocessed = True
            stream.ended_s = now_s
            stream.fault = ConnectionFault(ErrorCode.REFUSED_STREAM, self.goaway)
            self._move(stream, StreamEvent.RESET)
            touched.append(stream)

    # SETTINGS (RFC 9113 section 6.5)

    def _on_settings(self, flags: int, stream_id: int, payload: bytes, touched: list[Stream]) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"SETTINGS on stream {stream_id}")
        self._budget.spend(1 + len(payload) / 256, "SETTINGS")
        if flags & ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS ACK with {len(payload)} bytes")
            return
        for key, value in frames.decode_settings(payload):
            self._apply_setting(key, value)
        if self.state is ConnectionState.OPENING:
            self.state = ConnectionState.OPEN
        self.out += frames.SETTINGS_ACK
        self._feed_starved(touched)

    def _apply_setting(self, key: int, value: int) -> None:
        if key == Setting.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE is {value}")
            change = value - self._peer_stream_window
            self._peer_stream_window = value
            for stream in self.streams.values():
                stream.send_window += change
                if stream.send_window > frames.MAX_WINDOW:
                    raise ConnectionFault(
                        ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE {value} makes a window {stream.send_window}"
                    )
        elif key == Setting.MAX_FRAME_SIZE:
            if not 16_384 <= value <= 16_777_215:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE is {value}")
            self.peer_max_frame = value
        elif key == Setting.MAX_CONCURRENT_STREAMS:
            self.max_streams = value
        elif key == Setting.HEADER_TABLE_SIZE:
            self._encoder.resize(value)
        elif key == Setting.MAX_HEADER_LIST_SIZE:
            self.peer_max_header_list = value
        elif key == Setting.ENABLE_PUSH and value != 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH is {value}; a server must not set it")
