"""Frames out of bytes: whole, byte by byte, cut anywhere, with trailing data; and what is refused without a stream."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transport.http2.harness import RESPONSE, TRAILERS, HandPeer
from triton_users.transport.http2 import frames
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.frames import END_HEADERS, END_STREAM, PADDED, PRIORITY, FrameType
from triton_users.transport.http2.stream import StreamState


def padded(payload: bytes, padding: int) -> bytes:
    return bytes((padding,)) + payload + bytes(padding)


def answer_frames(peer: HandPeer, body: bytes, padding: int, pieces: int) -> bytes:
    """An answer that uses CONTINUATION, padding, priority and an unknown frame."""
    block = peer.encoder.encode(RESPONSE)
    head = frames.encode_frame(FrameType.HEADERS, PADDED | PRIORITY, 1, padded(bytes(5) + block[:1], padding))
    rest = frames.encode_frame(FrameType.CONTINUATION, END_HEADERS, 1, block[1:])
    step = max(1, len(body) // pieces)
    data = b"".join(
        frames.encode_frame(FrameType.DATA, PADDED, 1, padded(body[start : start + step], padding))
        for start in range(0, len(body), step)
    )
    unknown = frames.encode_frame(0xFA, 0xFF, 77, b"whatever")
    return head + rest + unknown + data + peer.headers(1, TRAILERS, ends=True)


@given(
    body=st.binary(min_size=1, max_size=300),
    padding=st.integers(0, 255),
    pieces=st.integers(1, 5),
    cuts=st.lists(st.integers(0, 3_000), max_size=8),
)
def test_an_answer_cut_anywhere(body: bytes, padding: int, pieces: int, cuts: list[int]) -> None:
    peer = HandPeer()
    stream = peer.request()
    data = answer_frames(peer, body, padding, pieces)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        peer.give(data[start:stop])
    assert peer.ours.fault is None
    assert b"".join(stream.inbox) == body
    assert stream.state is StreamState.CLOSED
    assert stream.trailers is not None
    assert stream.fault is None


def test_an_answer_byte_by_byte() -> None:
    peer = HandPeer()
    stream = peer.request()
    for byte in answer_frames(peer, b"x" * 500, 7, 3):
        peer.give(bytes((byte,)))
    assert b"".join(stream.inbox) == b"x" * 500
    assert stream.state is StreamState.CLOSED


def test_an_answer_with_the_beginning_of_the_next_frame() -> None:
    peer = HandPeer()
    first, second = peer.request(), peer.request()
    data = peer.answer(1) + peer.answer(3)
    peer.give(data[:-1])
    assert first.state is StreamState.CLOSED
    assert second.state is StreamState.HALF_CLOSED_LOCAL
    peer.give(data[-1:])
    assert second.state is StreamState.CLOSED


def test_data_of_a_large_frame_is_handed_on_before_the_frame_is_complete() -> None:
    peer = HandPeer()
    stream = peer.request()
    frame = peer.data(1, b"x" * 16_000)
    assert peer.give(peer.headers(1, RESPONSE) + frame[:1_009]) == [stream]
    assert stream.received_bytes == 1_000


def test_a_peer_that_sends_one_byte_at_a_time_costs_linear_time_and_memory() -> None:
    peer = HandPeer()
    stream = peer.request()
    peer.give(peer.headers(1, RESPONSE))
    for _ in range(20_000):
        peer.give(b"\0\0\1\0\0\0\0\0\1x")
    assert peer.ours.fault is None
    assert len(stream.inbox) < 30
    assert b"".join(stream.inbox) == b"x" * 20_000


SETTINGS = frames.encode_settings({})


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
        (bytes(9), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_ping(bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frames.SETTINGS_ACK, ErrorCode.PROTOCOL_ERROR),
        (b"\xff" * 9, ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_a_server_that_does_not_begin_with_settings(data: bytes, code: ErrorCode) -> None:
    peer = HandPeer(greet=False)
    peer.give(data)
    assert peer.ours.fault is not None
    assert peer.goaway_code() is code


def test_a_server_that_speaks_http_1_is_named() -> None:
    peer = HandPeer(greet=False)
    peer.give(b"HTTP/1.1 400 Bad Request\r\n")
    assert "HTTP/1" in str(peer.ours.fault)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", ErrorCode.FRAME_SIZE_ERROR),
        (b"\xff\xff\xff\x0a\x00\x00\x00\x00\x01", ErrorCode.FRAME_SIZE_ERROR),
        (frames.encode_frame(FrameType.DATA, PADDED, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.DATA, PADDED, 1, b"\x05abc"), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.HEADERS, END_HEADERS, 0, b"\x88"), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.HEADERS, END_HEADERS | PADDED, 1), ErrorCode.FRAME_SIZE_ERROR),
        (frames.encode_frame(FrameType.HEADERS, END_HEADERS | PADDED, 1, b"\x05\x88"), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.HEADERS, END_HEADERS | PRIORITY, 1, b"\x88"), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.CONTINUATION, END_HEADERS, 1, b"\x88"), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.HEADERS, 0, 1, b"\x88") + SETTINGS, ErrorCode.PROTOCOL_ERROR),
        (
            frames.encode_frame(FrameType.HEADERS, 0, 1, b"\x88")
            + frames.encode_frame(FrameType.CONTINUATION, END_HEADERS, 3, b""),
            ErrorCode.PROTOCOL_ERROR,
        ),
        (frames.encode_frame(FrameType.PUSH_PROMISE, END_HEADERS, 1, bytes(4) + b"\x88"), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.encode_frame(FrameType.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.PRIORITY, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.RST_STREAM, 0, 1, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.encode_frame(FrameType.RST_STREAM, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.RST_STREAM, 0, 99, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.DATA, 0, 2, b"x"), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.WINDOW_UPDATE, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.WINDOW_UPDATE, 0, 0, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.encode_window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
        (frames.encode_frame(FrameType.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.SETTINGS, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.encode_frame(FrameType.SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.encode_settings({frames.Setting.ENABLE_PUSH: 1}), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_settings({frames.Setting.INITIAL_WINDOW_SIZE: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
        (frames.encode_settings({frames.Setting.MAX_FRAME_SIZE: 16_383}), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_settings({frames.Setting.MAX_FRAME_SIZE: 2**24}), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frames.encode_frame(FrameType.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frames.encode_frame(FrameType.HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff"), ErrorCode.COMPRESSION_ERROR),
        (frames.encode_frame(FrameType.HEADERS, END_HEADERS, 1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
    ],
)
def test_a_connection_error_ends_everything_with_a_goaway(data: bytes, code: ErrorCode) -> None:
    peer = HandPeer()
    stream = peer.request()
    assert stream in peer.give(data)
    assert peer.goaway_code() is code
    assert peer.ours.fault is not None
    assert peer.ours.fault.code is code
    assert stream.fault is peer.ours.fault
    assert not peer.ours.streams


def test_the_end_of_a_padded_answer_without_payload() -> None:
    peer = HandPeer()
    stream = peer.request()
    peer.give(peer.headers(1, RESPONSE))
    peer.give(frames.encode_frame(FrameType.DATA, PADDED | END_STREAM, 1, b"\x00"))
    assert stream.state is StreamState.CLOSED
