"""Calls interrupted at random moments leave nothing behind: no stream, no greenlet, no memory, and a usable connection.

`TRANSPORT_INTERRUPTIONS` sets how many; a call that ended by itself before it could be interrupted does not count.
"""

from __future__ import annotations

import gc
import os
import random
import tracemalloc
from collections.abc import Iterator

import gevent
import grpc
import pytest

from tests.transport.peers.h2_server import H2Connection, h2_server
from tests.transport.peers.raw_server import raw_server
from tests.transport.support import wait_until
from triton_users.transport import CallError, Channel, ChannelOptions, StreamedMessage, TlsCredentials

COUNT = int(os.environ.get("TRANSPORT_INTERRUPTIONS", "10000"))


def _lazy_answer(connection: H2Connection, stream_id: int, headers: dict[str, str], body: bytes) -> None:
    """Answer at once, a little later, or never."""
    fate = stream_id % 3
    if fate == 0:
        connection.answer(stream_id, body[:1_000_000])
    elif fate == 1:
        gevent.spawn_later(0.001, _late, connection, stream_id, body)


def _late(connection: H2Connection, stream_id: int, body: bytes) -> None:
    if not connection.closed:
        connection.answer(stream_id, b"\0\0\0\0\4late")


def _requests(generator: random.Random) -> Iterator[bytes]:
    for _ in range(generator.randrange(5)):
        yield bytes(generator.randrange(3_000))
        gevent.sleep(0)


def _one_call(channel: Channel, generator: random.Random) -> bool:
    """A call of any kind; whether its deadline ended it."""
    kind = generator.randrange(5)
    timeout = generator.choice([None, None, 0.001, 0.003])
    try:
        if kind == 0:
            channel.unary_unary("/s/m")(bytes(generator.randrange(2_000)), timeout=timeout)
        elif kind == 1:
            size = generator.randrange(200_000)
            message = StreamedMessage(size, (bytes(min(10_000, size - at)) for at in range(0, size, 10_000)))
            channel.unary_unary("/s/m")(message, timeout=timeout)
        elif kind == 2:
            list(channel.stream_stream("/s/m")(_requests(generator), timeout=timeout))
        elif kind == 3:
            # A future whose awaiter is interrupted goes on; so it has an end of its own.
            channel.unary_unary("/s/m").future(b"x", timeout=timeout or 0.02).result()
        else:
            next(channel.unary_stream("/s/m")(b"x", timeout=timeout))
    except CallError as exc:
        return exc.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    except (grpc.FutureCancelledError, StopIteration):
        pass  # the call's own end
    return False


def _interrupt_one(channel: Channel, generator: random.Random) -> bool:
    """Whether the call was interrupted before it ended by itself."""
    delay_s = generator.choice([0, 0, 0.0005, 0.001, 0.002])
    if generator.random() < 0.5:
        with gevent.Timeout(max(delay_s, 0.0001), False):
            return _one_call(channel, generator)
        return True
    victim = gevent.spawn(_one_call, channel, generator)
    gevent.sleep(delay_s)
    alive = not victim.ready()
    victim.kill()
    return alive or bool(victim.value)


def _run(channel: Channel, count: int, seed: int) -> None:
    left = count

    def user(number: int) -> None:
        nonlocal left
        generator = random.Random(seed * 100 + number)
        while left > 0:
            interrupted = _interrupt_one(channel, generator)
            left -= interrupted  # in one step: other users run during the call

    gevent.joinall([gevent.spawn(user, number) for number in range(20)], timeout=200, raise_error=True)
    assert left <= 0


def _descriptors() -> int:
    """Open files and sockets of this process."""
    return len(os.listdir("/proc/self/fd"))


def _greenlets() -> int:
    gc.collect()
    return sum(isinstance(thing, gevent.Greenlet) and not thing.dead for thing in gc.get_objects())


def _settle(channel: Channel) -> None:
    with gevent.Timeout(20):
        while channel.stats().open_streams or channel.stats().waiting_calls:
            gevent.sleep(0.01)
    gevent.sleep(0.05)


@pytest.mark.timeout(500)
def test_random_interruptions_leave_nothing() -> None:
    with h2_server() as server:
        server.on_request = _lazy_answer
        # Futures whose result nobody awaits run on, so that their calls need an end of their own.
        options = ChannelOptions(backoff_initial_s=0.01)
        with Channel(server.target, options=options) as channel:
            _run(channel, 200, 1)
            _settle(channel)
            greenlets, descriptors = _greenlets(), _descriptors()
            tracemalloc.start()
            try:
                _run(channel, COUNT // 2, 2)
                _settle(channel)
                _forget(server.connections[0])
                first = _own_memory()
                _run(channel, COUNT - COUNT // 2, 3)
                _settle(channel)
                _forget(server.connections[0])
                second = _own_memory()
            finally:
                tracemalloc.stop()
            assert channel.stats().open_streams == 0
            assert channel.stats().connections == 1
            assert _greenlets() <= greenlets
            assert _descriptors() <= descriptors  # fewer: what an earlier test left was collected meanwhile
            assert second - first < 50_000
            server.on_request = lambda connection, stream_id, headers, body: connection.answer(stream_id, body)
            assert channel.unary_unary("/s/m")(b"still fine", timeout=5) == b"still fine"


def _own_memory() -> int:
    """Bytes allocated by the transport's own lines; the peer in this process remembers every call."""
    gc.collect()
    ours = tracemalloc.Filter(True, "*/triton_users/transport/*")
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces([ours]).traces)


def _forget(connection: H2Connection) -> None:
    """Drop what the peer remembers of each call; that memory is not ours."""
    connection.requests.clear()
    connection.resets.clear()
    connection.h2.streams.clear()
    gc.collect()


@pytest.mark.parametrize("peer", ["answers", "says nothing", "says nothing, and TLS is wanted"])
def test_interruptions_while_a_connection_is_made_leave_no_socket(peer: str) -> None:
    generator = random.Random(peer)

    def attempt(target: str) -> None:
        tls = TlsCredentials(insecure=True) if "TLS" in peer else None
        with Channel(target, tls=tls) as channel:
            victim = gevent.spawn(channel.unary_unary("/s/m"), b"x")
            gevent.sleep(generator.choice([0, 0.0002, 0.0005, 0.001, 0.003]))
            victim.kill()
            assert channel.stats().waiting_calls == channel.stats().open_streams == 0

    with h2_server() as server, raw_server(lambda sock: sock.recv(1)) as mute:
        target = server.target if peer == "answers" else mute
        attempt(target)
        gevent.sleep(0.05)
        greenlets, descriptors = _greenlets(), _descriptors()
        for _ in range(200):
            attempt(target)
        wait_until(lambda: _greenlets() <= greenlets and _descriptors() <= descriptors)
