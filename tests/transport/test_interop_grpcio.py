"""The channel against grpcio's own server: all call kinds, status codes, sizes, metadata, deadlines, cancellation."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import gevent
import grpc
import pytest

from triton_users.transport import CallError, Channel, ChannelOptions, StreamedMessage


@pytest.fixture(scope="module")
def channel(grpcio_port: int) -> Iterator[Channel]:
    with Channel(f"grpc://127.0.0.1:{grpcio_port}") as channel:
        yield channel
        assert channel.stats().open_streams == 0
        assert channel.stats().waiting_calls == 0


def unary(channel: Channel, name: str) -> grpc.UnaryUnaryMultiCallable:
    return channel.unary_unary(f"/peer.Peer/{name}")


def test_a_unary_call(channel: Channel) -> None:
    assert unary(channel, "echo")(b"hello") == b"hello"


def test_an_empty_message(channel: Channel) -> None:
    assert unary(channel, "echo")(b"") == b""


def test_metadata_of_both_kinds_in_both_directions(channel: Channel) -> None:
    metadata = (("x-text", "a b"), ("x-data-bin", bytes(range(256))), ("x-text", "again"))
    response, call = unary(channel, "echo").with_call(b"hello", metadata=metadata)
    assert response == b"hello"
    assert call.code() is grpc.StatusCode.OK
    assert set(metadata) <= set(call.initial_metadata())
    assert ("x-initial", "yes") in call.initial_metadata()
    assert sorted(call.trailing_metadata()) == sorted(metadata)


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_each_status_with_its_message_and_metadata(channel: Channel, code: grpc.StatusCode) -> None:
    text = f"{code.name}: größer als 100 %\n\tzweite Zeile ☃"
    with pytest.raises(CallError) as caught:
        unary(channel, "fail")(f"{code.value[0]} {text}".encode())
    assert caught.value.code() is code
    assert caught.value.details() == text
    assert caught.value.trailing_metadata() == (("x-why", "asked"), ("x-data-bin", b"\x00\xff"))


def test_an_unknown_method_is_unimplemented(channel: Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        unary(channel, "nothing")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("size", [16_379, 16_380, 65_530, 65_531, 1_000_000, 20_000_000])
def test_large_messages_both_ways(channel: Channel, size: int) -> None:
    message = bytes(range(251)) * (size // 251) + bytes(size % 251)
    assert unary(channel, "echo")(message) == message


def test_a_large_message_made_while_it_is_sent(channel: Channel) -> None:
    message = StreamedMessage(30_000_000, (bytes(100_000) for _ in range(300)))
    assert unary(channel, "length")(message) == b"30000000"


def test_sixty_four_calls_at_once(channel: Channel) -> None:
    echo = unary(channel, "echo")
    jobs = [gevent.spawn(echo, b"%d" % index * 1_000) for index in range(64)]
    gevent.joinall(jobs, timeout=20)
    assert [job.value for job in jobs] == [b"%d" % index * 1_000 for index in range(64)]


def test_the_deadline_reaches_the_server(channel: Channel) -> None:
    assert 9 < float(unary(channel, "remaining")(b"", timeout=10)) <= 10


def test_a_deadline_ends_the_call_in_time_and_cancels_it_on_the_server(channel: Channel) -> None:
    before = int(unary(channel, "cancelled")(b""))
    started_s = perf_counter()
    with pytest.raises(CallError) as caught:
        unary(channel, "slow")(b"5", timeout=0.1)
    assert 0.099 < perf_counter() - started_s < 0.5
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert caught.value.details() == "Deadline Exceeded"
    _wait_until(lambda: int(unary(channel, "cancelled")(b"")) == before + 1)


def test_a_deadline_cuts_a_large_request_and_leaves_the_connection_usable(channel: Channel) -> None:
    connections = channel.stats().connections
    endless = StreamedMessage(2**30, iter(lambda: bytes(2**18), None))
    started_s = perf_counter()
    with pytest.raises(CallError) as caught:
        unary(channel, "length")(endless, timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert perf_counter() - started_s < 0.5
    assert unary(channel, "echo")(b"still there") == b"still there"
    assert channel.stats().connections == connections


def test_a_caller_that_is_interrupted_cancels_the_call_on_the_server(channel: Channel) -> None:
    before = int(unary(channel, "cancelled")(b""))
    with gevent.Timeout(0.05, False):
        unary(channel, "slow")(b"5")
    victim = gevent.spawn(unary(channel, "slow"), b"5")
    gevent.sleep(0.05)
    victim.kill()
    _wait_until(lambda: int(unary(channel, "cancelled")(b"")) == before + 2)


def test_a_future_and_its_callback(channel: Channel) -> None:
    future = unary(channel, "echo").future(b"hello")
    seen: list[object] = []
    assert not future.done()
    future.add_done_callback(seen.append)
    assert future.result(timeout=5) == b"hello"
    assert future.exception() is None
    assert future.code() is grpc.StatusCode.OK
    assert ("x-initial", "yes") in future.initial_metadata()
    gevent.sleep(0)
    assert seen == [future]
    future.add_done_callback(seen.append)
    assert seen == [future, future]


def test_a_future_that_fails_and_one_that_is_too_slow(channel: Channel) -> None:
    failing = unary(channel, "fail").future(b"9 no")
    with pytest.raises(CallError) as caught:
        failing.result()
    assert caught.value is failing.exception()
    assert failing.traceback() is not None
    slow = unary(channel, "slow").future(b"5")
    with pytest.raises(grpc.FutureTimeoutError):
        slow.result(timeout=0.05)
    assert slow.cancel()
    with pytest.raises(grpc.FutureCancelledError):
        slow.result()
    assert slow.cancelled()
    assert not slow.cancel()


def test_a_request_changed_after_future_was_called_is_sent_as_it_was(channel: Channel) -> None:
    request = bytearray(b"before")
    future = channel.unary_unary("/peer.Peer/echo", request_serializer=bytes).future(request)
    request[:] = b"after!"
    assert future.result(timeout=5) == b"before"


def test_a_conversation(channel: Channel) -> None:
    requests: queue.Queue[bytes | None] = queue.Queue()
    call = channel.stream_stream("/peer.Peer/chat")(iter(requests.get, None))
    for index in range(20):
        requests.put(b"%d" % index)
        assert next(call) == b"%d" % index
    assert call.is_active()
    requests.put(None)
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK
    assert call.details() == ""
    assert not call.is_active()


def test_a_conversation_in_one_go_with_large_messages(channel: Channel) -> None:
    requests = [b"x" * size for size in (0, 1, 16_384, 300_000, 5_000_000, 3)]
    assert list(channel.stream_stream("/peer.Peer/chat")(iter(requests))) == requests


def test_a_stream_that_the_server_fails(channel: Channel) -> None:
    call = channel.stream_stream("/peer.Peer/chat")(iter([b"a", b"fail", b"b"]))
    assert next(call) == b"a"
    with pytest.raises(CallError) as caught:
        next(call)
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert call.code() is grpc.StatusCode.ABORTED
    assert call.details() == "asked to fail"


def test_a_stream_that_the_server_ends_before_the_client_does(channel: Channel) -> None:
    requests: queue.Queue[bytes] = queue.Queue()
    call = channel.stream_stream("/peer.Peer/chat")(iter(requests.get, None))
    requests.put(b"end")
    assert list(call) == []
    assert call.code() is grpc.StatusCode.OK


def test_a_cancelled_stream_ends_although_its_request_iterator_is_blocked(channel: Channel) -> None:
    blocked: queue.Queue[bytes] = queue.Queue()
    call = channel.stream_stream("/peer.Peer/chat")(iter(blocked.get, None))
    blocked.put(b"a")
    assert next(call) == b"a"
    ended = threading.Event()
    assert call.add_callback(ended.set)
    assert call.cancel()
    with pytest.raises(CallError) as caught:
        next(call)
    assert caught.value.code() is grpc.StatusCode.CANCELLED
    assert caught.value.details() == "Locally cancelled by application!"
    assert ended.wait(1)
    assert not call.add_callback(ended.set)
    assert call.cancelled()
    assert call.done()
    gevent.sleep(0)
    assert call._call._pump.dead


def test_a_stream_past_its_deadline(channel: Channel) -> None:
    call = channel.unary_stream("/peer.Peer/sleepy_stream")(b"5", timeout=0.2)
    assert 0 < call.time_remaining() <= 0.2
    assert next(call) == b"first"
    with pytest.raises(CallError) as caught:
        next(call)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_stream_whose_handle_is_forgotten_is_cancelled(channel: Channel) -> None:
    call = channel.unary_stream("/peer.Peer/sleepy_stream")(b"5")
    assert next(call) == b"first"
    assert channel.stats().open_streams == 1
    del call
    gevent.sleep(0)
    assert channel.stats().open_streams == 0


def test_a_stream_of_responses_to_a_slow_reader(channel: Channel) -> None:
    call = channel.unary_stream("/peer.Peer/count")(b"40 1000000")
    gevent.sleep(0.2)
    assert call._call._unread._bytes < 10_000_000
    assert [int.from_bytes(response[:4], "big") for response in call] == list(range(40))


def test_a_stream_of_requests(channel: Channel) -> None:
    total = channel.stream_unary("/peer.Peer/total")
    assert total(iter([b"abc"] * 100)) == b"100 300"
    response, call = total.with_call(iter([]))
    assert response == b"0 0"
    assert call.code() is grpc.StatusCode.OK
    assert total.future(iter([b"abc"])).result(timeout=5) == b"1 3"


def test_an_error_in_the_request_iterator_ends_the_call(channel: Channel) -> None:
    def requests() -> Iterator[bytes]:
        yield b"a"
        raise RuntimeError("the caller's own")

    with pytest.raises(CallError, match="the caller's own") as caught:
        channel.stream_unary("/peer.Peer/total")(requests())
    assert caught.value.code() is grpc.StatusCode.UNKNOWN


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate, grpc.Compression.NoCompression])
def test_compression_of_requests(channel: Channel, algorithm: grpc.Compression) -> None:
    before = channel.stats().bytes_sent
    assert unary(channel, "length")(bytes(500_000), compression=algorithm) == b"500000"
    sent = channel.stats().bytes_sent - before
    assert (sent < 10_000) is (algorithm is not grpc.Compression.NoCompression)
    chat = channel.stream_stream("/peer.Peer/chat")
    assert list(chat(iter([b"a" * 5_000]), compression=algorithm)) == [b"a" * 5_000]


@pytest.mark.parametrize("first", [b"d", b"g"])
def test_compression_of_responses(channel: Channel, first: bytes) -> None:
    before = channel.stats().bytes_received
    assert unary(channel, "packed")(first * 300_000) == first * 300_000
    assert channel.stats().bytes_received - before < 10_000


def test_a_channel_that_compresses_by_default(grpcio_port: int) -> None:
    options = ChannelOptions(compression=grpc.Compression.Gzip)
    with Channel(f"127.0.0.1:{grpcio_port}", options=options) as channel:
        assert unary(channel, "length")(bytes(500_000)) == b"500000"
        assert channel.stats().bytes_sent < 10_000


def test_message_limits(grpcio_port: int) -> None:
    options = ChannelOptions(max_send_message_bytes=1_000, max_receive_message_bytes=2_000)
    with Channel(f"127.0.0.1:{grpcio_port}", options=options) as channel:
        for name, request in (("length", bytes(1_001)), ("large", b"2001"), ("large", b"900000")):
            with pytest.raises(CallError, match="larger than max") as caught:
                unary(channel, name)(request)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(unary(channel, "large")(b"2000")) == 2_000
        call = channel.unary_stream("/peer.Peer/count")(b"3 1997")
        with pytest.raises(CallError, match="larger than max"):
            next(call)


def test_serialisers_and_their_errors(channel: Channel) -> None:
    method = channel.unary_unary("/peer.Peer/echo", request_serializer=str.encode, response_deserializer=bytes.decode)
    assert method("grüße") == "grüße"
    with pytest.raises(CallError, match="serializing request") as caught:
        method(7)
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    failing = channel.unary_unary("/peer.Peer/echo", response_deserializer=int)
    with pytest.raises(CallError, match="deserializing response") as caught:
        failing(b"no number")
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    with pytest.raises(CallError, match="serializing request"):
        method.future(7).result()


def test_an_interceptor_of_grpc_works_on_the_channel(channel: Channel) -> None:
    class Shout(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc]  # grpc has no type information
        def intercept_unary_unary(self, continuation: Callable[..., object], details: object, request: bytes) -> object:
            return continuation(details, request.upper())

    assert grpc.intercept_channel(channel, Shout()).unary_unary("/peer.Peer/echo")(b"hello") == b"HELLO"


def test_a_unix_socket(grpcio_server: Callable[..., int], tmp_path: Path) -> None:
    path = tmp_path / "grpc.sock"
    grpcio_server("--unix", str(path))
    with Channel(f"unix:{path}") as channel:
        assert unary(channel, "echo")(b"local") == b"local"


def test_ip_version_6(grpcio_server: Callable[..., int]) -> None:
    port = grpcio_server("--address", "[::1]:0")
    with Channel(f"[::1]:{port}") as channel:
        assert unary(channel, "echo")(b"six") == b"six"


def test_more_calls_than_the_server_allows_wait_their_turn(grpcio_server: Callable[..., int]) -> None:
    port = grpcio_server("--max-streams", "3")
    with Channel(f"127.0.0.1:{port}") as channel:
        echo = unary(channel, "echo")
        jobs = [gevent.spawn(echo, b"%d" % index) for index in range(50)]
        gevent.joinall(jobs, timeout=20)
        assert [job.value for job in jobs] == [b"%d" % index for index in range(50)]


def test_a_server_that_replaces_its_connections_fails_no_call(grpcio_server: Callable[..., int]) -> None:
    port = grpcio_server("--max-age-ms", "150")
    with Channel(f"127.0.0.1:{port}") as channel:
        echo = unary(channel, "echo")
        ends_s = perf_counter() + 1.2

        def user() -> int:
            calls = 0
            while perf_counter() < ends_s:
                assert echo(b"x") == b"x"
                calls += 1
            return calls

        users = [gevent.spawn(user) for _ in range(4)]
        gevent.joinall(users, timeout=20, raise_error=True)
        assert all(user.value for user in users)
        assert channel.stats().connections > 2


def _wait_until(condition: Callable[[], bool]) -> None:
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.02)
