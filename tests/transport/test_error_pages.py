"""An answer that is no gRPC: a proxy's or gateway's HTTP error, for all four kinds of call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import grpc
import pytest

from tests.transport.peers.raw_server import greet, raw_server
from tests.transport.support import KINDS, run
from triton_users.transport import CallError, Channel, ChannelOptions
from triton_users.transport.http2 import frames
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.frames import END_STREAM, FrameType
from triton_users.transport.http2.headers import encode_literal

PAGE = b"<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>nginx</body></html>\r\n"


def response(status: int, kind: bytes = b"text/html", ends: bool = False) -> bytes:
    block = encode_literal(b":status", b"%d" % status) + encode_literal(b"content-type", kind)
    return frames.encode_headers(1, block, ends, 16_384)


def data(payload: bytes, ends: bool = True) -> bytes:
    return frames.encode_frame(FrameType.DATA, END_STREAM if ends else 0, 1, payload)


def answering(*pieces: bytes) -> Callable[[Any], None]:
    """A server that says so as soon as a request begins, and reads on until the client goes."""

    def script(sock: Any) -> None:
        greet(sock)
        for piece in pieces:
            sock.sendall(piece)
        while sock.recv(65_536):
            pass

    return script


def error_of(pieces: Iterable[bytes], kind: str, message: bytes = b"x") -> CallError:
    with raw_server(answering(*pieces)) as target, Channel(target, options=ChannelOptions()) as channel:
        with pytest.raises(CallError) as caught:
            run(channel, kind, message, timeout=5)
        assert channel.stats().open_streams == 0
        return caught.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, grpc.StatusCode.UNAUTHENTICATED),
        (404, grpc.StatusCode.UNIMPLEMENTED),
        (429, grpc.StatusCode.UNAVAILABLE),
        (503, grpc.StatusCode.UNAVAILABLE),
        (504, grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_an_error_page_is_told_by_its_status_and_its_text(kind: str, status: int, code: grpc.StatusCode) -> None:
    error = error_of([response(status), data(PAGE)], kind)
    assert error.code() is code
    assert error.details().startswith(f"the server answered with HTTP status {status}: <html> <head><title>503 Service")


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_with_status_200_is_no_grpc(kind: str) -> None:
    error = error_of([response(200), data(b"<p>Welcome"[:4], ends=False), data(b"elcome to the portal")], kind)
    assert error.code() is grpc.StatusCode.UNKNOWN
    assert error.details() == "the answer is no gRPC: content-type is b'text/html': <p>Welcome to the portal"


@pytest.mark.parametrize("kind", KINDS)
def test_of_a_long_page_200_characters_are_told_and_the_rest_is_not_kept(kind: str) -> None:
    pieces = [
        response(502),
        *[data(b"word " * 3_000, ends=False)] * 1_000,
        data(b""),
    ]  # 15 MB, three windows of a stream
    error = error_of(pieces, kind)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    text = error.details().partition(": ")[2]
    assert text == ("word " * 40)[:200] + "…"


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_is_no_text_is_not_told(kind: str) -> None:
    error = error_of([response(502, b"application/octet-stream"), data(b"\xff\x00\x10")], kind)
    assert error.details() == "the server answered with HTTP status 502"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reset", [ErrorCode.NO_ERROR, ErrorCode.CANCEL])
@pytest.mark.parametrize("together", [True, False])
def test_a_complete_error_counts_although_the_stream_is_reset_after_it(
    kind: str, reset: ErrorCode, together: bool
) -> None:
    """RFC 9113 section 8.1: a server may answer before it has all of the request, and then reset the stream."""
    pieces = [response(413), data(b"too large"), frames.encode_rst_stream(1, reset)]
    error = error_of([b"".join(pieces)] if together else pieces, kind, bytes(5_000_000))
    assert error.code() is grpc.StatusCode.UNKNOWN
    assert error.details() == "the server answered with HTTP status 413: too large"


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_page_that_is_cut_off_by_a_reset_is_told_by_its_status(kind: str) -> None:
    error = error_of([response(503) + data(b"no back", ends=False) + frames.encode_rst_stream(1, 8)], kind)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "the server answered with HTTP status 503: no back"


@pytest.mark.parametrize("kind", KINDS)
def test_a_reset_in_the_middle_of_a_grpc_answer_stays_a_reset(kind: str) -> None:
    error = error_of([response(200, b"application/grpc") + frames.encode_rst_stream(1, ErrorCode.CANCEL)], kind)
    assert error.code() is grpc.StatusCode.CANCELLED
    assert error.details() == "the server reset the stream with CANCEL"
