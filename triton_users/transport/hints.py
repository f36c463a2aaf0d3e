"""The likely mistake behind a connection that cannot be made; pure functions of what was seen."""

from __future__ import annotations

from typing import Final

from triton_users.transport.http2.reader import SPEAKS_HTTP_1, SPEAKS_TLS

#: What OpenSSL says of bytes that are no TLS at all.
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE")
#: How the loss of a connection reads that the server ended.
_CLOSED: Final = ("the server closed the connection", "Connection reset", "Broken pipe")


def with_hint(reason: str, secure: bool, greeted: bool) -> str:
    """Why a connection could not be made, with the likely mistake where one is known.

    `secure`: whether TLS was wanted; `greeted`: whether the server had spoken HTTP/2 by then.
    """
    hint = _hint(reason, secure, greeted)
    return f"{reason}; {hint}" if hint else reason


def _hint(reason: str, secure: bool, greeted: bool) -> str:
    if SPEAKS_HTTP_1 in reason:
        scheme = "grpcs" if secure else "grpc"
        return (
            "is it Triton's HTTP or metrics port? gRPC has a port of its own, 8001 unless Triton was told otherwise: "
            f"{scheme}://HOST:8001"
        )
    if SPEAKS_TLS in reason:
        return "a port with TLS is addressed as grpcs://HOST:PORT"
    if secure:
        if any(name in reason for name in _NO_TLS):
            return "a port without TLS is addressed as grpc://HOST:PORT"
        if "no ALPN protocol" in reason:
            return "is it a port for HTTPS? gRPC needs HTTP/2, which TLS negotiates by ALPN"
        return ""
    if not greeted and any(closed in reason for closed in _CLOSED):
        return (
            "a port with TLS does that (address it as grpcs://HOST:PORT), and so does one that speaks no gRPC "
            "(Triton's is 8001 unless it was told otherwise)"
        )
    return ""
