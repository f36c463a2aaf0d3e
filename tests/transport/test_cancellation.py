"""Whatever ends a call early on our side reaches the server as RST_STREAM(CANCEL), for all four kinds of call."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import gevent
import grpc
import pytest
from h2.errors import ErrorCodes

from tests.transport.peers.h2_server import RESPONSE, H2Connection, H2Server, h2_server
from tests.transport.support import KINDS, begin, run, wait_until
from triton_users.transport import CallError, Channel, StreamedMessage


@pytest.fixture
def server() -> Iterator[H2Server]:
    """A server that begins each answer and never ends it."""

    def begin_answer(connection: H2Connection, stream_id: int) -> None:
        connection.h2.send_headers(stream_id, RESPONSE)

    with h2_server() as server:
        server.on_headers = begin_answer
        server.on_request = lambda *_: None
        yield server


@pytest.fixture
def channel(server: H2Server) -> Iterator[Channel]:
    with Channel(server.target) as channel:
        yield channel


def assert_cancelled(server: H2Server, channel: Channel) -> None:
    """The server has seen it, on the connection that lives on; nothing is left of the call."""
    wait_until(lambda: server.connections[0].resets)
    assert server.connections[0].resets == {1: ErrorCodes.CANCEL}
    assert channel.stats().open_streams == 0
    server.on_headers = lambda *_: None
    server.on_request = lambda connection, stream_id, headers, body: connection.answer(stream_id, body)
    assert channel.unary_unary("/s/m")(b"next", timeout=5) == b"next"
    assert len(server.connections) == 1


def wait_for_the_call(server: H2Server) -> None:
    wait_until(lambda: server.connections and server.connections[0].requests)
    gevent.sleep(0.01)


def connect(channel: Channel) -> None:
    """So that the time of a call that is about time is not spent on that."""
    channel.subscribe(lambda state: None, try_to_connect=True)
    wait_until(lambda: channel.connection is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_cancel(server: H2Server, channel: Channel, kind: str) -> None:
    call = begin(channel, kind)
    wait_for_the_call(server)
    assert call.cancel()
    if kind.endswith("unary"):
        with pytest.raises(grpc.FutureCancelledError):
            call.result(timeout=5)
    else:
        with pytest.raises(CallError) as caught:
            next(call)
        assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert not call.cancel()
    assert_cancelled(server, channel)


@pytest.mark.parametrize("kind", KINDS)
def test_the_death_of_the_callers_greenlet(server: H2Server, channel: Channel, kind: str) -> None:
    job = gevent.spawn(run, channel, kind)
    wait_for_the_call(server)
    job.kill()
    assert_cancelled(server, channel)


@pytest.mark.parametrize("kind", KINDS)
def test_a_timeout_of_gevent(server: H2Server, channel: Channel, kind: str) -> None:
    connect(channel)
    with gevent.Timeout(0.1, False):
        run(channel, kind)
    assert_cancelled(server, channel)


@pytest.mark.parametrize("kind", KINDS)
def test_the_deadline(server: H2Server, channel: Channel, kind: str) -> None:
    connect(channel)
    with pytest.raises(CallError) as caught:
        run(channel, kind, timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert_cancelled(server, channel)


def test_cancel_before_the_call_has_begun_sends_nothing(server: H2Server, channel: Channel) -> None:
    for kind in KINDS:
        call = begin(channel, kind)
        assert call.cancel()
        assert call.code() is grpc.StatusCode.CANCELLED
    assert server.connections == []


def test_cancel_in_the_middle_of_a_large_request(server: H2Server, channel: Channel) -> None:
    server.reads = False
    future = channel.unary_unary("/s/m").future(StreamedMessage(2**30, iter(lambda: bytes(2**16), None)))
    wait_for_the_call(server)
    started_s = perf_counter()
    assert future.cancel()
    with pytest.raises(grpc.FutureCancelledError):
        future.result(timeout=5)
    assert perf_counter() - started_s < 1
    wait_until(lambda: server.connections[0].resets)
    assert server.connections[0].resets == {1: ErrorCodes.CANCEL}
    assert channel.stats().open_streams == 0


def test_the_error_of_another_call_among_the_chunks_of_a_request(server: H2Server, channel: Channel) -> None:
    def chunks() -> Iterator[bytes]:
        yield bytes(10)
        channel.unary_unary("/s/m")(b"x", timeout=0.05)

    with pytest.raises(CallError) as caught:
        channel.unary_unary("/s/m")(StreamedMessage(100, chunks()))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: len(server.connections[0].resets) == 2)
    assert channel.stats().open_streams == 0
