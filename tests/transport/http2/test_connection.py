"""The client's state machine against `h2`'s server, and against frames that no honest library sends."""

from __future__ import annotations

import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transport.http2.harness import HEADERS, RESPONSE, TRAILERS, H2Pair, HandPeer
from triton_users.transport.http2 import frames
from triton_users.transport.http2.faults import ConnectionFault, ErrorCode, StreamFault
from triton_users.transport.http2.frames import END_STREAM, FrameType, Setting
from triton_users.transport.http2.stream import NEXT_STATE, Stream, StreamEvent, StreamState
from triton_users.transport.http2.streams import ConnectionState


def test_a_small_request_and_its_answer() -> None:
    pair = H2Pair()
    stream = pair.request(b"hello")
    received = [event for event in pair.events if isinstance(event, h2.events.DataReceived)]
    assert [event.data for event in received] == [b"hello"]
    pair.answer(stream)
    assert stream.inbox == [b"answer"]
    assert stream.state is StreamState.CLOSED
    assert stream.trailers is not None
    assert stream.trailers.fields == tuple(TRAILERS)
    assert not pair.ours.streams


def test_many_streams_are_told_apart() -> None:
    pair = H2Pair()
    streams = [pair.request(b"%d" % index) for index in range(10)]
    for stream in reversed(streams):
        pair.answer(stream, b"for %d" % stream.id)
    assert [stream.inbox for stream in streams] == [[b"for %d" % stream.id] for stream in streams]


@given(
    body=st.binary(min_size=1, max_size=100_000),
    window=st.sampled_from([1, 1_000, 65_535, 200_000]),
    frame=st.sampled_from([16_384, 50_000]),
)
def test_a_large_request_keeps_to_the_servers_windows_and_frame_size(body: bytes, window: int, frame: int) -> None:
    pair = H2Pair(INITIAL_WINDOW_SIZE=window, MAX_FRAME_SIZE=frame)
    stream, opening = pair.ours.open(HEADERS, b"")
    pair.to_server(opening)
    view, received, rounds = memoryview(body), bytearray(), 0
    while len(view):
        taken, parts = pair.ours.take_data(stream, view, end_stream=True)
        view = view[taken:]
        for event in pair.to_server(b"".join(parts)):  # h2 raises if a limit of its own is broken
            if isinstance(event, h2.events.DataReceived):
                received += event.data
                pair.server.acknowledge_received_data(event.flow_controlled_length, stream.id)
        touched = pair.exchange()
        assert taken or stream in touched
        rounds += 1
        if window == 1 and rounds > 20:
            return
    assert received == body
    assert stream.state is StreamState.HALF_CLOSED_LOCAL
    assert any(isinstance(event, h2.events.StreamEnded) for event in pair.events)


def test_a_starved_sender_is_told_when_the_connections_window_opens() -> None:
    pair = H2Pair(INITIAL_WINDOW_SIZE=200_000)
    stream, opening = pair.ours.open(HEADERS, b"")
    pair.to_server(opening)
    taken, _ = pair.ours.take_data(stream, memoryview(bytes(100_000)), end_stream=False)
    assert taken == 65_535
    assert pair.ours.take_data(stream, memoryview(bytes(100)), end_stream=False) == (0, [])
    pair.server.increment_flow_control_window(1_000)
    assert stream in pair.exchange()


def test_a_starved_sender_is_told_when_settings_open_its_window() -> None:
    pair = H2Pair(INITIAL_WINDOW_SIZE=0)
    stream, opening = pair.ours.open(HEADERS, b"")
    pair.to_server(opening)
    assert pair.ours.take_data(stream, memoryview(b"x"), end_stream=False) == (0, [])
    pair.server.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10})
    assert stream in pair.exchange()
    assert stream.send_window == 10


def test_settings_can_make_a_window_negative() -> None:
    peer = HandPeer()
    stream, _ = peer.ours.open(HEADERS, b"")
    peer.ours.take_data(stream, memoryview(bytes(1_000)), end_stream=False)
    peer.give(frames.encode_settings({Setting.INITIAL_WINDOW_SIZE: 100}))
    assert stream.send_window == -900
    assert peer.ours.take_data(stream, memoryview(b"x"), end_stream=False) == (0, [])
    assert stream in peer.give(frames.encode_window_update(1, 901))
    assert peer.ours.take_data(stream, memoryview(b"xy"), end_stream=False)[0] == 1


