"""What the end of an HTTP/2 stream means to gRPC."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from triton_users.transport.errors import ConnectionLost
from triton_users.transport.http2.faults import ConnectionFault, ErrorCode, StreamFault
from triton_users.transport.http2.headers import Fields, HeaderList
from triton_users.transport.http2.stream import Stream
from triton_users.transport.status import conclude

GRPC: Fields = ((b"content-type", b"application/grpc+proto"),)


def ended(headers: HeaderList | None = None, trailers: HeaderList | None = None) -> Stream:
    stream = Stream(1, 0, 0)
    stream.headers, stream.trailers = headers, trailers
    return stream


@pytest.mark.parametrize("code", list(StatusCode))
def test_trailers_carry_each_status(code: StatusCode) -> None:
    number = str(code.value[0]).encode()
    outcome = conclude(ended(HeaderList(GRPC, 200), HeaderList(((b"grpc-status", number),), None)))
    assert outcome.code is code


@pytest.mark.parametrize("number", [b"17", b"-1", b"", b"x", b"00"])
def test_an_unknown_status_number_is_unknown(number: bytes) -> None:
    outcome = conclude(ended(HeaderList(GRPC, 200), HeaderList(((b"grpc-status", number),), None)))
    assert outcome.code is StatusCode.UNKNOWN


def test_message_and_metadata_come_from_the_trailers() -> None:
    trailers = HeaderList(((b"grpc-status", b"5"), (b"grpc-message", b"no%20m%C3%B6del"), (b"x-id", b"7")), None)
    outcome = conclude(ended(HeaderList((*GRPC, (b"x-head", b"1")), 200), trailers))
    assert outcome.details == "no m\xf6del"
    assert outcome.initial_metadata == (("x-head", "1"),)
    assert outcome.trailing_metadata == (("x-id", "7"),)


def test_a_trailers_only_answer_has_trailing_metadata_only() -> None:
    only = HeaderList((*GRPC, (b"grpc-status", b"12"), (b"x-id", b"7")), 200)
    outcome = conclude(ended(only, only))
    assert outcome.code is StatusCode.UNIMPLEMENTED
    assert outcome.initial_metadata == ()
    assert outcome.trailing_metadata == (("x-id", "7"),)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, StatusCode.INTERNAL),
        (401, StatusCode.UNAUTHENTICATED),
        (403, StatusCode.PERMISSION_DENIED),
        (404, StatusCode.UNIMPLEMENTED),
        (429, StatusCode.UNAVAILABLE),
        (502, StatusCode.UNAVAILABLE),
        (503, StatusCode.UNAVAILABLE),
        (504, StatusCode.UNAVAILABLE),
        (500, StatusCode.UNKNOWN),
        (302, StatusCode.UNKNOWN),
    ],
)
def test_an_http_error_without_a_grpc_status_is_mapped(status: int, code: StatusCode) -> None:
    only = HeaderList(((b"content-type", b"text/html"),), status)
    outcome = conclude(ended(only, only))
    assert outcome.code is code
    assert str(status) in outcome.details


def test_a_grpc_status_beats_the_http_status() -> None:
    only = HeaderList((*GRPC, (b"grpc-status", b"7")), 503)
    assert conclude(ended(only, only)).code is StatusCode.PERMISSION_DENIED


def test_an_answer_that_is_no_grpc_says_what_it_is() -> None:
    outcome = conclude(ended(HeaderList(((b"content-type", b"text/html"),), 200)))
    assert outcome.code is StatusCode.UNKNOWN
    assert "text/html" in outcome.details


@pytest.mark.parametrize("trailers", [None, HeaderList(((b"x", b"1"),), None)])
def test_an_answer_without_a_status_is_unknown(trailers: HeaderList | None) -> None:
    assert conclude(ended(HeaderList(GRPC, 200), trailers)).code is StatusCode.UNKNOWN


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.NO_ERROR, StatusCode.INTERNAL),
        (ErrorCode.PROTOCOL_ERROR, StatusCode.INTERNAL),
        (ErrorCode.REFUSED_STREAM, StatusCode.UNAVAILABLE),
        (ErrorCode.CANCEL, StatusCode.CANCELLED),
        (ErrorCode.ENHANCE_YOUR_CALM, StatusCode.RESOURCE_EXHAUSTED),
        (ErrorCode.INADEQUATE_SECURITY, StatusCode.PERMISSION_DENIED),
        (ErrorCode.HTTP_1_1_REQUIRED, StatusCode.UNKNOWN),
        (0xABCD, StatusCode.UNKNOWN),
    ],
)
def test_a_reset_is_mapped_by_its_code(code: int, status: StatusCode) -> None:
    stream = ended()
    stream.reset_code = code
    assert conclude(stream).code is status


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (StreamFault(ErrorCode.PROTOCOL_ERROR, "x"), StatusCode.INTERNAL),
        (ConnectionFault(ErrorCode.COMPRESSION_ERROR, "x"), StatusCode.UNAVAILABLE),
        (ConnectionLost("x"), StatusCode.UNAVAILABLE),
    ],
)
def test_a_fault_below_grpc_is_mapped_and_named(fault: Exception, status: StatusCode) -> None:
    stream = ended()
    stream.fault = fault
    outcome = conclude(stream)
    assert outcome.code is status
    assert "x" in outcome.details
    assert outcome.debug
