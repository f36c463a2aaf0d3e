"""`close()` called from anywhere, in the middle of anything; and channels that share a hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import grpc
import pytest

from tests.transport.peers.h2_server import H2Server
from tests.transport.support import KINDS, begin, wait_until
from triton_users.transport import CallError, CallObserver, Channel, StreamedMessage


def echo(channel: Channel, message: bytes = b"x") -> Any:
    return channel.unary_unary("/s/m")(message, timeout=5)


class Closer(CallObserver):
    """Closes the channel as soon as it hears of a call's end."""

    channel: Channel

    def unary_done(self, *arguments: Any) -> None:
        self.channel.close()


def in_done_callback(channel: Channel) -> None:
    channel.unary_unary("/s/m").future(b"x").add_done_callback(lambda future: channel.close())


def in_stream_callback(channel: Channel) -> None:
    call = channel.stream_stream("/s/m")(iter([b"x"]))
    call.add_callback(channel.close)
    list(call)


def in_connectivity_callback(channel: Channel) -> None:
    def on_change(state: grpc.ChannelConnectivity) -> None:
        if state is grpc.ChannelConnectivity.READY:
            channel.close()

    channel.subscribe(on_change)


def in_observer(channel: Channel) -> None:
    observer = channel.observer = Closer()
    observer.channel = channel
    echo(channel)


def in_request_iterator(channel: Channel) -> None:
    def requests() -> Iterator[bytes]:
        yield b"a"
        channel.close()
        yield b"b"

    with pytest.raises(CallError, match="Channel closed"):
        list(channel.stream_stream("/s/m")(requests()))


def in_chunks(channel: Channel) -> None:
    def chunks() -> Iterator[bytes]:
        yield bytes(10)
        channel.close()
        yield bytes(90)

    with pytest.raises(CallError, match="Channel closed"):
        channel.unary_unary("/s/m")(StreamedMessage(100, chunks()))


def in_serializer(channel: Channel) -> None:
    def serialize(request: bytes) -> bytes:
        channel.close()
        return request

    with pytest.raises(CallError, match="Channel closed"):
        channel.unary_unary("/s/m", request_serializer=serialize)(b"x")


def in_deserializer(channel: Channel) -> None:
    def deserialize(response: bytes) -> bytes:
        channel.close()
        return response

    assert channel.unary_unary("/s/m", response_deserializer=deserialize)(b"x") == b"x"


def by_one_of_many_callers(channel: Channel) -> None:
    jobs = [gevent.spawn(echo, channel) for _ in range(10)]
    jobs[4].link(lambda job: channel.close())
    gevent.joinall(jobs, timeout=5)


@pytest.mark.parametrize(
    "close",
    [
        in_done_callback,
        in_stream_callback,
        in_connectivity_callback,
        in_observer,
        in_request_iterator,
        in_chunks,
        in_serializer,
        in_deserializer,
        by_one_of_many_callers,
    ],
)
def test_close_ends_everything_wherever_it_is_called(server: H2Server, close: Callable[[Channel], None]) -> None:
    channel = Channel(server.target)
    echo(channel)
    server.on_request = lambda connection, stream_id, headers, body: (
        None if body.endswith(b"held") else connection.answer(stream_id, body)
    )
    held = [begin(channel, kind, b"held") for kind in KINDS]
    wait_until(lambda: channel.stats().open_streams == 4)
    with gevent.Timeout(5):
        close(channel)
        assert [call.code() for call in held] == [grpc.StatusCode.CANCELLED] * 4
    assert channel.stats().open_streams == channel.stats().waiting_calls == 0
    wait_until(lambda: all(connection.closed for connection in server.connections))
    assert server.errors == []
    with pytest.raises(ValueError, match="closed channel"):
        echo(channel)


@pytest.mark.parametrize("kind", KINDS)
def test_close_ends_a_call_that_has_not_got_anywhere_yet(server: H2Server, kind: str) -> None:
    channel = Channel(server.target)
    call = begin(channel, kind)
    channel.close()
    with gevent.Timeout(5):
        assert call.code() is grpc.StatusCode.CANCELLED
    assert server.connections == []


def test_two_channels_on_one_hub_know_nothing_of_each_other(server: H2Server) -> None:
    with Channel(server.target) as first, Channel(server.target) as second:
        assert [echo(channel, b"%d" % index) for index in range(5) for channel in (first, second)] == [
            b"%d" % index for index in range(5) for _ in range(2)
        ]
        held: list[Any] = []
        server.on_request = lambda connection, stream_id, headers, body: held.append((connection, stream_id, body))
        jobs = [gevent.spawn(echo, channel, b"held") for channel in (first, second)]
        wait_until(lambda: len(held) == 2)
        first.close()
        with pytest.raises(CallError, match="Channel closed"):
            jobs[0].get(timeout=5)
        for connection, stream_id, body in held:
            connection.answer(stream_id, body)
        assert jobs[1].get(timeout=5) == b"held"
        assert len(server.connections) == 2