def test_settings_that_overflow_a_window_end_the_connection() -> None:
    peer = HandPeer()
    peer.ours.open(HEADERS, b"")
    peer.give(frames.encode_window_update(1, 2**31 - 1 - 65_535))
    peer.give(frames.encode_settings({Setting.INITIAL_WINDOW_SIZE: 65_536}))
    assert peer.goaway_code() is ErrorCode.FLOW_CONTROL_ERROR


def test_a_request_larger_than_a_frame_or_window_is_not_sent_at_once() -> None:
    peer = HandPeer()
    assert peer.ours.request(HEADERS, b"", b"", bytes(16_385)) is None
    peer.give(frames.encode_settings({Setting.INITIAL_WINDOW_SIZE: 9}))
    assert peer.ours.request(HEADERS, b"", b"12345", b"67890") is None
    assert peer.ours.request(HEADERS, b"", b"12345", b"6789") is not None


def test_a_header_block_longer_than_a_frame_goes_in_continuations() -> None:
    pair = H2Pair()
    extra = b"".join(b"\x00\x05x-%03d\x7f\x80\x01" % index + b"v" * 255 for index in range(200))
    opened = pair.ours.request(HEADERS, extra, b"", b"body")
    assert opened is not None
    events = pair.to_server(opened[1])
    assert len(events[0].headers) == len(HEADERS.fields) + 200


def test_credit_flows_back_to_the_server() -> None:
    pair = H2Pair()
    stream = pair.request()
    pair.server.send_headers(stream.id, RESPONSE)
    for _ in range(100):
        pair.server.send_data(stream.id, bytes(10_000))  # h2 raises if the window is exceeded
        pair.exchange()
    assert stream.received_bytes == 1_000_000


def test_an_owner_that_does_not_consume_holds_the_server_back() -> None:
    pair = H2Pair()
    stream = pair.request()
    stream.listener_consumes = True
    pair.server.send_headers(stream.id, RESPONSE)
    for _ in range(10):
        pair.server.send_data(stream.id, bytes(10_000))
        pair.exchange()
    assert pair.server.local_flow_control_window(stream.id) == 0
    pair.ours.consume(stream, 60_000)
    pair.exchange()
    assert pair.server.local_flow_control_window(stream.id) == 60_000


def test_the_servers_ping_is_answered() -> None:
    pair = H2Pair()
    pair.server.ping(b"12345678")
    pair.exchange()
    assert any(isinstance(event, h2.events.PingAckReceived) for event in pair.events)
    assert pair.ours.pings_answered == 1


def test_a_cancelled_stream_is_reset_and_what_still_comes_is_ignored() -> None:
    pair = H2Pair()
    stream, other = pair.request(), pair.request()
    pair.server.send_headers(stream.id, RESPONSE)
    pair.server.send_data(stream.id, bytes(1_000))
    pair.server.send_headers(stream.id, TRAILERS, end_stream=True)
    pair.ours.reset(stream, ErrorCode.CANCEL)
    assert pair.exchange() == []
    pair.answer(other)
    assert other.inbox == [b"answer"]


def test_goaway_ends_only_the_streams_that_were_not_processed() -> None:
    peer = HandPeer()
    first, second, third = peer.request(), peer.request(), peer.request()
    touched = peer.give(frames.encode_goaway(3, ErrorCode.NO_ERROR, b"bye"))
    assert touched == [third]
    assert third.unprocessed
    assert not second.unprocessed
    assert peer.ours.state is ConnectionState.DRAINING
    assert not peer.ours.can_open
    peer.give(peer.answer(1) + peer.answer(3))
    assert first.state is second.state is StreamState.CLOSED
    assert first.fault is None


def test_a_second_goaway_may_refuse_more() -> None:
    peer = HandPeer()
    stream = peer.request()
    assert peer.give(frames.encode_goaway(2**31 - 1, ErrorCode.NO_ERROR)) == []
    assert peer.give(frames.encode_goaway(0, ErrorCode.NO_ERROR)) == [stream]
    assert stream.unprocessed


