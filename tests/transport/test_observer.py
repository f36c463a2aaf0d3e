"""What an observer learns: each call once, in order, outside the hub, with times that leave out our own work."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import gevent
import grpc
import pytest
from h2.settings import SettingCodes

from tests.transport.peers.h2_server import H2Server
from tests.transport.support import KINDS, run, wait_until
from triton_users.transport import CallError, Channel, ChannelOptions, StreamedMessage, StreamInfo


class Recorder:
    """Keeps all events; each must come in a greenlet that may block."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.opened: list[str | None] = []

    def _add(self, *event: Any) -> None:
        assert gevent.getcurrent() is not gevent.get_hub()
        self.events.append(event)

    def unary_done(self, *details: Any) -> None:
        self._add("unary", *details)

    def stream_sent(self, call: StreamInfo, request: Any, at_s: float, size: int) -> None:
        self._add("sent", call, request, at_s, size)

    def stream_received(self, call: StreamInfo, response: Any, at_s: float, size: int) -> None:
        self._add("received", call, response, at_s, size)

    def stream_done(self, call: StreamInfo, error: CallError | None, at_s: float) -> None:
        self._add("done", call, error, at_s)

    def connection_opened(self, reason: str | None) -> None:
        assert gevent.getcurrent() is not gevent.get_hub()
        self.opened.append(reason)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def channel(server: H2Server, recorder: Recorder) -> Iterator[Channel]:
    with Channel(server.target, options=ChannelOptions(backoff_initial_s=0.01), observer=recorder) as channel:
        yield channel


def test_a_unary_call(channel: Channel, recorder: Recorder) -> None:
    before_s = perf_counter()
    channel.unary_unary("/s/m", request_serializer=str.encode)("four")
    after_s = perf_counter()
    ((kind, method, request, response, error, called_s, started_s, ended_s, sent, received),) = recorder.events
    assert (kind, method, request, response, error) == ("unary", "/s/m", "four", b"four", None)
    assert before_s <= called_s <= started_s <= ended_s <= after_s
    assert (sent, received) == (4, 4)


def test_a_call_that_waited_for_a_stream_tells_how_long(server: H2Server, channel: Channel, recorder: Recorder) -> None:
    server.settings = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    server.on_request = lambda connection, stream_id, headers, body: gevent.spawn_later(
        0.1, connection.answer, stream_id, body
    )
    jobs = [gevent.spawn(channel.unary_unary("/s/m"), b"x") for _ in range(2)]
    gevent.joinall(jobs, timeout=5, raise_error=True)
    waited = [event[6] - event[5] for event in recorder.events]
    served = [event[7] - event[6] for event in recorder.events]
    assert waited[0] < 0.09 < waited[1]
    assert all(0.09 < seconds < 0.19 for seconds in served)


def test_a_failed_call(server: H2Server, channel: Channel, recorder: Recorder) -> None:
    server.on_request = lambda connection, stream_id, headers, body: connection.answer(stream_id, b"", status=8)
    with pytest.raises(CallError) as caught:
        channel.unary_unary("/s/m")(b"x")
    (event,) = recorder.events
    assert event[3] is None
    assert event[4] is caught.value


def test_a_call_that_never_left(recorder: Recorder) -> None:
    options = ChannelOptions(backoff_initial_s=0.01)
    with Channel("127.0.0.1:1", options=options, observer=recorder) as channel, pytest.raises(CallError):
        channel.unary_unary("/s/m")(b"x")
    (event,) = recorder.events
    assert event[6] is None
    assert event[7] >= event[5]


@pytest.mark.parametrize("exception", [gevent.GreenletExit, gevent.Timeout])
def test_an_interrupted_call(server: H2Server, channel: Channel, recorder: Recorder, exception: type) -> None:
    server.on_request = lambda *_: None
    victim = gevent.spawn(channel.unary_unary("/s/m"), b"x")
    gevent.sleep(0.05)
    victim.kill(exception())
    ((*_, error, _, _, _, _, _),) = recorder.events
    assert error.code() is grpc.StatusCode.CANCELLED
    assert isinstance(error.__cause__, exception)


def test_an_error_of_the_callers_own_code(channel: Channel, recorder: Recorder) -> None:
    with pytest.raises(ValueError, match="end 1 bytes early"):
        channel.unary_unary("/s/m")(StreamedMessage(2, [b"x"]))
    (event,) = recorder.events
    assert event[4].code() is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("kind", KINDS)
def test_metadata_that_cannot_be_sent_is_no_failed_call(channel: Channel, recorder: Recorder, kind: str) -> None:
    with pytest.raises(ValueError, match="metadata key 'Bad'"):
        run(channel, kind, metadata=[("Bad", "1")])
    gevent.sleep(0.01)
    assert recorder.events == []


def test_a_stream(channel: Channel, recorder: Recorder) -> None:
    call = channel.stream_stream("/s/m")(iter([b"a", b"bb"]))
    assert list(call) == [b"a", b"bb"]
    gevent.sleep(0.01)
    assert [event[0] for event in recorder.events] == ["sent", "sent", "received", "received", "done"]
    assert len({event[1] for event in recorder.events}) == 1
    assert recorder.events[0][1].method == "/s/m"
    assert [event[4] for event in recorder.events[:4]] == [1, 2, 1, 2]
    assert recorder.events[-1][2] is None
    times = [event[3] for event in recorder.events]
    assert times == sorted(times)


def test_a_cancelled_stream_is_done_once(server: H2Server, channel: Channel, recorder: Recorder) -> None:
    server.on_request = lambda *_: None
    requests: queue.Queue[bytes] = queue.Queue()
    call = channel.stream_stream("/s/m")(iter(requests.get, None))
    requests.put(b"a")
    gevent.sleep(0.05)
    call.cancel()
    with pytest.raises(CallError):
        next(call)
    gevent.sleep(0.01)
    del call
    gevent.sleep(0.01)
    assert [event[0] for event in recorder.events] == ["sent", "done"]
    assert recorder.events[-1][2].code() is grpc.StatusCode.CANCELLED


def test_a_stream_that_nobody_reads_to_its_end_is_done_when_it_is_forgotten(
    channel: Channel, recorder: Recorder
) -> None:
    call = channel.stream_stream("/s/m")(iter([b"a", b"b"]))
    assert next(call) == b"a"
    gevent.sleep(0.02)
    assert "done" not in [event[0] for event in recorder.events]
    del call
    gevent.sleep(0.01)
    assert recorder.events[-1][0] == "done"


def test_a_connection_that_is_made_again_says_why_the_one_before_ended(
    server: H2Server, channel: Channel, recorder: Recorder
) -> None:
    call = channel.unary_unary("/s/m")
    call(b"x")
    assert recorder.opened == [None]
    server.connections[0].h2.close_connection(error_code=0, additional_data=b"max_age")
    server.connections[0].flush()
    wait_until(lambda: channel.connection is None)
    call(b"x")
    server.connections[1].sock.close()
    wait_until(lambda: channel.connection is None)
    call(b"x")
    assert [reason is None for reason in recorder.opened] == [True, False, False]
    assert "GOAWAY NO_ERROR" in str(recorder.opened[1])
    assert "max_age" in str(recorder.opened[1])
    assert recorder.opened[2] == "the server closed the connection"
    assert channel.stats().connections == 3
