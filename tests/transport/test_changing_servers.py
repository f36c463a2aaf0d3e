"""Servers that change their minds with calls in flight: SETTINGS at any time, GOAWAY, connections that end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import grpc
import pytest
from gevent import socket
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from tests.transport.peers.h2_server import RESPONSE, H2Connection, H2Server, h2_server
from tests.transport.peers.raw_server import greet, raw_server
from tests.transport.support import KINDS, begin, free_port, run, wait_until
from triton_users.transport import CallError, Channel, ChannelOptions, StreamedMessage
from triton_users.transport.http2 import frames
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.frames import Setting

FAST = ChannelOptions(backoff_initial_s=0.05, backoff_max_s=0.1, connect_timeout_s=3)


class Holder:
    """Holds the calls that a server gets, in order, until the test answers them with their own requests."""

    def __init__(self, server: H2Server) -> None:
        self.held: list[tuple[H2Connection, int, bytes]] = []
        server.on_request = lambda connection, stream_id, headers, body: self.held.append((connection, stream_id, body))

    def answer(self, count: int) -> None:
        """Answer the oldest ones."""
        for _ in range(count):
            connection, stream_id, body = self.held.pop(0)
            connection.answer(stream_id, body)


@pytest.fixture
def server() -> Iterator[H2Server]:
    with h2_server() as server:
        yield server
        broken = [error for error in server.errors if isinstance(error, ProtocolError)]
        assert broken == [], "h2 checks that its SETTINGS are kept"


@pytest.fixture
def channel(server: H2Server) -> Iterator[Channel]:
    with Channel(server.target, options=FAST) as channel:
        yield channel


def echo(channel: Channel, message: bytes = b"hello") -> Any:
    return channel.unary_unary("/s/m")(message, timeout=5)


def change(server: H2Server, key: SettingCodes, value: int) -> None:
    connection = server.connections[0]
    connection.h2.update_settings({key: value})
    connection.flush()


# SETTINGS


def test_fewer_streams_than_are_open_and_then_none_and_more(server: H2Server, channel: Channel) -> None:
    server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 4}
    holder = Holder(server)
    jobs = [gevent.spawn(echo, channel, b"%d" % index) for index in range(8)]
    wait_until(lambda: len(holder.held) == 4)
    change(server, SettingCodes.MAX_CONCURRENT_STREAMS, 2)
    holder.answer(2)
    gevent.sleep(0.02)
    assert len(holder.held) == 2, "two are open, and two are allowed"
    holder.answer(1)
    wait_until(lambda: len(holder.held) == 2)
    change(server, SettingCodes.MAX_CONCURRENT_STREAMS, 0)
    holder.answer(2)
    gevent.sleep(0.02)
    assert holder.held == []
    assert channel.stats().waiting_calls == 3
    change(server, SettingCodes.MAX_CONCURRENT_STREAMS, 100)
    wait_until(lambda: len(holder.held) == 3)
    holder.answer(3)
    gevent.joinall(jobs, timeout=5, raise_error=True)
    assert [job.value for job in jobs] == [b"%d" % index for index in range(8)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_that_becomes_negative_in_the_middle_of_a_request(
    server: H2Server, channel: Channel, kind: str
) -> None:
    server.reads = False
    message = bytes(range(251)) * 1_000
    call = begin(channel, kind, message)
    wait_until(lambda: server.connections and len(server.connections[0].requests.get(1, ((), b""))[1]) == 65_535)
    change(server, SettingCodes.INITIAL_WINDOW_SIZE, 1_000)
    connection = server.connections[0]
    server.reads = True
    connection.h2.increment_flow_control_window(1_000_000)
    connection.h2.increment_flow_control_window(64_535, stream_id=1)  # now it is exactly zero
    connection.flush()
    gevent.sleep(0.02)
    assert len(connection.requests[1][1]) == 65_535
    connection.h2.increment_flow_control_window(300_000, stream_id=1)
    connection.flush()
    wait_until(lambda: len(connection.requests[1][1]) == len(message) + 5)
    assert bytes(connection.requests[1][1][5:]) == message
    call.cancel()


def test_header_tables_of_any_size(server: H2Server, channel: Channel) -> None:
    echo(channel)
    for size in (0, 4_096, 100, 65_536, 0, 0, 1_000):
        change(server, SettingCodes.HEADER_TABLE_SIZE, size)
        gevent.sleep(0.005)
        assert echo(channel) == b"hello"
        assert list(channel.stream_stream("/s/other")(iter([b"x"]))) == [b"x"]
    assert len(server.connections) == 1


def test_larger_and_smaller_frames(server: H2Server, channel: Channel) -> None:
    message = bytes(range(251)) * 200
    for size in (2**24 - 1, 16_384, 20_000):
        echo(channel)
        change(server, SettingCodes.MAX_FRAME_SIZE, size)
        gevent.sleep(0.005)
        assert echo(channel, message) == message


# GOAWAY


def test_goaway_with_calls_in_flight_above_and_below_it_and_more_in_the_queue(
    server: H2Server, channel: Channel
) -> None:
    server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 3}
    holder = Holder(server)
    jobs = [gevent.spawn(echo, channel, b"call %d" % index) for index in range(8)]
    wait_until(lambda: len(holder.held) == 3)
    first = server.connections[0]
    kept = holder.held.pop(0)
    holder.held.clear()
    first.sock.sendall(frames.encode_goaway(kept[1], ErrorCode.NO_ERROR))
    wait_until(lambda: len(holder.held) == 3)
    assert not jobs[0].ready()
    kept[0].answer(kept[1], kept[2])
    while not all(job.ready() for job in jobs):
        holder.answer(len(holder.held))
        gevent.sleep(0.005)
    assert [job.get() for job in jobs] == [b"call %d" % index for index in range(8)]
    assert len(server.connections) == 2
    wait_until(lambda: first.closed)
    assert channel.stats().open_streams == channel.stats().waiting_calls == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_of_any_kind_that_goaway_refuses_is_made_again(server: H2Server, channel: Channel, kind: str) -> None:
    echo(channel)
    server.on_headers = lambda connection, stream_id: connection.sock.sendall(
        frames.encode_goaway(1, ErrorCode.NO_ERROR) if connection is server.connections[0] else b""
    )
    call = begin(channel, kind, b"again")
    wait_until(lambda: len(server.connections) == 2 and server.connections[1].requests)
    wait_until(lambda: bytes(server.connections[1].requests[1][1]) == b"\0\0\0\0\5again")
    call.cancel()


@pytest.mark.parametrize("kind", KINDS)
def test_more_news_of_a_refused_stream_does_not_end_its_call(server: H2Server, channel: Channel, kind: str) -> None:
    server.settings = {SettingCodes.INITIAL_WINDOW_SIZE: 1_000}
    echo(channel)

    def refuse(connection: H2Connection, stream_id: int) -> None:
        if connection is server.connections[0]:
            # The sender waits for window, so both are news of its stream, in one read.
            news = frames.encode_window_update(stream_id, 10) + frames.encode_goaway(1, ErrorCode.NO_ERROR)
            gevent.spawn_later(0.05, connection.sock.sendall, news)

    server.on_headers = refuse
    server.reads = False
    server.settings = {}
    message = bytes(20_000)
    call = begin(channel, kind, message)
    wait_until(lambda: len(server.connections) == 2 and server.connections[1].requests)
    wait_until(lambda: len(server.connections[1].requests[1][1]) == len(message) + 5)
    call.cancel()


def test_goaway_for_too_many_pings_halves_our_pace(server: H2Server) -> None:
    with Channel(server.target, options=ChannelOptions(keepalive_time_s=30)) as channel:
        for expected_s in (60, 120):
            echo(channel)
            server.connections[-1].sock.sendall(frames.encode_goaway(1, ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings"))
            wait_until(lambda: channel.connection is None)
            assert channel.options.keepalive_time_s == expected_s


@pytest.mark.parametrize("farewell", [frames.encode_goaway(0, ErrorCode.NO_ERROR), b""], ids=["goaway", "end"])
@pytest.mark.parametrize("pause_s", [0, 0.005])
def test_a_server_that_ends_each_connection_at_once_is_not_asked_without_a_pause(
    farewell: bytes, pause_s: float
) -> None:
    connections = 0

    def script(sock: Any) -> None:
        nonlocal connections
        connections += 1
        greeting = frames.encode_settings({Setting.MAX_CONCURRENT_STREAMS: 0})
        if pause_s:
            sock.sendall(greeting)
            gevent.sleep(pause_s)
            sock.sendall(farewell)
        else:
            sock.sendall(greeting + farewell)
        if farewell:
            gevent.sleep(1)

    with raw_server(script) as target, Channel(target, options=FAST) as channel:
        with pytest.raises(CallError) as caught:
            echo(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert ("GOAWAY" if farewell else "connection") in caught.value.details()
        with pytest.raises(CallError) as caught:
            channel.unary_unary("/s/m")(b"x", wait_for_ready=True, timeout=0.5)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert connections < 16


def test_the_pauses_between_attempts_grow_to_their_limit() -> None:
    options = ChannelOptions(backoff_initial_s=0.01, backoff_max_s=0.04)
    with Channel(f"127.0.0.1:{free_port()}", options=options) as channel:
        pauses: list[float] = []
        channel.subscribe(lambda state: pauses.append(channel._backoff.pause_s), try_to_connect=True)
        wait_until(lambda: pauses.count(0.04) >= 3)
        assert sorted(set(pauses)) == pytest.approx([0.01, 0.016, 0.0256, 0.04])


# Connections that end


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_lost_in_the_middle_of_a_request(server: H2Server, channel: Channel, kind: str) -> None:
    server.reads = False
    server.on_headers = lambda connection, stream_id: gevent.spawn_later(
        0.02, connection.sock.shutdown, socket.SHUT_RDWR
    )
    chunks = _Chunks()
    message = StreamedMessage(2**30, chunks)
    with pytest.raises(CallError) as caught:
        run(channel, kind, message, timeout=5)  # type: ignore[arg-type]  # a StreamedMessage needs no serialiser
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "server closed the connection" in caught.value.details()
    assert channel.stats().open_streams == 0
    wait_until(lambda: chunks.closed)
    server.on_headers = lambda *_: None
    assert echo(channel) == b"hello"


class _Chunks:
    """Endless chunks that know whether their maker has been released."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            while True:
                yield bytes(10_000)
        finally:
            self.closed = True


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_lost_in_the_middle_of_an_answer(server: H2Server, channel: Channel, kind: str) -> None:
    def half(connection: H2Connection, stream_id: int) -> None:
        connection.h2.send_headers(stream_id, RESPONSE)
        connection.h2.send_data(stream_id, b"\0\0\0\0\x09half")
        connection.flush()
        connection.sock.shutdown(socket.SHUT_RDWR)

    server.on_headers = half
    with pytest.raises(CallError) as caught:
        run(channel, kind, timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert channel.stats().open_streams == 0
    assert channel.stats().connections == 1


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_connection_found_dead_before_it_took_a_byte_costs_no_call(
    server: H2Server, channel: Channel, size: int
) -> None:
    echo(channel)
    assert channel.connection is not None
    channel.connection._sock.shutdown(socket.SHUT_WR)
    assert len(echo(channel, bytes(size))) == size
    assert len(server.connections) == 2


def test_calls_that_gave_up_on_a_peer_that_does_not_read_are_forgotten() -> None:
    def script(sock: Any) -> None:
        greet(sock, {Setting.INITIAL_WINDOW_SIZE: 2**31 - 1})
        sock.sendall(frames.encode_window_update(0, 2**30))
        while True:
            sock.sendall(frames.encode_ping(bytes(8)))
            gevent.sleep(0.002)

    with raw_server(script) as target, Channel(target, options=FAST) as channel:
        large = gevent.spawn(channel.unary_unary("/s/m"), bytes(30_000_000))
        wait_until(lambda: channel.connection is not None and channel.connection.backlog)
        connection = channel.connection
        assert connection is not None
        for kind in KINDS:
            with pytest.raises(CallError):
                run(channel, kind, timeout=0.05)
        large.kill()
        assert connection.backlog
        assert not connection._waiting
