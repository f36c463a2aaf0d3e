"""Cuts received bytes into frames and checks what needs no stream: sizes, padding, order of header blocks, preface.

DATA is handed on as it arrives, so that neither a large frame nor a slow peer makes anyone collect or copy it twice;
every other frame is handed on whole.
"""

from __future__ import annotations

from typing import Final, Protocol

from triton_users.transport.http2 import frames
from triton_users.transport.http2.faults import ConnectionFault, ErrorCode
from triton_users.transport.http2.frames import ACK, END_HEADERS, END_STREAM, PADDED, PRIORITY, FrameType
from triton_users.transport.http2.stream import Stream

_DATA: Final = int(FrameType.DATA)
_HEADERS: Final = int(FrameType.HEADERS)
_CONTINUATION: Final = int(FrameType.CONTINUATION)
_SETTINGS: Final = int(FrameType.SETTINGS)
#: What a peer is seen to speak instead of HTTP/2, in the text of its fault.
SPEAKS_HTTP_1: Final = "it speaks HTTP/1"
SPEAKS_TLS: Final = "it speaks TLS"
#: The begin of a TLS alert and of a handshake message (RFC 8446 section 5.1).
_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")

_HEADER_SIZE: Final = frames.HEADER_SIZE
_unpack_header: Final = frames.FRAME_HEADER.unpack_from