def test_goaway_below_a_stream_that_has_a_response_does_not_promise_that_nothing_happened() -> None:
    peer = HandPeer()
    stream = peer.request()
    peer.give(peer.headers(1, RESPONSE))
    assert peer.give(frames.encode_goaway(0, ErrorCode.NO_ERROR)) == [stream]
    assert not stream.unprocessed


@pytest.mark.parametrize(
    ("code", "unprocessed"), [(ErrorCode.REFUSED_STREAM, True), (ErrorCode.CANCEL, False), (0x1234, False)]
)
def test_a_reset_ends_its_stream(code: int, unprocessed: bool) -> None:
    peer = HandPeer()
    stream = peer.request()
    assert peer.give(frames.encode_rst_stream(1, code)) == [stream]
    assert stream.reset_code == code
    assert stream.unprocessed is unprocessed
    assert peer.ours.fault is None


def test_a_refusal_after_the_response_began_does_not_promise_that_nothing_happened() -> None:
    peer = HandPeer()
    stream = peer.request()
    peer.give(peer.headers(1, RESPONSE) + frames.encode_rst_stream(1, ErrorCode.REFUSED_STREAM))
    assert not stream.unprocessed


def test_max_concurrent_streams_is_respected_at_any_time() -> None:
    peer = HandPeer()
    peer.give(frames.encode_settings({Setting.MAX_CONCURRENT_STREAMS: 1}))
    assert peer.ours.can_open
    peer.request()
    assert not peer.ours.can_open
    peer.give(peer.answer(1))
    assert peer.ours.can_open
    peer.give(frames.encode_settings({Setting.MAX_CONCURRENT_STREAMS: 0}))
    assert not peer.ours.can_open


def test_interim_responses_are_read_over() -> None:
    peer = HandPeer()
    stream = peer.request()
    peer.give(peer.headers(1, [(b":status", b"103"), (b"link", b"x")]))
    assert stream.headers is None
    peer.give(peer.answer(1))
    assert stream.headers is not None
    assert stream.headers.status == 200


@pytest.mark.parametrize("ends_with", ["data", "trailers"])
@pytest.mark.parametrize(("announced", "fits"), [(b"6", True), (b"5", False), (b"7", False), (b"0", False)])
def test_an_announced_length_is_checked(announced: bytes, fits: bool, ends_with: str) -> None:
    peer = HandPeer()
    stream, other = peer.request(), peer.request()
    headers = peer.headers(1, [*RESPONSE, (b"content-length", announced)])
    padded = frames.encode_frame(FrameType.DATA, frames.PADDED, 1, b"\x03wer\0\0\0")
    end = peer.data(1, b"", ends=True) if ends_with == "data" else peer.headers(1, TRAILERS, ends=True)
    assert stream in peer.give(headers + peer.data(1, b"ans") + padded + end)
    assert stream.state is StreamState.CLOSED
    if fits:
        assert stream.fault is None
        assert (stream.trailers is None) is (ends_with == "data")
    else:
        assert isinstance(stream.fault, StreamFault)
        assert stream.fault.code is ErrorCode.PROTOCOL_ERROR
        assert stream.trailers is None
        assert frames.encode_rst_stream(1, ErrorCode.PROTOCOL_ERROR) in peer.ours.out
    peer.give(peer.answer(other.id))
    assert other.fault is None


def test_an_announced_length_of_a_single_header_list() -> None:
    peer = HandPeer()
    first, second = peer.request(), peer.request()
    peer.give(peer.headers(1, [*RESPONSE, (b"content-length", b"0"), *TRAILERS], ends=True))
    assert first.fault is None
    peer.give(peer.headers(3, [*RESPONSE, (b"content-length", b"1"), *TRAILERS], ends=True))
    assert isinstance(second.fault, StreamFault)


def test_an_interim_response_announces_nothing() -> None:
    peer = HandPeer()
    stream = peer.request()
    peer.give(peer.headers(1, [(b":status", b"103"), (b"content-length", b"99")]) + peer.answer(1))
    assert stream.fault is None
    assert stream.state is StreamState.CLOSED


