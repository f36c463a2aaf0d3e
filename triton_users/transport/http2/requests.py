"""Sends requests within the peer's limits: header blocks, DATA, both windows of sending; knows nothing of responses.

Whoever uses it sends what the methods return, in the order of the calls.
"""

from __future__ import annotations

from typing import Final

from triton_users.transport.http2 import frames
from triton_users.transport.http2.budget import EARNED_PER_BYTE, EARNED_PER_STREAM, Budget
from triton_users.transport.http2.faults import ConnectionFault, ErrorCode, StreamFault
from triton_users.transport.http2.frames import END_HEADERS, END_STREAM, MAX_WINDOW, FrameType, Setting
from triton_users.transport.http2.headers import HeaderEncoder, RequestHeaders
from triton_users.transport.http2.settings import PeerSettings
from triton_users.transport.http2.stream import Stream, StreamEvent, StreamState
from triton_users.transport.http2.streams import StreamTable

#: RFC 9113 section 6.9.2: the connection's windows at its start.
DEFAULT_WINDOW: Final = 65_535
#: The most bytes of DATA cut at once, so that a large request does not hold its caller: 50 to 100 us of copying.
MAX_DATA_AT_ONCE: Final = 256 * 1024

_HEADERS: Final = int(FrameType.HEADERS)
_DATA: Final = int(FrameType.DATA)
_pack_header: Final = frames.FRAME_HEADER.pack


class RequestSender:
    """The sending half of a connection. Attributes are for reading."""

    __slots__ = ("_budget", "_encoder", "_receive_window", "peer", "send_window", "streams")

    def __init__(self, streams: StreamTable, budget: Budget, receive_window: int) -> None:
        """`receive_window`: what each new stream allows the peer, in bytes."""
        self.streams = streams
        self.peer = PeerSettings()
        #: DATA bytes that we may still send on all streams together.
        self.send_window = DEFAULT_WINDOW
        self._receive_window = receive_window
        self._encoder = HeaderEncoder()
        self._budget = budget

    # Requests

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
        self._budget.earned += EARNED_PER_STREAM
        return self.streams.add(self.peer.initial_window, self._receive_window)

    def data(self, stream: Stream, prefix: bytes, body: bytes) -> bytes | None:
        """One DATA frame with all of `prefix + body`, without END_STREAM; None if a window or a frame is too small."""
        size = len(prefix) + len(body)
        if size > stream.send_window or size > self.send_window or size > self.peer.max_frame:
            return None
        stream.send_window -= size
        self.send_window -= size
        self._budget.earned += EARNED_PER_STREAM
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
        self._budget.earned += allowed * EARNED_PER_BYTE
        if end_stream and allowed == len(data):
            self.streams.move(stream, StreamEvent.SEND_END)
        return allowed, parts

    def finish(self, stream: Stream) -> bytes:
        """End our side of a stream with an empty DATA."""
        self.streams.move(stream, StreamEvent.SEND_END)
        return frames.encode_data_header(0, END_STREAM, stream.id)

    # The peer's limits

    def apply_settings(self, payload: bytes) -> list[Stream]:
        """Take over the peer's SETTINGS; the streams that were blocked on window and may try again."""
        peer = self.peer
        window = peer.initial_window
        for key, value in frames.decode_settings(payload):
            peer.apply(key, value)
            if key == Setting.HEADER_TABLE_SIZE:
                self._encoder.resize(value)  # each: the smallest of several must be announced, too
        if peer.initial_window == window:
            return []
        self.streams.resize_send_windows(peer.initial_window - window)
        return self.streams.unblock_all()

    def widen(self, increment: int) -> list[Stream]:
        """More window for all streams together; those that were blocked on window and may try again."""
        self.send_window += increment
        if not increment or self.send_window > MAX_WINDOW:
            code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
            raise ConnectionFault(code, f"WINDOW_UPDATE of {increment} makes the window {self.send_window}")
        return self.streams.unblock_all()

    def widen_stream(self, stream: Stream, increment: int) -> bool:
        """More window for one stream; whether it was blocked on that. StreamFault if that is nothing, or too much."""
        stream.send_window += increment
        if not increment or stream.send_window > MAX_WINDOW:
            code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
            raise StreamFault(code, f"WINDOW_UPDATE of {increment} makes the window {stream.send_window}")
        return self.streams.unblock(stream)
