"""From the end of an HTTP/2 stream to a gRPC outcome: the protocol's tables; pure functions without I/O.

Sources: PROTOCOL-HTTP2.md ("Errors", "Responses") and http-grpc-status-mapping.md in
https://github.com/grpc/grpc/tree/master/doc.
"""

from __future__ import annotations

import re
from typing import Final

from grpc import StatusCode

from triton_users.transport.errors import Outcome
from triton_users.transport.http2.faults import ConnectionFault, ErrorCode, StreamFault, error_name
from triton_users.transport.http2.headers import HeaderList
from triton_users.transport.http2.pieces import join_pieces
from triton_users.transport.http2.stream import Stream
from triton_users.transport.metadata import decode_message_text, decode_metadata

#: `grpc-status` numbers.
STATUS_BY_NUMBER: Final[dict[bytes, StatusCode]] = {str(code.value[0]).encode(): code for code in StatusCode}

#: http-grpc-status-mapping.md; every other status is UNKNOWN.
STATUS_BY_HTTP: Final = {
    400: StatusCode.INTERNAL,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.UNIMPLEMENTED,
    429: StatusCode.UNAVAILABLE,
    502: StatusCode.UNAVAILABLE,
    503: StatusCode.UNAVAILABLE,
    504: StatusCode.UNAVAILABLE,
}

#: PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping: Errors"; every other code is UNKNOWN.
STATUS_BY_RESET: Final = {
    ErrorCode.NO_ERROR: StatusCode.INTERNAL,
    ErrorCode.PROTOCOL_ERROR: StatusCode.INTERNAL,
    ErrorCode.INTERNAL_ERROR: StatusCode.INTERNAL,
    ErrorCode.FLOW_CONTROL_ERROR: StatusCode.INTERNAL,
    ErrorCode.SETTINGS_TIMEOUT: StatusCode.INTERNAL,
    ErrorCode.STREAM_CLOSED: StatusCode.INTERNAL,
    ErrorCode.FRAME_SIZE_ERROR: StatusCode.INTERNAL,
    ErrorCode.REFUSED_STREAM: StatusCode.UNAVAILABLE,
    ErrorCode.CANCEL: StatusCode.CANCELLED,
    ErrorCode.COMPRESSION_ERROR: StatusCode.INTERNAL,
    ErrorCode.CONNECT_ERROR: StatusCode.INTERNAL,
    ErrorCode.ENHANCE_YOUR_CALM: StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: StatusCode.PERMISSION_DENIED,
}


#: Characters of an answer that is no gRPC which are told, and bytes that are kept for that.
PAGE_CHARACTERS: Final = 200
PAGE_BYTES: Final = 1_024
_TEXT: Final = re.compile(rb"text/|application/([\w.\-]+\+)?(json|xml)\b", re.IGNORECASE)


class HeadersMeaning:
    """What a response's first header list says to gRPC."""

    __slots__ = ("encoding", "is_grpc", "metadata")

    def __init__(self, headers: HeaderList) -> None:
        fields = dict(headers.fields)
        self.is_grpc = headers.status == 200 and fields.get(b"content-type", b"").startswith(b"application/grpc")
        #: `grpc-encoding`; None for identity.
        encoding = fields.get(b"grpc-encoding", b"identity").decode("ascii", "replace")
        self.encoding = None if encoding == "identity" else encoding
        self.metadata = decode_metadata(headers.fields)


class TrailersMeaning:
    """What trailers say to gRPC; `code` is None without a `grpc-status`."""

    __slots__ = ("code", "details", "metadata")

    def __init__(self, trailers: HeaderList) -> None:
        fields = dict(trailers.fields)
        number = fields.get(b"grpc-status")
        self.code = None if number is None else STATUS_BY_NUMBER.get(number, StatusCode.UNKNOWN)
        self.details = decode_message_text(fields.get(b"grpc-message", b""))
        self.metadata = decode_metadata(trailers.fields)


def headers_meaning(headers: HeaderList) -> HeadersMeaning:
    """The meaning of response headers, remembered on them."""
    meaning = headers.meaning
    if meaning.__class__ is not HeadersMeaning:
        meaning = headers.meaning = HeadersMeaning(headers)
    return meaning


