"""Several users of one connection: each hears of its own calls, and ends with them alone."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import gevent
import grpc
import pytest
from h2.settings import SettingCodes

from tests.transport.peers.h2_server import H2Server
from tests.transport.test_observer import Recorder
from triton_users.transport import CallError, ChannelOptions, Share, SharedChannel


@pytest.fixture
def whole(server: H2Server) -> Iterator[SharedChannel]:
    with SharedChannel(server.target, options=ChannelOptions(backoff_initial_s=0.01)) as whole:
        yield whole


def call(share: Share, what: bytes) -> Any:
    return share.unary_unary("/s/m")(what, timeout=5)


def hold(server: H2Server) -> list[tuple[Any, int]]:
    """Have the server keep requests instead of answering them: those it has, as (connection, stream id)."""
    held: list[tuple[Any, int]] = []
    server.on_request = lambda connection, stream_id, headers, body: held.append((connection, stream_id))
    return held


def until(what: Any) -> None:
    with gevent.Timeout(5):
        while not what():
            gevent.sleep(0.005)


def test_calls_of_all_shares_go_over_one_connection_and_each_observer_hears_its_own(
    server: H2Server, whole: SharedChannel
) -> None:
    heard = [Recorder() for _ in range(3)]
    shares = [whole.share(recorder) for recorder in heard]
    jobs = [gevent.spawn(call, share, b"%d" % number) for number, share in enumerate(shares)]
    gevent.joinall(jobs, timeout=5, raise_error=True)
    stream = shares[0].stream_stream("/s/m")(iter([b"\x00" * 3]))
    assert list(stream)
    assert len(server.connections) == 1
    assert [[event[0] for event in recorder.events] for recorder in heard] == [
        ["unary", "sent", "received", "done"],
        ["unary"],
        ["unary"],
    ]
    assert [recorder.events[0][3] for recorder in heard] == [b"0", b"1", b"2"]


def test_closing_a_share_ends_its_own_calls_only(server: H2Server, whole: SharedChannel) -> None:
    held = hold(server)
    leaving, staying = whole.share(), whole.share()
    jobs = [gevent.spawn(call, leaving, b"a"), gevent.spawn(call, staying, b"b")]
    stream = leaving.stream_stream("/s/m")(iter([b"c"]))
    until(lambda: len(held) == 3)
    leaving.close()
    leaving.close()
    gevent.joinall(jobs[:1], timeout=5)
    assert jobs[0].exception.code() is grpc.StatusCode.CANCELLED
    assert stream.code() is grpc.StatusCode.CANCELLED
    until(lambda: len(server.connections[0].resets) == 2)
    for connection, stream_id in held:
        connection.answer(stream_id, b"\x00\x00\x00\x00\x01b")
    assert jobs[1].get(timeout=5) == b"b"
    assert not server.connections[0].closed
    with pytest.raises(ValueError, match="closed channel"):
        call(leaving, b"a")


def test_a_call_that_waits_for_a_stream_is_ended_by_its_own_share_only(server: H2Server, whole: SharedChannel) -> None:
    server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    held = hold(server)
    first, leaving, staying = whole.share(), whole.share(), whole.share()
    jobs = [gevent.spawn(call, share, b"x") for share in (first, leaving, staying)]
    until(lambda: held and len(whole.waiting) == 2)
    leaving.close()
    with pytest.raises(CallError) as caught:
        jobs[1].get(timeout=5)
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    for number, job in ((0, jobs[0]), (1, jobs[2])):
        until(lambda number=number: len(held) > number)
        held[number][0].answer(held[number][1], b"\x00\x00\x00\x00\x01x")
        assert job.get(timeout=5) == b"x"


def test_the_connection_ends_with_the_last_share(server: H2Server, whole: SharedChannel) -> None:
    first, last = whole.share(), whole.share()
    call(first, b"x")
    first.close()
    gevent.sleep(0.02)
    assert not server.connections[0].closed
    last.close()
    until(lambda: server.connections[0].closed)
    with pytest.raises(ValueError, match="closed channel"):
        whole.share()


def test_the_connection_ends_when_nobody_holds_a_share(server: H2Server) -> None:
    share = SharedChannel(server.target).share()
    call(share, b"x")
    del share
    gc.collect()
    until(lambda: server.connections[0].closed)


def test_a_lost_connection_is_made_again_once_for_all(server: H2Server, whole: SharedChannel) -> None:
    shares = [whole.share() for _ in range(3)]
    call(shares[0], b"x")
    server.connections[0].sock.close()
    until(lambda: whole.connection is None or call_fails(shares[0]))
    jobs = [gevent.spawn(call, share, b"y") for share in shares]
    gevent.joinall(jobs, timeout=5, raise_error=True)
    assert len(server.connections) == 2


def call_fails(share: Share) -> bool:
    try:
        call(share, b"x")
    except CallError:
        return True
    return False


def test_one_observer_hears_of_a_new_connection(server: H2Server, whole: SharedChannel) -> None:
    heard = [Recorder() for _ in range(3)]
    shares = [whole.share(recorder) for recorder in heard]
    call(shares[0], b"x")
    assert [reason for recorder in heard for reason in recorder.opened] == [None]
    server.connections[0].sock.close()
    until(lambda: whole.connection is None)
    call(shares[1], b"x")
    assert len([reason for recorder in heard for reason in recorder.opened if reason is not None]) == 1
