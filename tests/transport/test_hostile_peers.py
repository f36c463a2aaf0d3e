"""Peers that break every rule: each costs bounded time and memory and gives a typed error, never a hang."""

from __future__ import annotations

import random
from collections.abc import Callable
from time import perf_counter
from typing import Any

import gevent
import grpc
import pytest

from tests.transport.peers.raw_server import greet, raw_server
from tests.transport.support import run
from triton_users.transport import CallError, Channel, ChannelOptions
from triton_users.transport.http2 import frames
from triton_users.transport.http2.frames import END_HEADERS, END_STREAM, FrameType, Setting
from triton_users.transport.http2.headers import encode_literal
from triton_users.transport.messages import compress

OPTIONS = ChannelOptions(connect_timeout_s=1.0, backoff_initial_s=0.01, max_receive_message_bytes=10_000_000)
RESPONSE = b"\x88\x5f\x10application/grpc"
OK = b"\x00\x0bgrpc-status\x010"


def response(stream_id: int = 1) -> bytes:
    return frames.encode_headers(stream_id, RESPONSE, False, 16_384)


def response_with(name: bytes, value: bytes) -> bytes:
    return frames.encode_headers(1, RESPONSE + encode_literal(name, value), False, 16_384)


def trailers(stream_id: int = 1) -> bytes:
    return frames.encode_headers(stream_id, OK, True, 16_384)


def data(payload: bytes, stream_id: int = 1) -> bytes:
    return frames.encode_frame(FrameType.DATA, 0, stream_id, payload)


def call(target: str, timeout: float = 5.0) -> CallError:
    """The error that a call to this peer ends with."""
    with Channel(target, options=OPTIONS) as channel:
        with pytest.raises(CallError) as caught:
            channel.unary_unary("/s/m")(b"request", timeout=timeout)
        assert channel.stats().open_streams == 0
        assert channel.stats().waiting_calls == 0
        return caught.value


def after_greeting(*pieces: bytes, forever: bool = False) -> Callable[[Any], None]:
    """A script: greet, send the pieces (the last one again and again), then wait for the client to go."""

    def script(sock: Any) -> None:
        greet(sock)
        for piece in pieces:
            sock.sendall(piece)
        while forever:
            sock.sendall(pieces[-1])
        while sock.recv(65_536):
            pass

    return script


@pytest.mark.parametrize(
    ("piece", "word"),
    [
        (frames.encode_ping(bytes(8)) * 100, "floods"),
        (frames.encode_settings({Setting.MAX_FRAME_SIZE: 20_000}) * 100, "floods"),
        (frames.encode_window_update(0, 1) * 100, "floods"),
        (frames.encode_frame(0xBB, 0, 0, bytes(100)) * 50, "floods"),
        (response() + data(b"") * 100, "floods"),
        (frames.encode_headers(1, b"\x08\x03103", False, 16_384) * 100, "floods"),
    ],
    ids=["ping", "settings", "window update", "unknown frames", "empty data", "interim responses"],
)
def test_floods(piece: bytes, word: str) -> None:
    pieces = (response(), data(b"") * 100) if piece.startswith(response()) else (piece,)
    with raw_server(after_greeting(*pieces, forever=True)) as target:
        started_s = perf_counter()
        error = call(target)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert word in error.details()
        assert perf_counter() - started_s < 3