def trailers_meaning(trailers: HeaderList) -> TrailersMeaning:
    """The meaning of trailers, remembered on them."""
    meaning = trailers.meaning
    if meaning.__class__ is not TrailersMeaning:
        meaning = trailers.meaning = TrailersMeaning(trailers)
    return meaning


def conclude(stream: Stream) -> Outcome:
    """The outcome of a stream whose response has ended."""
    if stream.trailers is not None:
        return _by_trailers(stream, stream.trailers)
    initial = headers_meaning(stream.headers).metadata if stream.headers is not None else ()
    page = _by_http(stream, initial)
    if page is not None and not isinstance(stream.fault, StreamFault):
        return page  # also if the stream was reset after it, or the connection lost: it says more than they
    if stream.fault is not None:
        return _by_fault(stream, stream.fault, initial)
    if stream.reset_code is not None:
        name = error_name(stream.reset_code)
        code = STATUS_BY_RESET.get(stream.reset_code, StatusCode.UNKNOWN)  # type: ignore[call-overload]  # IntEnum keys
        return Outcome(code, f"the server reset the stream with {name}", initial, ())
    return Outcome(StatusCode.UNKNOWN, "the response ended without trailers", initial)


def refusal(stream: Stream | None) -> str:
    """Why the server did nothing for a stream, for people."""
    if stream is None or stream.fault is None:
        return "REFUSED_STREAM"
    return str(stream.fault)


def _by_trailers(stream: Stream, trailers: HeaderList) -> Outcome:
    meaning = trailers_meaning(trailers)
    initial = () if stream.headers is trailers or stream.headers is None else headers_meaning(stream.headers).metadata
    if meaning.code is not None:
        return Outcome(meaning.code, meaning.details, initial, meaning.metadata)
    return _by_http(stream, initial) or Outcome(
        StatusCode.UNKNOWN, "the response ended without grpc-status", initial, meaning.metadata
    )


def _by_http(stream: Stream, initial: tuple[tuple[str, str | bytes], ...]) -> Outcome | None:
    """What the HTTP headers alone say; None if they are those of a gRPC response."""
    headers = stream.headers
    if headers is None or headers_meaning(headers).is_grpc:
        return None
    if headers.status == 200:
        kind = dict(headers.fields).get(b"content-type")
        text = f"the answer is no gRPC: content-type is {kind!r}{_told(stream, headers)}"
        return Outcome(StatusCode.UNKNOWN, text, initial)
    code = STATUS_BY_HTTP.get(headers.status or 0, StatusCode.UNKNOWN)
    text = f"the server answered with HTTP status {headers.status}{_told(stream, headers)}"
    return Outcome(code, text, initial)


def _told(stream: Stream, headers: HeaderList) -> str:
    """The begin of the body, if it is text, behind a colon."""
    if not _TEXT.match(dict(headers.fields).get(b"content-type", b"text/plain")):
        return ""
    text = " ".join(join_pieces(stream.inbox)[:PAGE_BYTES].decode("utf-8", "replace").split())
    text = "".join(character if character.isprintable() else "�" for character in text)
    if len(text) > PAGE_CHARACTERS:
        text = f"{text[:PAGE_CHARACTERS]}…"
    return f": {text}" if text else ""


def keep_page(stream: Stream) -> None:
    """Of a body that is no gRPC keep what may be told of it."""
    stream.inbox = [join_pieces(stream.inbox)[:PAGE_BYTES]]


def _by_fault(stream: Stream, fault: Exception, initial: tuple[tuple[str, str | bytes], ...]) -> Outcome:
    """Our own verdict on the peer, or the loss of the connection."""
    if isinstance(fault, StreamFault):
        return Outcome(StatusCode.INTERNAL, f"the server broke HTTP/2: {fault}", initial, (), error_name(fault.code))
    if isinstance(fault, ConnectionFault) and not stream.unprocessed:
        text = f"the server broke HTTP/2: {fault}"
        return Outcome(StatusCode.UNAVAILABLE, text, initial, (), error_name(fault.code))
    return Outcome(StatusCode.UNAVAILABLE, str(fault), initial, (), repr(fault))