class FrameHandler(Protocol):
    """Says what frames mean."""

    def on_data(self, stream_id: int, length: int, payload: int, ends: bool) -> Stream | None:
        """A DATA frame begins: its flow-controlled length, the payload in it. The stream to give that to, or None."""
        ...

    def on_payload(self, stream: Stream, piece: bytes) -> None:
        """Some of a DATA frame's payload."""
        ...

    def on_end(self, stream: Stream) -> None:
        """A DATA frame with END_STREAM is complete."""
        ...

    def on_header_block(self, stream_id: int, block: bytes, ends: bool) -> None:
        """A header block is complete."""
        ...

    def on_fragment(self) -> None:
        """A header block comes in pieces, and this is one."""
        ...

    def on_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Any other frame, known or not."""
        ...


class FrameReader:
    """What has been cut so far. `parse` calls the handler's methods in the order of the frames.

    The handler comes with each call, for one that owns the reader and were kept here would need a garbage collection.
    """

    def __init__(self, max_frame: int, max_header_block: int) -> None:
        self._max_frame = max_frame
        self._max_header_block = max_header_block
        #: Whether the peer has begun as an HTTP/2 server does.
        self.greeted = False
        # An incomplete frame, and how many bytes are needed to go on with it.
        self._partial = bytearray()
        self._needed = _HEADER_SIZE
        # The DATA frame being read: its stream (None: ignore it), and the bytes of payload and of padding to come.
        self._data_stream: Stream | None = None
        self._data_left = 0
        self._padding_left = 0
        self._data_ends = False
        # The header block whose CONTINUATION must come next; 0 for none.
        self._block_id = 0
        self._block = bytearray()
        self._block_ends = False

    # Cutting

    def parse(self, data: bytes, handler: FrameHandler) -> None:
        """Take received bytes. ConnectionFault for what RFC 9113 calls a connection error."""
        if self._partial:
            self._partial += data
            if len(self._partial) < self._needed:
                return
            data = bytes(self._partial)
            self._partial.clear()
        position = 0
        size = len(data)
        if self._data_left or self._padding_left:
            position = self._go_on_with_data(data, 0, handler)
        while True:
            start = position + _HEADER_SIZE
            if start > size:
                self._needed = _HEADER_SIZE
                break
            high, low, kind, flags, stream_id = _unpack_header(data, position)
            length = high << 8 | low
            stream_id &= 0x7FFFFFFF
            if length > self._max_frame or self._block_id or not self.greeted:
                self._check(data[position : position + 16], kind, flags, stream_id, length)
            end = start + length
            if kind == _DATA:
                if end <= size and not flags & PADDED:
                    stream = handler.on_data(stream_id, length, length, bool(flags & END_STREAM))
                    if stream is not None:
                        if length:
                            handler.on_payload(stream, data[start:end])
                        if flags & END_STREAM:
                            handler.on_end(stream)
                    position = end
                    continue
                if flags & PADDED and length and start == size:
                    self._needed = _HEADER_SIZE + 1  # the pad length
                    break
                start = self._begin_data(data, start, flags, stream_id, length, handler)
                position = self._go_on_with_data(data, start, handler)
                continue
            if end > size:
                self._needed = _HEADER_SIZE + length
                break
            payload = data[start:end]
            position = end
            if kind == _HEADERS:
                self._on_headers(flags, stream_id, payload, handler)
            elif kind == _CONTINUATION:
                self._on_continuation(flags, stream_id, payload, handler)
            else:
                handler.on_frame(kind, flags, stream_id, payload)
        if position < size:
            self._partial += memoryview(data)[position:]

    def _check(self, start: bytes, kind: int, flags: int, stream_id: int, length: int) -> None:
        """What only needs a look at the begin of a connection, within a header block, or at a very long frame."""
        if not self.greeted:
            # RFC 9113 section 3.4: the server's preface is a SETTINGS frame.
            if kind != _SETTINGS or flags & ACK or stream_id:
                raise self._no_preface(start)
            self.greeted = True
        if length > self._max_frame:
            text = f"frame of type {kind:#x} with {length} bytes; {self._max_frame} are allowed"
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, text)
        if self._block_id and (kind != _CONTINUATION or stream_id != self._block_id):
            text = f"frame of type {kind:#x} on stream {stream_id} within the header block of stream {self._block_id}"
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, text)

    def _no_preface(self, start: bytes) -> ConnectionFault:
        spoken = ""
        if start.startswith(b"HTTP/"):
            spoken = f" ({SPEAKS_HTTP_1})"
        elif start[:2] in _TLS_RECORDS:
            spoken = f" ({SPEAKS_TLS})"
        text = f"the peer begins with {start!r}, which is no SETTINGS frame{spoken}"
        return ConnectionFault(ErrorCode.PROTOCOL_ERROR, text)

    def end(self) -> None:
        """The bytes end here. ConnectionFault if all that came is the begin of something that is no HTTP/2."""
        if not self.greeted and self._partial:
            raise self._no_preface(bytes(self._partial[:16]))

    # DATA that is padded or incomplete (RFC 9113 section 6.1)

    def _begin_data(
        self, data: bytes, start: int, flags: int, stream_id: int, length: int, handler: FrameHandler
    ) -> int:
        """Note what is to come of a frame; where its payload starts."""
        padding = overhead = 0
        if flags & PADDED:
            if not length or data[start] >= length:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"DATA of {length} bytes holds more padding than that")
            padding = data[start]
            overhead = padding + 1
            start += 1
        self._data_ends = bool(flags & END_STREAM)
        self._data_left = length - overhead
        self._padding_left = padding
        self._data_stream = handler.on_data(stream_id, length, length - overhead, self._data_ends)
        return start

    def _go_on_with_data(self, data: bytes, position: int, handler: FrameHandler) -> int:
        """Hand on what there is of the current frame; the position after it."""
        stream = self._data_stream
        taken = min(self._data_left, len(data) - position)
        if taken:
            self._data_left -= taken
            if stream is not None:
                handler.on_payload(stream, data[position : position + taken])
            position += taken
        skipped = min(self._padding_left, len(data) - position) if not self._data_left else 0
        self._padding_left -= skipped
        if not self._data_left and not self._padding_left:
            self._data_stream = None
            if stream is not None and self._data_ends:
                handler.on_end(stream)
        return position + skipped

    # Header blocks (RFC 9113 sections 4.3, 6.2 and 6.10)

    def _on_headers(self, flags: int, stream_id: int, payload: bytes, handler: FrameHandler) -> None:
        if not stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        fragment = frames.header_fragment(flags, payload) if flags & (PADDED | PRIORITY) else payload
        if flags & END_HEADERS and len(fragment) <= self._max_header_block:
            handler.on_header_block(stream_id, fragment, bool(flags & END_STREAM))
            return
        self._block_id = stream_id
        self._block_ends = bool(flags & END_STREAM)
        self._grow_block(fragment, handler)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes, handler: FrameHandler) -> None:
        if not self._block_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"CONTINUATION on stream {stream_id} without HEADERS")
        self._grow_block(payload, handler)
        if flags & END_HEADERS:
            block = bytes(self._block)
            self._block.clear()
            self._block_id = 0
            handler.on_header_block(stream_id, block, self._block_ends)

    def _grow_block(self, fragment: bytes, handler: FrameHandler) -> None:
        handler.on_fragment()
        self._block += fragment
        if len(self._block) > self._max_header_block:
            text = f"header block of more than {self._max_header_block} bytes on stream {self._block_id}"
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, text)
