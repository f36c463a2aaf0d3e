"""The bytes of HTTP/2 frames (RFC 9113 sections 4 and 6): building and taking apart; knows no stream's state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from struct import Struct
from typing import Final

from triton_users.transport.http2.faults import ConnectionFault, ErrorCode

#: RFC 9113 section 3.4: what a client sends first.
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#: Length (24 bits, as 16 + 8), type, flags, stream id (31 bits; the first bit is reserved and ignored).
FRAME_HEADER: Final = Struct(">HBBBL")
#: Bytes of a frame's header.
HEADER_SIZE: Final = 9
#: RFC 9113 section 6.9.1: no window may grow beyond this.
MAX_WINDOW: Final = 2**31 - 1

_U32: Final = Struct(">L")
_SETTING: Final = Struct(">HL")
_GOAWAY: Final = Struct(">LL")


class FrameType(IntEnum):
    """RFC 9113 section 6. Unknown types are ignored (section 5.5)."""

    #: Bytes of a message body; the only flow-controlled frame.
    DATA = 0x0
    #: Opens a stream or carries its trailers.
    HEADERS = 0x1
    #: Deprecated advice; read over.
    PRIORITY = 0x2
    #: Ends a stream at once.
    RST_STREAM = 0x3
    #: Parameters of the connection.
    SETTINGS = 0x4
    #: A pushed request; we forbid it.
    PUSH_PROMISE = 0x5
    #: Liveness and round trips.
    PING = 0x6
    #: No new streams on this connection.
    GOAWAY = 0x7
    #: Credit for DATA.
    WINDOW_UPDATE = 0x8
    #: The rest of a header block.
    CONTINUATION = 0x9


#: Flags, by RFC 9113 section 6; plain integers, since they are tested for every frame.
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20


class Setting(IntEnum):
    """RFC 9113 section 6.5.2. Unknown settings are ignored."""

    #: Bytes of the HPACK table that the sender's decoder keeps.
    HEADER_TABLE_SIZE = 0x1
    #: Whether PUSH_PROMISE is allowed.
    ENABLE_PUSH = 0x2
    #: Streams that may be open at once towards the sender.
    MAX_CONCURRENT_STREAMS = 0x3
    #: Window of each new stream.
    INITIAL_WINDOW_SIZE = 0x4
    #: Largest frame payload that the sender accepts.
    MAX_FRAME_SIZE = 0x5
    #: Advice: largest header list that the sender accepts.
    MAX_HEADER_LIST_SIZE = 0x6


def encode_frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One whole frame."""
    length = len(payload)
    return FRAME_HEADER.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def encode_data_header(length: int, flags: int, stream_id: int) -> bytes:
    """The header of a DATA frame whose payload is sent beside it, uncopied."""
    return FRAME_HEADER.pack(length >> 8, length & 0xFF, FrameType.DATA, flags, stream_id)


def encode_headers(stream_id: int, block: bytes, end_stream: bool, max_frame: int) -> bytes:
    """HEADERS, and CONTINUATION frames where the block is longer than the peer's `max_frame`."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= max_frame:
        return encode_frame(FrameType.HEADERS, flags | END_HEADERS, stream_id, block)
    frames = [encode_frame(FrameType.HEADERS, flags, stream_id, block[:max_frame])]
    for start in range(max_frame, len(block), max_frame):
        last = END_HEADERS if start + max_frame >= len(block) else 0
        frames.append(encode_frame(FrameType.CONTINUATION, last, stream_id, block[start : start + max_frame]))
    return b"".join(frames)


def encode_settings(values: Mapping[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join(_SETTING.pack(key, value) for key, value in values.items())
    return encode_frame(FrameType.SETTINGS, 0, 0, payload)


#: The acknowledgement of the peer's SETTINGS.
SETTINGS_ACK: Final = encode_frame(FrameType.SETTINGS, ACK, 0)


def decode_settings(payload: bytes) -> Iterable[tuple[int, int]]:
    """The pairs of a SETTINGS payload, in order; FRAME_SIZE_ERROR unless it is a multiple of six bytes."""
    if len(payload) % 6:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes, not a multiple of 6")
    return _SETTING.iter_unpack(payload)


def encode_ping(opaque: bytes, ack: bool = False) -> bytes:
    """A PING with its eight opaque bytes."""
    return encode_frame(FrameType.PING, ACK if ack else 0, 0, opaque)


def encode_window_update(stream_id: int, increment: int) -> bytes:
    """Credit of `increment` bytes for a stream, or for the connection (stream 0)."""
    return encode_frame(FrameType.WINDOW_UPDATE, 0, stream_id, _U32.pack(increment))


def encode_rst_stream(stream_id: int, code: int) -> bytes:
    """The immediate end of a stream."""
    return encode_frame(FrameType.RST_STREAM, 0, stream_id, _U32.pack(code))


def encode_goaway(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """The end of a connection; `debug` is for the peer's log."""
    return encode_frame(FrameType.GOAWAY, 0, 0, _GOAWAY.pack(last_stream_id, code) + debug)


def decode_u32(payload: bytes, what: str) -> int:
    """The one 32-bit number that a WINDOW_UPDATE or RST_STREAM carries."""
    if len(payload) != 4:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"{what} of {len(payload)} bytes, not 4")
    (value,) = _U32.unpack(payload)
    return int(value)


def decode_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Last stream id, error code and debug data of a GOAWAY."""
    if len(payload) < 8:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes, fewer than 8")
    last, code = _GOAWAY.unpack_from(payload)
    return last & MAX_WINDOW, code, payload[8:]


def header_fragment(flags: int, payload: bytes) -> bytes:
    """The header block fragment of a HEADERS payload, without padding and priority (RFC 9113 section 6.2)."""
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "padded HEADERS without a pad length")
        start, end = 1, end - payload[0]
    if flags & PRIORITY:
        start += 5
    if start > end:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"HEADERS of {len(payload)} bytes hold more padding than that")
    return payload[start:end]
