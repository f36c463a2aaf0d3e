"""The life of connections: made late, replaced, refused, shared, closed. The peer is `h2`'s server in this process."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import gevent
import grpc
import pytest
from gevent import socket
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from tests.transport.peers.h2_server import RESPONSE, H2Connection, H2Server, h2_server
from tests.transport.peers.raw_server import raw_server
from tests.transport.support import KINDS, begin, free_port, run, wait_until
from triton_users.transport import CallError, Channel, ChannelOptions, UnsupportedError
from triton_users.transport.errors import WrongThreadError
from triton_users.transport.http2 import frames

FAST = ChannelOptions(backoff_initial_s=0.05, backoff_max_s=0.1, connect_timeout_s=0.3)


@pytest.fixture
def channel(server: H2Server) -> Iterator[Channel]:
    with Channel(server.target, options=FAST) as channel:
        yield channel


def echo(channel: Channel, message: bytes = b"hello", **options: Any) -> bytes:
    answer: bytes = channel.unary_unary("/s/echo")(message, **options)
    return answer


def failure(channel: Channel, **options: Any) -> CallError:
    """The error of a call that must fail."""
    with pytest.raises(CallError) as caught:
        echo(channel, **options)
    return caught.value


# Making connections


def test_connects_at_the_first_call_and_once(server: H2Server, channel: Channel) -> None:
    gevent.sleep(0.02)
    assert server.connections == []
    jobs = [gevent.spawn(echo, channel) for _ in range(10)]
    gevent.joinall(jobs, timeout=5, raise_error=True)
    assert len(server.connections) == 1
    assert channel.stats().connections == 1


def test_an_idle_connection_costs_no_greenlet(server: H2Server, channel: Channel) -> None:
    echo(channel)
    gevent.sleep(0.02)
    before = _greenlets()
    others = [Channel(server.target) for _ in range(5)]
    for other in others:
        echo(other)
    gevent.sleep(0.02)
    # The server in this process has one for each connection.
    assert _greenlets() - before == 5
    for other in others:
        other.close()


def _greenlets() -> int:
    gc.collect()
    return sum(isinstance(thing, gevent.Greenlet) and not thing.dead for thing in gc.get_objects())


def test_nobody_listens() -> None:
    port = free_port()
    with Channel(f"127.0.0.1:{port}", options=FAST) as channel:
        error = failure(channel)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert f"127.0.0.1:{port}" in error.details()
        assert "refused" in error.details()
        assert "ConnectFailure" in error.debug_error_string()


def test_a_name_that_does_not_exist() -> None:
    with Channel("no-such-host.invalid:1", options=ChannelOptions(connect_timeout_s=3)) as channel:
        error = failure(channel)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "no-such-host.invalid" in error.details()


def test_during_the_backoff_calls_fail_at_once_with_the_last_reason() -> None:
    options = ChannelOptions(backoff_initial_s=30)
    with Channel(f"127.0.0.1:{free_port()}", options=options) as channel:
        failure(channel)
        started_s = perf_counter()
        assert "refused" in failure(channel).details()
        assert perf_counter() - started_s < 0.05


def test_a_call_that_waits_for_readiness_survives_failed_attempts() -> None:
    port = free_port()
    with Channel(f"127.0.0.1:{port}", options=FAST) as channel:
        job = gevent.spawn(echo, channel, wait_for_ready=True, timeout=5)
        wait_until(lambda: channel._backoff.failures >= 2)
        assert not job.ready()
        assert channel.stats().waiting_calls == 1
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with h2_server() as real:
            relay = gevent.spawn(_relay, listener, real.port)
            assert job.get(timeout=5) == b"hello"
            relay.kill()
        listener.close()


def _relay(listener: Any, port: int) -> None:
    def copy(source: Any, sink: Any) -> None:
        while data := source.recv(65_536):
            sink.sendall(data)

    with listener.accept()[0] as client, socket.create_connection(("127.0.0.1", port)) as server:
        copies = [gevent.spawn(copy, client, server), gevent.spawn(copy, server, client)]
        try:
            gevent.joinall(copies)
        finally:
            gevent.killall(copies)


def test_a_call_that_waits_for_readiness_still_has_a_deadline() -> None:
    with Channel(f"127.0.0.1:{free_port()}", options=FAST) as channel:
        started_s = perf_counter()
        assert failure(channel, wait_for_ready=True, timeout=0.15).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert 0.149 < perf_counter() - started_s < 0.4


def test_a_server_that_accepts_and_says_nothing() -> None:
    with raw_server(lambda sock: gevent.sleep(10)) as target, Channel(target, options=FAST) as channel:
        started_s = perf_counter()
        error = failure(channel)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "no SETTINGS within 0.3 s" in error.details()
        assert perf_counter() - started_s < 1


def test_a_server_that_speaks_http_1() -> None:
    def script(sock: Any) -> None:
        sock.recv(1_000)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")

    with raw_server(script) as target, Channel(target, options=FAST) as channel:
        error = failure(channel)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "HTTP/1" in error.details()


def test_a_deadline_already_passed_sends_nothing(server: H2Server, channel: Channel) -> None:
    for timeout in (0, -1):
        assert failure(channel, timeout=timeout).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    call = channel.stream_stream("/s/m")(iter([b"x"]), timeout=0)
    assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert server.calls == 0


def test_an_interrupted_first_call_does_not_spoil_the_connection_for_others(server: H2Server, channel: Channel) -> None:
    victim = gevent.spawn(echo, channel)
    other = gevent.spawn(echo, channel)
    gevent.sleep(0)
    victim.kill()
    assert other.get(timeout=5) == b"hello"
    assert channel.stats().waiting_calls == 0


# Losing connections


def test_a_lost_connection_fails_its_calls_and_is_replaced(server: H2Server, channel: Channel) -> None:
    server.on_request = lambda connection, *_: connection.sock.shutdown(socket.SHUT_RDWR)
    error = failure(channel)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "server closed the connection" in error.details()
    server.on_request = lambda connection, stream_id, headers, body: connection.answer(stream_id, body)
    assert echo(channel) == b"hello"
    assert channel.stats().connections == 2


def test_an_idle_connection_that_ended_is_noticed_without_a_call(server: H2Server, channel: Channel) -> None:
    echo(channel)
    states: list[grpc.ChannelConnectivity] = []
    channel.subscribe(states.append)
    server.connections[0].sock.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: states == [grpc.ChannelConnectivity.READY, grpc.ChannelConnectivity.IDLE])
    assert echo(channel) == b"hello"


def test_a_connection_that_ended_while_nobody_looked_costs_no_call(server: H2Server, channel: Channel) -> None:
    echo(channel)
    assert channel.connection is not None
    server.connections[0].sock.shutdown(socket.SHUT_RDWR)
    # The hub has not run since, and for the channel the connection has been idle for long.
    channel.connection.received_s -= 60
    assert echo(channel) == b"hello"
    assert channel.stats().connections == 2


def test_goaway_lets_open_calls_finish_and_sends_new_ones_elsewhere(server: H2Server, channel: Channel) -> None:
    held: list[tuple[H2Connection, int]] = []
    server.on_request = lambda connection, stream_id, *_: held.append((connection, stream_id))
    old = gevent.spawn(echo, channel, b"old")
    wait_until(lambda: held)
    first, stream_id = held[0]
    first.h2.close_connection(last_stream_id=stream_id)
    first.flush()
    gevent.sleep(0.02)
    server.on_request = lambda connection, stream_id, headers, body: connection.answer(stream_id, b"\0\0\0\0\3new")
    assert echo(channel, b"x") == b"new"
    assert not old.ready()
    first.sock.sendall(_whole_answer(stream_id))
    assert old.get(timeout=5) == b"old"
    wait_until(lambda: first.closed)
    assert channel.stats().connections == 2
    assert channel.stats().open_streams == 0


def _whole_answer(stream_id: int) -> bytes:
    """An answer by hand: `h2` itself sends nothing more after a GOAWAY."""
    block = b"\x88\x5f\x10application/grpc"
    trailers = b"\x00\x0bgrpc-status\x010"
    return (
        frames.encode_headers(stream_id, block, False, 16_384)
        + frames.encode_frame(frames.FrameType.DATA, 0, stream_id, b"\0\0\0\0\3old")
        + frames.encode_headers(stream_id, trailers, True, 16_384)
    )


def test_a_call_that_goaway_refuses_is_made_again_on_a_new_connection(server: H2Server, channel: Channel) -> None:
    def refuse_first(connection: H2Connection, stream_id: int, headers: dict[str, str], body: bytes) -> None:
        if connection is server.connections[0]:
            connection.h2.close_connection(last_stream_id=0)
            connection.flush()
        else:
            connection.answer(stream_id, body)

    server.on_request = refuse_first
    assert echo(channel) == b"hello"
    assert channel.stats().connections == 2


def test_a_refused_stream_is_tried_again_but_not_for_ever(server: H2Server, channel: Channel) -> None:
    seen: list[int] = []

    def refuse(connection: H2Connection, stream_id: int, headers: dict[str, str], body: bytes) -> None:
        seen.append(stream_id)
        if len(seen) != 2:
            connection.h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
        else:
            connection.answer(stream_id, body)

    server.on_request = refuse
    assert echo(channel) == b"hello"
    error = failure(channel)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "REFUSED_STREAM" in error.details()
    assert len(seen) == 2 + 5


def test_a_reset_for_another_reason_is_not_tried_again(server: H2Server, channel: Channel) -> None:
    server.on_request = lambda connection, stream_id, *_: connection.h2.reset_stream(
        stream_id, ErrorCodes.INTERNAL_ERROR
    )
    assert failure(channel).code() is grpc.StatusCode.INTERNAL
    assert server.calls == 1


def test_a_refused_stream_of_requests_is_replayed_while_its_iterator_is_blocked(
    server: H2Server, channel: Channel
) -> None:
    go_on = gevent.event.Event()

    def requests() -> Iterator[bytes]:
        yield b"one"
        yield b"two"
        go_on.wait()
        yield b"three"

    def refuse(connection: H2Connection, stream_id: int) -> None:
        if len(connection.requests) == 1:
            gevent.spawn_later(0.05, _reset, connection, stream_id)

    server.on_headers = refuse
    job = gevent.spawn(channel.stream_unary("/s/m", response_deserializer=bytes), requests())
    wait_until(lambda: server.connections and len(server.connections[0].requests) == 2)
    gevent.sleep(0.02)
    go_on.set()
    # The echoed body is three messages, which a stream-unary call must not be.
    with pytest.raises(CallError, match="more than one message"):
        job.get(timeout=5)
    body = bytes(server.connections[0].requests[3][1])
    assert body == b"\0\0\0\0\3one\0\0\0\0\3two\0\0\0\0\5three"


def _reset(connection: H2Connection, stream_id: int) -> None:
    connection.h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
    connection.flush()


# Sharing a connection


def test_calls_beyond_max_concurrent_streams_go_first_come_first_served(server: H2Server, channel: Channel) -> None:
    server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 2}
    held: list[tuple[H2Connection, int, bytes]] = []
    server.on_request = lambda connection, stream_id, headers, body: held.append((connection, stream_id, body))
    jobs = [gevent.spawn(echo, channel, b"%d" % index) for index in range(6)]
    for done in range(6):
        wait_until(lambda done=done: len(held) == min(6, done + 2))
        assert channel.stats().waiting_calls == max(0, 4 - done)
        connection, stream_id, body = held[done]
        assert body[5:] == b"%d" % done
        connection.answer(stream_id, body)
    gevent.joinall(jobs, timeout=5, raise_error=True)


def test_a_call_that_waits_for_a_stream_has_a_deadline_and_leaves_the_queue(server: H2Server, channel: Channel) -> None:
    server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 0}
    assert failure(channel, timeout=0.1).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert channel.stats().waiting_calls == 0
    connection = server.connections[0]
    job = gevent.spawn(echo, channel)
    gevent.sleep(0.02)
    connection.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    connection.flush()
    assert job.get(timeout=5) == b"hello"


def test_a_server_that_stops_reading_holds_up_nobody_for_ever(server: H2Server, channel: Channel) -> None:
    server.reads = False
    echo(channel)
    with pytest.raises(CallError) as caught:
        channel.unary_unary("/s/m")(bytes(10_000_000), timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert channel.stats().open_streams == 0
    server.reads = True
    server.connections[0].h2.increment_flow_control_window(65_535)
    server.connections[0].flush()
    assert echo(channel, b"small", timeout=5) == b"small"


def test_a_response_that_ends_before_the_request_does(server: H2Server, channel: Channel) -> None:
    server.reads = False
    server.on_headers = lambda connection, stream_id: connection.h2.send_headers(
        stream_id, [*RESPONSE, ("grpc-status", "8"), ("grpc-message", "too much")], end_stream=True
    )
    with pytest.raises(CallError, match="too much") as caught:
        channel.unary_unary("/s/m")(bytes(10_000_000), timeout=5)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert channel.stats().open_streams == 0
    wait_until(lambda: server.connections[0].resets)


def test_the_header_list_carries_what_grpc_demands(server: H2Server, channel: Channel) -> None:
    echo(channel, timeout=25.0, metadata=[("x-a", "1")])
    headers, _ = server.connections[0].requests[1]
    assert headers == {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/s/echo",
        ":authority": server.target,
        "te": "trailers",
        "content-type": "application/grpc",
        "user-agent": "triton-users-grpc",
        "grpc-accept-encoding": "identity, deflate, gzip",
        "grpc-timeout": headers["grpc-timeout"],
        "x-a": "1",
    }
    assert headers["grpc-timeout"].endswith("u")


def test_an_authority_of_ones_own(server: H2Server) -> None:
    with Channel(server.target, options=ChannelOptions(authority="triton.example")) as channel:
        echo(channel)
    assert server.connections[0].requests[1][0][":authority"] == "triton.example"


@pytest.mark.parametrize("kind", KINDS)
def test_a_channels_own_metadata_goes_out_with_each_call_before_the_calls(server: H2Server, kind: str) -> None:
    options = ChannelOptions(metadata=(("authorization", "Bearer s3cret"), ("x-data-bin", b"\x00\x01")))
    assert "s3cret" not in repr(options)
    calls = []
    with Channel(server.target, options=options) as channel:
        for number in (1, 2):
            calls.append(begin(channel, kind, metadata=[("x-a", "1")]))
            wait_until(lambda number=number: server.connections and len(server.connections[0].requests) == number)
        requests = server.connections[0].requests
    assert len(requests) == 2
    for headers, *_ in requests.values():
        assert list(headers.items())[-3:] == [("authorization", "Bearer s3cret"), ("x-data-bin", "AAE"), ("x-a", "1")]


def test_metadata_that_no_call_may_have_is_refused_with_the_options() -> None:
    with pytest.raises(ValueError, match="metadata key 'te' is reserved by the protocol"):
        ChannelOptions(metadata=(("te", "x"),))


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_in_capitals_is_the_callers_mistake_and_no_call(server: H2Server, channel: Channel, kind: str) -> None:
    with pytest.raises(ValueError, match="write 'authorization'"):
        run(channel, kind, metadata=[("Authorization", "Bearer x")])
    assert not server.connections


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_out_of_a_generator_arrives(server: H2Server, channel: Channel, kind: str) -> None:
    call = begin(channel, kind, metadata=((key, "1") for key in ("x-a", "x-b")))
    wait_until(lambda: server.connections and server.connections[0].requests)
    headers, _ = server.connections[0].requests[1]
    assert (headers["x-a"], headers["x-b"]) == ("1", "1")
    call.cancel()


# Keep-alive


def test_a_silent_connection_is_probed_and_a_dead_one_given_up(server: H2Server) -> None:
    options = ChannelOptions(keepalive_time_s=0.05, keepalive_timeout_s=0.1)
    with Channel(server.target, options=options) as channel:
        server.on_request = lambda *_: None
        job = gevent.spawn(echo, channel)
        wait_until(lambda: channel.stats().pings_sent >= 3)
        assert not job.ready()
        server.connections[0].h2.receive_data = lambda data: []  # from now on the server is deaf and dumb
        with pytest.raises(CallError, match="keep-alive") as caught:
            job.get(timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_no_probes_without_calls_unless_wanted(server: H2Server) -> None:
    for wanted in (False, True):
        options = ChannelOptions(keepalive_time_s=0.02, keepalive_without_calls=wanted)
        with Channel(server.target, options=options) as channel:
            echo(channel)
            gevent.sleep(0.15)
            assert (channel.stats().pings_sent > 0) is wanted


# The end


def test_close_ends_calls_in_flight_with_cancelled_and_returns_at_once(server: H2Server, channel: Channel) -> None:
    server.on_request = lambda *_: None
    unary = gevent.spawn(echo, channel)
    future = channel.unary_unary("/s/m").future(b"x")
    stream = channel.stream_stream("/s/m")(iter([b"x"]))
    reader = gevent.spawn(next, stream)
    wait_until(lambda: channel.stats().open_streams == 3)
    started_s = perf_counter()
    channel.close()
    assert perf_counter() - started_s < 0.1
    for job in (unary, reader):
        with pytest.raises(CallError, match="Channel closed") as caught:
            job.get(timeout=1)
        assert caught.value.code() is grpc.StatusCode.CANCELLED
    with pytest.raises(grpc.FutureCancelledError):
        future.result(timeout=1)
    wait_until(lambda: server.connections[0].closed)
    assert len(server.connections[0].resets) == 3


def test_close_ends_calls_that_still_wait_for_a_connection() -> None:
    with raw_server(lambda sock: gevent.sleep(10)) as target:
        channel = Channel(target)
        job = gevent.spawn(echo, channel)
        gevent.sleep(0.02)
        channel.close()
        with pytest.raises(CallError, match="Channel closed"):
            job.get(timeout=1)


def test_a_closed_channel_refuses_calls_as_grpc_does(channel: Channel) -> None:
    channel.close()
    channel.close()
    with pytest.raises(ValueError, match="closed channel"):
        echo(channel)
    with pytest.raises(ValueError, match="closed channel"):
        channel.stream_stream("/s/m")(iter([]))


def test_a_forgotten_channel_closes_its_connection(server: H2Server) -> None:
    channel = Channel(server.target)
    echo(channel)
    forgotten = weakref.ref(channel)
    del channel
    gevent.sleep(0.01)  # the hub's callback that woke us still holds the call
    gc.collect()
    assert forgotten() is None
    wait_until(lambda: server.connections[0].closed)


# Connectivity


def test_subscribers_see_every_state_in_order(server: H2Server, channel: Channel) -> None:
    states: list[str] = []
    channel.subscribe(lambda state: states.append(state.name), try_to_connect=True)
    wait_until(lambda: states == ["IDLE", "CONNECTING", "READY"])
    channel.close()
    wait_until(lambda: states[3:] == ["SHUTDOWN"])


def test_a_subscriber_that_left_hears_nothing_more(server: H2Server, channel: Channel) -> None:
    states: list[grpc.ChannelConnectivity] = []
    callback = states.append
    channel.subscribe(callback)
    wait_until(lambda: states)
    channel.unsubscribe(callback)
    echo(channel)
    gevent.sleep(0.02)
    assert len(states) == 1


def test_the_ready_future_of_grpc(server: H2Server, channel: Channel) -> None:
    grpc.channel_ready_future(channel).result(timeout=5)


def test_an_eager_subscriber_keeps_the_channel_trying() -> None:
    with Channel(f"127.0.0.1:{free_port()}", options=FAST) as channel:
        states: list[str] = []
        channel.subscribe(lambda state: states.append(state.name), try_to_connect=True)
        wait_until(lambda: states.count("TRANSIENT_FAILURE") >= 3)


# What is refused


def test_call_credentials_are_refused_by_name(channel: Channel) -> None:
    with pytest.raises(UnsupportedError, match="call credentials"):
        channel.unary_unary("/s/m")(b"x", credentials=object())
    with pytest.raises(UnsupportedError, match="call credentials"):
        channel.stream_stream("/s/m")(iter([]), credentials=object())


def test_bad_metadata_is_refused_where_the_call_is_made(channel: Channel) -> None:
    with pytest.raises(ValueError, match="metadata"):
        echo(channel, metadata=[("Bad", "1")])
    with pytest.raises(ValueError, match="metadata"):
        channel.stream_stream("/s/m")(iter([]), metadata=[("Bad", "1")])


def test_another_thread_is_refused(channel: Channel) -> None:
    echo(channel)

    def elsewhere() -> str:
        try:
            echo(channel)
        except WrongThreadError as exc:
            return str(exc)
        return "no error"

    assert "thread" in gevent.get_hub().threadpool.apply(elsewhere)
    assert threading.current_thread() is threading.main_thread()


@pytest.mark.parametrize(
    "options",
    [
        {"connect_timeout_s": 0},
        {"backoff_initial_s": -1},
        {"keepalive_time_s": 0},
        {"stream_window_bytes": 10},
        {"max_frame_bytes": 2**24},
        {"max_header_list_bytes": 1},
        {"authority": "two words"},
        {"authority": ""},
        {"max_send_message_bytes": 2**32},
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        ChannelOptions(**options)


@pytest.mark.parametrize("kind", ["call", "with_call", "future", "stream"])
def test_a_finished_call_is_freed_without_a_garbage_collection(channel: Channel, kind: str) -> None:
    calls = ("Stream", "UnaryCall", "StreamCall")

    def alive() -> set[int]:
        return {id(thing) for thing in gc.get_objects() if type(thing).__name__ in calls}

    gc.collect()
    before = alive()  # those that the traceback of another test's failure has kept
    gc.disable()
    try:
        if kind == "stream":
            assert list(channel.stream_stream("/s/m")(iter([b"x"]))) == [b"x"]
        elif kind == "future":
            assert channel.unary_unary("/s/m").future(b"x").result() == b"x"
        elif kind == "with_call":
            channel.unary_unary("/s/m").with_call(b"x")
        else:
            echo(channel)
        gevent.sleep(0.01)
        assert alive() <= before
    finally:
        gc.enable()