def test_the_last_stream_id_is_the_last() -> None:
    peer = HandPeer()
    peer.ours.streams._next_id = 2**31 - 1
    peer.request()
    assert peer.ours.state is ConnectionState.DRAINING


def answered(peer: HandPeer) -> bytes:
    return peer.headers(1, RESPONSE)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda peer: peer.data(1, b"x"), ErrorCode.PROTOCOL_ERROR),
        (lambda peer: peer.headers(1, [(b"x", b"1")]), ErrorCode.PROTOCOL_ERROR),
        (lambda peer: peer.headers(1, [(b":status", b"100")], ends=True), ErrorCode.PROTOCOL_ERROR),
        (lambda peer: answered(peer) + peer.headers(1, [(b"x", b"1")]), ErrorCode.PROTOCOL_ERROR),
        (lambda peer: answered(peer) + peer.headers(1, RESPONSE, ends=True), ErrorCode.PROTOCOL_ERROR),
        (lambda peer: answered(peer) + frames.encode_window_update(1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
        (lambda peer: frames.encode_frame(FrameType.WINDOW_UPDATE, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (lambda peer: answered(peer) + peer.data(1, bytes(16_384)) * 7, ErrorCode.FLOW_CONTROL_ERROR),
    ],
)
def test_a_stream_error_ends_that_stream_only(make: object, code: ErrorCode) -> None:
    peer = HandPeer()
    stream, other = peer.request(), peer.request()
    stream.listener_consumes = True
    assert stream in peer.give(make(peer))  # type: ignore[operator]  # parametrised
    assert isinstance(stream.fault, StreamFault)
    assert stream.fault.code is code
    assert frames.encode_rst_stream(1, code) in peer.ours.out
    peer.give(peer.answer(other.id))
    assert other.fault is None
    assert other.state is StreamState.CLOSED


def test_data_after_the_end_is_an_error_of_the_stream() -> None:
    peer = HandPeer()
    stream, _ = peer.ours.open(HEADERS, b"")
    peer.give(peer.headers(1, RESPONSE) + peer.data(1, b"x", ends=True))
    assert stream.state is StreamState.HALF_CLOSED_REMOTE
    peer.give(peer.data(1, b"y"))
    assert stream.state is StreamState.CLOSED
    assert frames.encode_rst_stream(1, ErrorCode.STREAM_CLOSED) in peer.ours.out


def test_the_connections_receive_window_is_enforced_and_replenished() -> None:
    limits = H2Pair().ours.limits
    small = type(limits)(stream_window=2**20, max_frame=16_384, max_header_list=8_192, connection_window=65_535)
    peer = HandPeer(small)
    stream = peer.request()
    stream.listener_consumes = True
    peer.give(peer.headers(1, RESPONSE))
    for _ in range(20):
        peer.give(peer.data(1, bytes(16_000)))
    assert peer.ours.fault is None
    peer.ours._receive_window = 10
    peer.give(peer.data(1, bytes(11)))
    assert peer.goaway_code() is ErrorCode.FLOW_CONTROL_ERROR


@pytest.mark.parametrize(
    "frame",
    [
        frames.encode_ping(bytes(8)),
        frames.encode_settings({}),
        frames.encode_settings({Setting.INITIAL_WINDOW_SIZE: 5}),
        frames.encode_window_update(0, 1),
        frames.encode_frame(FrameType.PRIORITY, 0, 1, bytes(5)),
        frames.encode_frame(0xEE, 0, 0, b"unknown"),
        frames.encode_frame(FrameType.DATA, 0, 1),
        frames.encode_frame(FrameType.RST_STREAM, 0, 3, bytes(4)),
        frames.encode_frame(FrameType.HEADERS, 0x4, 3, b"\x88"),
        frames.encode_frame(FrameType.DATA, 0, 3, b"late"),
        frames.encode_goaway(2**31 - 1, 0),
        frames.encode_frame(FrameType.HEADERS, 0x4, 1, b"\x08\x03103"),
    ],
)
def test_a_flood_is_told_to_calm_down_before_it_costs_much(frame: bytes) -> None:
    peer = HandPeer()
    peer.request()
    gone = peer.request()
    peer.ours.reset(gone, ErrorCode.CANCEL)
    if frame[3] == FrameType.DATA:
        peer.give(peer.headers(1, RESPONSE))
    for _ in range(1_000):
        peer.give(frame * 100)
        if peer.ours.fault is not None:
            break
    assert peer.goaway_code() is ErrorCode.ENHANCE_YOUR_CALM
    assert len(peer.ours.out) < 500_000


def test_a_header_block_that_never_ends_is_cut_off() -> None:
    peer = HandPeer()
    peer.request()
    peer.give(frames.encode_frame(FrameType.HEADERS, 0, 1, b"\x00"))
    for _ in range(10_000):
        peer.give(frames.encode_frame(FrameType.CONTINUATION, 0, 1, b"x" * 100))
        if peer.ours.fault is not None:
            break
    assert peer.goaway_code() is ErrorCode.ENHANCE_YOUR_CALM
    assert len(peer.ours._reader._block) < 10_000


def test_pings_at_a_normal_pace_are_answered_for_ever() -> None:
    peer = HandPeer()
    for second in range(50_000):
        peer.now_s = float(second)
        peer.give(frames.encode_ping(bytes(8)))
        peer.ours.out.clear()
    assert peer.ours.fault is None


def test_a_server_may_go_on_for_a_while_on_streams_that_we_reset() -> None:
    peer = HandPeer()
    for index in range(200):
        stream = peer.request()
        peer.ours.reset(stream, ErrorCode.CANCEL)
        peer.give(peer.headers(stream.id, RESPONSE) + peer.data(stream.id, bytes(16_000)) * 6)
        peer.give(peer.headers(stream.id, TRAILERS, ends=True))
        assert peer.ours.fault is None, index


def test_the_loss_of_the_connection_ends_all_streams() -> None:
    peer = HandPeer()
    streams = [peer.request(), peer.request()]
    why = RuntimeError("gone")
    assert peer.ours.lost(why) == streams
    assert all(stream.fault is why and stream.state is StreamState.CLOSED for stream in streams)
    assert peer.give(peer.data(1, b"x")) == []


def test_a_goodbye_is_said_once() -> None:
    peer = HandPeer()
    peer.request()
    assert len(peer.ours.close()) == 1
    assert peer.goaway_code() is ErrorCode.NO_ERROR
    peer.ours.out.clear()
    assert peer.ours.close() == []
    assert not peer.ours.out


@given(st.lists(st.sampled_from(list(StreamEvent)), max_size=6))
def test_a_stream_follows_the_table_and_never_leaves_closed(events: list[StreamEvent]) -> None:
    stream = Stream(1, 0, 0)
    for event in events:
        following = NEXT_STATE[stream.state][event]
        if following is None:
            with pytest.raises(AssertionError):
                stream.move(event)
        else:
            was_closed = stream.state is StreamState.CLOSED
            stream.move(event)
            assert stream.state is following
            assert not was_closed or stream.state is StreamState.CLOSED


def test_every_state_has_a_row_and_every_event_a_column() -> None:
    assert len(NEXT_STATE) == len(StreamState)
    assert all(len(row) == len(StreamEvent) for row in NEXT_STATE)
    assert all(row[StreamEvent.RESET] is StreamState.CLOSED for row in NEXT_STATE)


def test_end_stream_with_the_last_data_needs_no_empty_frame() -> None:
    peer = HandPeer()
    stream, _ = peer.ours.open(HEADERS, b"")
    taken, parts = peer.ours.take_data(stream, memoryview(bytes(20_000)), end_stream=True)
    assert taken == 20_000
    assert bytes(parts[2])[4] == END_STREAM
    assert bytes(parts[0])[4] == 0
    assert stream.state is StreamState.HALF_CLOSED_LOCAL


def test_a_fault_is_an_exception_with_its_code() -> None:
    assert ConnectionFault(ErrorCode.PROTOCOL_ERROR, "x").code is ErrorCode.PROTOCOL_ERROR