@pytest.mark.parametrize(
    ("piece", "code"),
    [
        (data(b"x" * 10), grpc.StatusCode.INTERNAL),
        (response() + frames.encode_window_update(1, 2**31 - 1), grpc.StatusCode.INTERNAL),
        (frames.encode_window_update(0, 2**31 - 1), grpc.StatusCode.UNAVAILABLE),
        (frames.encode_frame(FrameType.PUSH_PROMISE, END_HEADERS, 1, bytes(4) + RESPONSE), grpc.StatusCode.UNAVAILABLE),
        (b"\xff\xff\xff\x00\x00\x00\x00\x00\x01", grpc.StatusCode.UNAVAILABLE),
        (response(2), grpc.StatusCode.UNAVAILABLE),
        (response(99), grpc.StatusCode.UNAVAILABLE),
        (response() + data(b"\0\0\0\0\1x") + response(), grpc.StatusCode.INTERNAL),
        (response() + data(b"\x07\0\0\0\1x") + trailers(), grpc.StatusCode.INTERNAL),
        (response() + data(b"\0\0\0\0\2x") + trailers(), grpc.StatusCode.INTERNAL),
        (response() + data(b"\0\0\0\0\1x\0\0\0\0\1y") + trailers(), grpc.StatusCode.INTERNAL),
        (response() + trailers(), grpc.StatusCode.INTERNAL),
        (response() + data(b"\1\0\0\0\1x") + trailers(), grpc.StatusCode.INTERNAL),
        (response_with(b"grpc-encoding", b"identity") + data(b"\1\0\0\0\1x") + trailers(), grpc.StatusCode.INTERNAL),
        (response_with(b"grpc-encoding", b"snappy") + data(b"\1\0\0\0\1x") + trailers(), grpc.StatusCode.INTERNAL),
        (response_with(b"content-length", b"5") + data(b"\0\0\0\0\1x") + trailers(), grpc.StatusCode.INTERNAL),
        (response_with(b"content-length", b"7") + data(b"\0\0\0\0\1x") + trailers(), grpc.StatusCode.INTERNAL),
        (response_with(b"content-length", b"six") + data(b"\0\0\0\0\1x") + trailers(), grpc.StatusCode.INTERNAL),
        (frames.encode_headers(1, RESPONSE, True, 16_384), grpc.StatusCode.UNKNOWN),
        (
            response() + data(b"\0\0\0\0\1x") + frames.encode_headers(1, b"\x00\x01x\x011", True, 16_384),
            grpc.StatusCode.UNKNOWN,
        ),
        (
            response() + data(b"\0\0\0\0\1x") + frames.encode_frame(FrameType.DATA, END_STREAM, 1),
            grpc.StatusCode.UNKNOWN,
        ),
        (frames.encode_headers(1, b"\x8d", True, 16_384), grpc.StatusCode.UNIMPLEMENTED),
        (frames.encode_goaway(0, 11, b"too_many_pings") + response(), grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_an_answer_against_the_rules(piece: bytes, code: grpc.StatusCode) -> None:
    with raw_server(after_greeting(piece)) as target:
        assert call(target, timeout=1.0).code() is code


def test_an_hpack_bomb() -> None:
    bomb = b"\x40\x01x\x7e" + b"v" * 126 + b"\xbe" * 16_000
    with raw_server(after_greeting(frames.encode_headers(1, bomb, False, 16_384))) as target:
        error = call(target)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "too large" in error.details()


def test_a_header_block_without_end() -> None:
    start = frames.encode_frame(FrameType.HEADERS, 0, 1, RESPONSE)
    more = frames.encode_frame(FrameType.CONTINUATION, 0, 1, b"\x00\x01x\x01y" * 100)
    with raw_server(after_greeting(start, more, forever=True)) as target:
        error = call(target)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "header block" in error.details()


def test_a_message_without_end_is_cut_off_at_the_limit() -> None:
    endless = data(bytes(16_384))
    with raw_server(after_greeting(response(), data(b"\0\xff\xff\xff\xff"), endless, forever=True)) as target:
        assert call(target).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_decompression_bomb() -> None:
    packed = compress(bytes(60_000_000), "gzip")
    body = b"\1" + len(packed).to_bytes(4, "big") + packed
    fields = RESPONSE + b"\x00\x0dgrpc-encoding\x04gzip"
    frames_ = [data(body[start : start + 16_384]) for start in range(0, len(body), 16_384)]
    answer = frames.encode_headers(1, fields, False, 16_384) + b"".join(frames_) + trailers()
    with raw_server(after_greeting(answer)) as target:
        error = call(target)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "decompresses" in error.details()


def test_a_peer_that_answers_one_byte_at_a_time_and_too_slowly() -> None:
    def script(sock: Any) -> None:
        greet(sock)
        for byte in response() + data(b"\0\0\0\0\1x") + trailers():
            sock.sendall(bytes((byte,)))
            gevent.sleep(0.02)

    with raw_server(script) as target:
        started_s = perf_counter()
        assert call(target, timeout=0.2).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert perf_counter() - started_s < 0.5


def test_a_peer_that_answers_one_byte_at_a_time_in_time() -> None:
    def script(sock: Any) -> None:
        greet(sock)
        for byte in response() + data(b"\0\0\0\0\1x") + trailers():
            sock.sendall(bytes((byte,)))
            gevent.sleep(0)
        sock.recv(1)

    with raw_server(script) as target, Channel(target) as channel:
        assert channel.unary_unary("/s/m")(b"x", timeout=5) == b"x"


def test_a_peer_that_sends_its_settings_one_byte_at_a_time_and_too_slowly() -> None:
    def script(sock: Any) -> None:
        for byte in frames.encode_settings(dict.fromkeys(Setting, 16_384)):
            sock.sendall(bytes((byte,)))
            gevent.sleep(0.05)

    with raw_server(script) as target:
        started_s = perf_counter()
        error = call(target)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "no SETTINGS within 1.0 s" in error.details()
        assert perf_counter() - started_s < 1.5


def test_a_server_that_has_answered_and_wants_no_more_of_the_request() -> None:
    def script(sock: Any) -> None:
        greet(sock)
        sock.sendall(response() + data(b"\0\0\0\0\1x") + trailers() + frames.encode_rst_stream(1, 0))
        while sock.recv(65_536):
            pass

    with raw_server(script) as target, Channel(target) as channel:
        assert channel.unary_unary("/s/m")(bytes(1_000_000), timeout=5) == b"x"
        assert channel.stats().open_streams == 0
    for kind in ("unary_stream", "stream_unary", "stream_stream"):
        with raw_server(script) as target, Channel(target) as channel:
            assert run(channel, kind, bytes(1_000_000), timeout=5) in (b"x", [b"x"])
            assert channel.stats().open_streams == 0


def test_a_peer_that_stops_reading_and_keeps_asking() -> None:
    def script(sock: Any) -> None:
        greet(sock, {Setting.INITIAL_WINDOW_SIZE: 2**31 - 1})
        sock.sendall(frames.encode_window_update(0, 2**30))
        while True:
            sock.sendall(frames.encode_ping(bytes(8)) * 5)
            gevent.sleep(0.01)

    with raw_server(script) as target, Channel(target, options=OPTIONS) as channel:
        with pytest.raises(CallError) as caught:
            channel.unary_unary("/s/m")(bytes(50_000_000), timeout=0.5)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert channel.connection is not None
        assert len(channel.connection.backlog) < 2**20


def test_a_peer_that_closes_at_once() -> None:
    with raw_server(lambda sock: None) as target:
        assert call(target).code() is grpc.StatusCode.UNAVAILABLE


def test_a_peer_that_resets_every_call() -> None:
    def script(sock: Any) -> None:
        greet(sock)
        stream_id = 1
        while True:
            sock.sendall(frames.encode_rst_stream(stream_id, 7))
            sock.recv(65_536)
            stream_id += 2

    with raw_server(script) as target, Channel(target, options=OPTIONS) as channel:
        for _ in range(20):
            with pytest.raises(CallError) as caught:
                channel.unary_unary("/s/m")(b"x", timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert channel.stats().open_streams == 0


@pytest.mark.parametrize("seed", range(15))
def test_random_bytes(seed: int) -> None:
    noise = random.Random(seed).randbytes(20_000)

    def script(sock: Any) -> None:
        if seed % 3:
            greet(sock)
        sock.sendall(noise)

    with raw_server(script) as target:
        assert call(target, timeout=1.0).code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL)


@pytest.mark.parametrize("message", [b"\0\0\0\0\0", b"\0\0\0\0\1x"], ids=["empty", "one byte"])
def test_a_flood_of_tiny_messages_to_a_reader_that_does_not_read(message: bytes) -> None:
    def script(sock: Any) -> None:
        greet(sock)
        sock.sendall(response())
        for _ in range(400):
            sock.sendall(data(message * 2_000))
        while sock.recv(65_536):
            pass

    options = ChannelOptions(stream_window_bytes=100_000)
    with raw_server(script) as target, Channel(target, options=options) as channel:
        stream = channel.unary_stream("/s/m")(b"x")
        gevent.sleep(0.3)
        assert len(stream._call._unread) < 50_000
        stream.cancel()


def test_a_stream_of_answers_to_a_call_that_has_one() -> None:
    def script(sock: Any) -> None:
        greet(sock)
        sock.sendall(response())
        while True:
            sock.sendall(data(b"\0\0\0\0\1x") * 100)

    with raw_server(script) as target, Channel(target, options=OPTIONS) as channel:
        with pytest.raises(CallError, match="more than one message") as caught:
            channel.stream_unary("/s/m")(iter([b"x"]), timeout=5)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert channel.stats().open_streams == 0


def test_a_flood_of_tiny_messages_does_not_hold_the_hub() -> None:
    def script(sock: Any) -> None:
        greet(sock)
        sock.sendall(response())
        while True:
            sock.sendall(data(b"\0\0\0\0\1x") * 4_000)

    with raw_server(script) as target, Channel(target, options=OPTIONS) as channel:
        stream = channel.unary_stream("/s/m")(b"x")
        next(stream)
        assert channel.connection is not None
        reads = [channel.connection._read_size]
        for _ in range(20_000):
            next(stream)
            reads.append(channel.connection._read_size)
        assert max(reads) <= 2 * 64 * 1024
        stream.cancel()
