"""HTTP/2 error codes, and the two exceptions that say the peer broke the protocol; decides nothing about them."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """RFC 9113 section 7. A peer may send other values; `error_name` names them all."""

    #: Graceful end.
    NO_ERROR = 0x0
    #: The peer broke a rule that has no code of its own.
    PROTOCOL_ERROR = 0x1
    #: A bug on the sender's side.
    INTERNAL_ERROR = 0x2
    #: More bytes than the window allowed.
    FLOW_CONTROL_ERROR = 0x3
    #: SETTINGS were not acknowledged in time.
    SETTINGS_TIMEOUT = 0x4
    #: A frame for a stream that its sender had ended.
    STREAM_CLOSED = 0x5
    #: A frame of an impossible size.
    FRAME_SIZE_ERROR = 0x6
    #: The stream was refused before any processing; it is safe to try again.
    REFUSED_STREAM = 0x7
    #: The stream is no longer wanted.
    CANCEL = 0x8
    #: The header compression state is lost.
    COMPRESSION_ERROR = 0x9
    #: The connection made for CONNECT failed.
    CONNECT_ERROR = 0xA
    #: The peer causes too much work.
    ENHANCE_YOUR_CALM = 0xB
    #: TLS is too weak.
    INADEQUATE_SECURITY = 0xC
    #: Use HTTP/1.1 instead.
    HTTP_1_1_REQUIRED = 0xD


def error_name(code: int) -> str:
    """The name of an error code, or its number in hex where RFC 9113 has no name for it."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"{code:#x}"


class ConnectionFault(Exception):
    """The peer broke the protocol in a way that ends the connection (RFC 9113 section 5.4.1)."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamFault(Exception):
    """The peer broke the protocol in a way that ends one stream (RFC 9113 section 5.4.2)."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
