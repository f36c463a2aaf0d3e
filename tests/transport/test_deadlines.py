"""Deadlines end a call within 5 ms of the hub's time, whatever it waits for, and the server is told what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import gevent
import grpc
import pytest
from gevent import monkey
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from tests.transport.peers.h2_server import H2Connection, h2_server
from tests.transport.peers.raw_server import greet, raw_server
from tests.transport.support import KINDS, free_port, run, wait_until
from triton_users.transport import CallError, Channel, ChannelOptions, StreamedMessage
from triton_users.transport.http2 import frames
from triton_users.transport.http2.frames import Setting
from triton_users.transport.metadata import decode_timeout

#: Holds the hub, whether or not the standard library has been patched.
block = monkey.get_original("time", "sleep")
OPTIONS = ChannelOptions(backoff_initial_s=0.02, backoff_max_s=0.02)
TIMEOUT_S = 0.06
#: What the channel promises, and how often a test may find this machine too busy to keep that.
PROMISED_S = 0.005
ATTEMPTS = 4


@contextmanager
def nobody_listens() -> Iterator[tuple[str, int]]:
    yield f"127.0.0.1:{free_port()}", 10


@contextmanager
def says_nothing() -> Iterator[tuple[str, int]]:
    with raw_server(lambda sock: gevent.sleep(10)) as target:
        yield target, 10


@contextmanager
def allows_no_stream() -> Iterator[tuple[str, int]]:
    with h2_server() as server:
        server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 0}
        yield server.target, 10


@contextmanager
def never_answers() -> Iterator[tuple[str, int]]:
    with h2_server() as server:
        server.on_request = lambda *_: None
        yield server.target, 10


@contextmanager
def gives_no_window() -> Iterator[tuple[str, int]]:
    with h2_server() as server:
        server.reads = False
        yield server.target, 200_000


@contextmanager
def does_not_read() -> Iterator[tuple[str, int]]:
    def script(sock: Any) -> None:
        greet(sock, {Setting.INITIAL_WINDOW_SIZE: 2**31 - 1})
        sock.sendall(frames.encode_window_update(0, 2**30))
        gevent.sleep(10)

    with raw_server(script) as target:
        yield target, 20_000_000


@contextmanager
def answers_by_the_byte() -> Iterator[tuple[str, int]]:
    def script(sock: Any) -> None:
        greet(sock)
        for byte in frames.encode_headers(1, b"\x88\x5f\x10application/grpc", False, 16_384):
            sock.sendall(bytes((byte,)))
            gevent.sleep(0.01)

    with raw_server(script) as target:
        yield target, 10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "peer",
    [
        nobody_listens,
        says_nothing,
        allows_no_stream,
        never_answers,
        gives_no_window,
        does_not_read,
        answers_by_the_byte,
    ],
)
def test_a_deadline_is_kept_whatever_the_call_waits_for(peer: Callable[[], Any], kind: str) -> None:
    lateness = []
    for _ in range(ATTEMPTS):
        with peer() as (target, size), Channel(target, options=OPTIONS) as channel:
            lateness.append(_lateness(channel, kind, bytes(size)))
        if lateness[-1] < PROMISED_S:
            return
    pytest.fail(f"late by {lateness} s")


def _lateness(channel: Channel, kind: str, message: bytes) -> float:
    """Seconds from the moment at which the hub served a timer of the same length to the call's end."""
    served: list[float] = []
    timer = channel.hub.loop.timer(TIMEOUT_S)
    started_s = perf_counter()
    timer.start(lambda: served.append(perf_counter()), update=True)
    with pytest.raises(CallError) as caught:
        run(channel, kind, message, timeout=TIMEOUT_S, wait_for_ready=True)
    ended_s = perf_counter()
    wait_until(lambda: served)
    timer.close()
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert ended_s - started_s > TIMEOUT_S - 0.002
    assert channel.stats().open_streams == channel.stats().waiting_calls == 0
    return ended_s - served[0]


def test_the_server_is_told_what_waiting_for_a_stream_has_left() -> None:
    with h2_server() as server, Channel(server.target) as channel:
        server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 0}
        job = gevent.spawn(channel.unary_unary("/s/m"), b"x", timeout=5.0)
        wait_until(lambda: server.connections)
        gevent.sleep(0.1)
        server.connections[0].h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        server.connections[0].flush()
        assert job.get(timeout=5) == b"x"
        headers, _ = server.connections[0].requests[1]
        assert 3 < decode_timeout(headers["grpc-timeout"]) <= 4.9


def test_the_server_is_told_what_a_refused_attempt_has_left() -> None:
    def refuse(connection: H2Connection, stream_id: int, headers: dict[str, str], body: bytes) -> None:
        if stream_id == 1:
            gevent.sleep(0.1)
            connection.h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        else:
            connection.answer(stream_id, body)

    with h2_server() as server, Channel(server.target) as channel:
        server.on_request = refuse
        assert channel.unary_unary("/s/m")(b"x", timeout=5.0) == b"x"
        headers, _ = server.connections[0].requests[3]
        assert 3 < decode_timeout(headers["grpc-timeout"]) <= 4.9


class SlowChunks:
    """A kilobyte that takes longer to make than the call may take, each time."""

    def __iter__(self) -> Iterator[bytes]:
        gevent.sleep(0.1)
        yield bytes(1_000)


def test_a_deadline_that_passes_when_the_stream_was_refused_and_the_call_does_not_know_yet() -> None:
    with h2_server() as server, Channel(server.target) as channel:
        server.on_headers = lambda connection, stream_id: connection.h2.reset_stream(
            stream_id, ErrorCodes.REFUSED_STREAM
        )
        with gevent.Timeout(5), pytest.raises(CallError) as caught:
            channel.unary_unary("/s/m")(StreamedMessage(1_000, SlowChunks()), timeout=0.05)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert len(server.connections[0].requests) == 1


def test_reading_a_message_out_of_an_answer_that_came_in_time_is_not_in_the_deadline() -> None:
    def slow(message: bytes) -> bytes:
        gevent.sleep(0.3)
        return message

    with h2_server() as server, Channel(server.target) as channel:
        wait_until_connected(channel)
        response, call = channel.unary_unary("/s/m", response_deserializer=slow).with_call(b"x", timeout=0.2)
    assert response == b"x"
    assert call.elapsed_s < 0.2


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_is_read_after_the_deadline_is_too_late(kind: str) -> None:
    """The hub was held up, so the timer of the deadline is as late as the answer: no call under 0.1 s takes longer."""

    def answer_and_hold_the_hub(connection: H2Connection, stream_id: int) -> None:
        connection.answer(stream_id, b"\0\0\0\0\0")
        block(0.2)

    with h2_server() as server, Channel(server.target) as channel:
        wait_until_connected(channel)
        server.on_request = lambda *_: None
        server.on_headers = answer_and_hold_the_hub
        with pytest.raises(CallError) as caught:
            run(channel, kind, timeout=0.1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def wait_until_connected(channel: Channel) -> None:
    channel.subscribe(lambda state: None, try_to_connect=True)
    wait_until(lambda: channel.connection is not None)
