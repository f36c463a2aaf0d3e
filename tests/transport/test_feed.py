"""A feed of requests: sent at once where that is possible, in order in any case, told to the observer once each."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import gevent
import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transport.peers.h2_server import h2_server
from triton_users.transport import CallError, Channel, RequestFeed, StreamInfo

CHAT = "/peer.Peer/chat"


class Sent:
    """An observer that keeps the streams' requests."""

    def __init__(self) -> None:
        self.requests: list[Any] = []

    def stream_sent(self, call: StreamInfo, request: Any, at_s: float, size: int) -> None:
        self.requests.append(request)

    def stream_received(self, *details: Any) -> None: ...

    def stream_done(self, *details: Any) -> None: ...

    def unary_done(self, *details: Any) -> None: ...

    def connection_opened(self, reason: str | None) -> None: ...


@pytest.fixture(scope="module")
def channel(grpcio_port: int) -> Iterator[Channel]:
    with Channel(f"grpc://127.0.0.1:{grpcio_port}") as channel:
        yield channel
        assert channel.stats().open_streams == 0


def test_a_request_leaves_in_the_greenlet_that_makes_it(channel: Channel) -> None:
    feed = RequestFeed()
    call = channel.stream_stream(CHAT)(feed)
    feed.put(b"first")
    assert next(call) == b"first"
    sent = channel.stats().bytes_sent
    feed.put(b"second")
    assert channel.stats().bytes_sent >= sent + len(b"second"), "before any other greenlet had a turn"
    assert next(call) == b"second"
    feed.close()
    assert list(call) == []


def test_closing_ends_the_requests_after_those_that_wait(channel: Channel) -> None:
    feed = RequestFeed()
    call = channel.stream_stream(CHAT)(feed)
    feed.put(b"a")
    feed.put(b"b")
    feed.close()
    assert list(call) == [b"a", b"b"]
    assert call.code() is grpc.StatusCode.OK


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.sampled_from([1, 100, 16_000, 20_000, 70_000, 300_000]), max_size=12),
    pause=st.sets(st.integers(0, 11)),
)
def test_requests_of_all_sizes_keep_their_order(grpcio_port: int, sizes: list[int], pause: set[int]) -> None:
    observer = Sent()
    with Channel(f"grpc://127.0.0.1:{grpcio_port}", observer=observer) as channel:
        feed = RequestFeed()
        call = channel.stream_stream(CHAT)(feed)
        requests = [b"%d:" % index + bytes(size) for index, size in enumerate(sizes)]
        received: list[bytes] = []
        reader = gevent.spawn(received.extend, call)
        for index, request in enumerate(requests):
            feed.put(request)
            if index in pause:
                gevent.sleep(0.001)
        feed.close()
        reader.join(timeout=20)
        assert received == requests
        assert observer.requests == requests


def test_after_the_calls_end_requests_are_dropped(channel: Channel) -> None:
    feed = RequestFeed()
    call = channel.stream_stream(CHAT)(feed)
    feed.put(b"end")
    assert list(call) == []
    sent = channel.stats().bytes_sent
    for _ in range(1000):
        feed.put(b"too late")
    feed.close()
    assert channel.stats().bytes_sent == sent


def test_a_request_that_cannot_be_serialised_ends_the_call(channel: Channel) -> None:
    feed = RequestFeed()
    call = channel.stream_stream(CHAT, request_serializer=str.encode)(feed)
    feed.put("text")
    assert next(call) == b"text"
    feed.put(7)
    with pytest.raises(CallError) as caught:
        next(call)
    assert caught.value.code() is grpc.StatusCode.INTERNAL


def test_a_cancelled_call_ends_while_its_pump_waits_for_requests(channel: Channel) -> None:
    feed = RequestFeed()
    call = channel.stream_stream(CHAT)(feed)
    feed.put(b"a")
    assert next(call) == b"a"
    call.cancel()
    started_s = perf_counter()
    with pytest.raises(CallError) as caught:
        next(call)
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert perf_counter() - started_s < 1


def test_a_stream_the_server_refused_gets_its_requests_once_more() -> None:
    with h2_server() as server:
        refused: list[int] = []

        def refuse_the_first(connection: Any, stream_id: int) -> None:
            if not refused:
                refused.append(stream_id)
                gevent.spawn_later(0.05, refuse, connection, stream_id)

        def refuse(connection: Any, stream_id: int) -> None:
            connection.h2.reset_stream(stream_id, 7)  # REFUSED_STREAM
            connection.flush()

        server.on_headers = refuse_the_first
        with Channel(server.target, observer=(observer := Sent())) as channel:
            feed = RequestFeed()
            call = channel.stream_stream("/s/m")(feed)
            gevent.sleep(0.01)
            feed.put(b"a")  # on the first stream
            gevent.sleep(0.1)
            feed.put(b"b")  # on the second
            feed.close()
            assert list(call) == [b"a", b"b"]
            assert observer.requests == [b"a", b"b"]
