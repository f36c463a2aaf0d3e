"""Unary calls over a shared connection that begin in one stretch of the hub leave in one write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import gevent
import grpc
import pytest
from gevent.event import Event
from gevent.queue import Queue

from tests.transport.peers.h2_server import H2Server
from tests.transport.support import wait_until
from tests.transport.test_observer import Recorder
from triton_users.transport import CallError, Channel, ChannelOptions, Share, SharedChannel, together_of
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.together import AT_ONCE


class Spy:
    """A socket that tells how often it was written to."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.writes: list[int] = []
        self.broken = False

    def send(self, data: Any) -> int:
        if self.broken:
            raise BrokenPipeError(32, "Broken pipe")
        self.writes.append(len(data))
        return int(self._sock.send(data))

    def sendmsg(self, parts: Any) -> int:
        self.writes.append(sum(map(len, parts)))
        return int(self._sock.sendmsg(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def share(server: H2Server, recorder: Recorder) -> Iterator[Share]:
    with SharedChannel(server.target, options=ChannelOptions(backoff_initial_s=0.01)) as whole:
        share = whole.share(recorder)
        call(share)
        recorder.events.clear()
        yield share


def call(share: Any) -> Any:
    return share.unary_unary("/s/m")(b"x", timeout=5)


def spied(share: Any) -> Spy:
    spy = Spy(share.connection._sock)
    share.connection._sock = spy
    return spy


@contextmanager
def stretch() -> Iterator[None]:
    together = together_of(gevent.get_hub())
    together.begin()
    try:
        yield
    finally:
        together.end()


def in_the_hub(what: Any) -> None:
    """Call it in the hub, as what is due is."""
    done = Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            what()
        except BaseException as error:  # noqa: BLE001  # it is raised where the test sees it
            errors.append(error)
        done.set()

    gevent.get_hub().loop.run_callback(run)
    done.wait(5)
    for error in errors:
        raise error


def start(share: Any, count: int, then: Any = None) -> list[gevent.Greenlet[..., Any]]:
    """So many calls that begin in one stretch; `then` is called at its end, still in it."""
    jobs = [gevent.Greenlet(call, share) for _ in range(count)]

    def run() -> None:
        with stretch():
            for job in jobs:
                job.switch()
            if then is not None:
                then()

    in_the_hub(run)
    return jobs


def test_they_leave_in_one_write(share: Share) -> None:
    spy = spied(share)
    jobs = start(share, 4)
    gevent.joinall(jobs, timeout=5, raise_error=True)
    assert len(spy.writes) == 1


def test_a_connection_of_one_s_own_holds_nothing_back(server: H2Server) -> None:
    with Channel(server.target) as channel:
        call(channel)
        spy = spied(channel)
        gevent.joinall(start(channel, 3), timeout=5, raise_error=True)
        assert len(spy.writes) == 3


def test_outside_of_a_stretch_nothing_is_held_back(share: Share) -> None:
    spy = spied(share)
    gevent.joinall([gevent.spawn(call, share) for _ in range(3)], timeout=5, raise_error=True)
    assert len(spy.writes) == 3


def test_the_first_waits_for_few_others_only(share: Share) -> None:
    spy = spied(share)
    gevent.joinall(start(share, 2 * AT_ONCE + 1), timeout=5, raise_error=True)
    assert len(spy.writes) == 3


def test_what_follows_answers_that_came_at_once_leaves_at_once(
    server: H2Server, share: Share, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[Any, int]] = []
    server.on_request = lambda connection, stream_id, headers, body: held.append((connection, stream_id))

    def twice() -> None:
        call(share)
        call(share)

    jobs = [gevent.spawn(twice) for _ in range(3)]
    wait_until(lambda: len(held) == 3)
    spy = spied(share)
    with monkeypatch.context() as patch:
        patch.setattr(held[0][0], "flush", lambda: None)
        for connection, stream_id in held:
            connection.answer(stream_id, b"\x00\x00\x00\x00\x01b")
    held[0][0].flush()
    wait_until(lambda: len(held) == 6)
    assert len(spy.writes) == 1
    for connection, stream_id in held[3:]:
        connection.answer(stream_id, b"\x00\x00\x00\x00\x01b")
    gevent.joinall(jobs, timeout=5, raise_error=True)


def test_a_call_s_time_begins_when_it_leaves(share: Share, recorder: Recorder) -> None:
    ended_s: list[float] = []

    def takes_a_while() -> None:
        until_s = perf_counter() + 0.02
        while perf_counter() < until_s:
            pass
        ended_s.append(perf_counter())

    gevent.joinall(start(share, 2, takes_a_while), timeout=5, raise_error=True)
    assert len(recorder.events) == 2
    for event in recorder.events:
        called_s, started_s = event[5:7]
        assert called_s < ended_s[0] - 0.02 < ended_s[0] <= started_s


def test_a_connection_that_breaks_then_is_made_again_and_the_calls_with_it(share: Share, server: H2Server) -> None:
    """No byte of them was sent."""
    spy = spied(share)

    def breaks() -> None:
        spy.broken = True

    assert [job.get(timeout=5) for job in start(share, 3, breaks)] == [b"x"] * 3
    assert len(server.connections) == 2


def test_what_is_large_follows_what_is_held_back(share: Share) -> None:
    large = bytes(300_000)
    answers: list[Any] = []

    def send_large() -> None:
        gevent.Greenlet(lambda: answers.append(share.unary_unary("/s/m")(large, timeout=5))).switch()

    jobs = start(share, 2, send_large)
    gevent.joinall(jobs, timeout=5, raise_error=True)
    wait_until(lambda: bool(answers))
    assert answers == [large]


def test_a_stream_is_not_held_back(share: Share) -> None:
    feed: Queue[Any] = Queue()
    stream = share.stream_stream("/s/m")(iter(feed.get, None))
    feed.put(b"\x00" * 3)
    gevent.sleep(0.05)
    spy = spied(share)
    with stretch():
        feed.put(b"\x00" * 3)
        gevent.sleep(0.05)
        assert spy.writes
    stream.cancel()


def test_a_call_that_is_reset_in_a_stretch_is_reset_behind_its_begin(share: Share, server: H2Server) -> None:
    def reset() -> None:
        for stream in list(share.connection.core.streams.values()):
            share.connection.reset(stream, ErrorCode.CANCEL)

    start(share, 2, reset)
    wait_until(lambda: len(server.connections[0].resets) == 2)
    assert not server.errors
    assert call(share) == b"x"
    assert len(server.connections) == 1


def test_closing_in_a_stretch_ends_what_was_held_back(share: Share, server: H2Server) -> None:
    jobs = start(share, 2, share.close)
    gevent.joinall(jobs, timeout=5)
    for job in jobs:
        assert isinstance(job.exception, CallError)
        assert job.exception.code() is grpc.StatusCode.CANCELLED
    wait_until(lambda: server.connections[0].closed)
    assert not server.errors
