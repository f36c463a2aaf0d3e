"""The Timeout scenario: how its request is encoded, and which servers it passes and fails."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import gevent
import gevent.monkey
import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from tests.scenarios.fakes import FakeClient, FakeClock, Request, make_session
from tests.scenarios.grpc_peer import Answer, GrpcPeer
from triton_users.client.client import TritonClient
from triton_users.client.streamed import PIECE_BYTES, varint
from triton_users.scenarios.base import ScenarioFailure, Session, Skip
from triton_users.scenarios.models import IdentityModel
from triton_users.scenarios.timeout import LargeRequest, Timeout, TimeoutPlan

NAME = "custom_nobatch_zero_1_float32"
PLAN = TimeoutPlan(NAME, 314, checks=3)
NUMBERS = np.arange(1, 200, dtype=np.float32)
"""Fewer than a process has, so that each request fits into what the peer keeps of one."""


def joined(request: LargeRequest) -> bytes:
    return b"".join(bytes(piece) for piece in request)


@given(st.integers(0, 2**64 - 1))
def test_a_varint_reads_back(number: int) -> None:
    encoded = varint(number)
    assert all(byte & 0x80 for byte in encoded[:-1])
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == number


@given(st.integers(1, 3 * PIECE_BYTES // 4), st.booleans())
def test_the_pieces_are_the_message_that_protobuf_would_make(floats: int, batches: bool) -> None:
    request = LargeRequest(IdentityModel(NAME, "INPUT0", "OUTPUT0", batches), floats * 4)
    encoded = joined(request)
    assert len(encoded) == len(request.message)
    message = service_pb2.ModelInferRequest.FromString(encoded)
    (tensor,) = message.inputs
    assert (message.model_name, tensor.name, tensor.datatype) == (NAME, "INPUT0", "FP32")
    assert list(tensor.shape) == ([1, floats] if batches else [floats])
    assert message.raw_input_contents == [bytes(floats * 4)]
    assert request.handed_over == floats * 4


def test_a_gibibyte_is_made_in_small_pieces() -> None:
    request = LargeRequest(IdentityModel(NAME, "INPUT0", "OUTPUT0", False), 2**30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert sum(len(piece) for piece in request) == len(request.message)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 16 * 1024


def identity(method: str, received: bytes, ended: bool) -> bytes | None:
    """Answers small requests rightly, once they are complete."""
    if not ended:
        return None
    request = service_pb2.ModelInferRequest.FromString(received)
    response = service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)
    response.outputs.add(name="OUTPUT0", datatype="FP32", shape=request.inputs[0].shape)
    response.raw_output_contents.append(request.raw_input_contents[0])
    return bytes(response.SerializeToString())


def with_numbers(session: Session) -> Session:
    session.shared["numbers"] = NUMBERS
    return session


@contextmanager
def session_with(answer: Answer, **settings: Any) -> Iterator[tuple[Session, GrpcPeer]]:
    with GrpcPeer(answer) as peer:
        client = TritonClient(peer.address)
        try:
            yield with_numbers(make_session(client, **settings)), peer
        finally:
            client.close()


def test_a_server_that_reads_on_and_answers_afterwards_passes() -> None:
    with session_with(identity, deadline_tolerance_ms=1000) as (session, peer):
        assert Timeout(session).run(PLAN) == 1 + 1 + 1 + 3
    (told,) = session.signals.deadlines
    assert told["expected"] is True
    assert told["model"] == NAME
    assert 0.1 <= told["elapsed_s"] < 1.1
    assert told["limit_s"] == 0.1
    assert peer.received_bytes > 2**20, "the bytes really went out"
    assert peer.resets == 1


def hasty(method: str, received: bytes, ended: bool) -> bytes | None:
    """Answers a large request after its first bytes."""
    if ended:
        return identity(method, received, ended)
    large = len(received) > 10_000
    return bytes(service_pb2.ModelInferResponse(model_name=NAME).SerializeToString()) if large else None


class FailsAfterTheLarge:
    """The identity, but once a large request has begun, small ones get what `then` makes of the right answer."""

    def __init__(self, then: Callable[[bytes], bytes | None]) -> None:
        self.then = then
        self.met = 0

    def __call__(self, method: str, received: bytes, ended: bool) -> bytes | None:
        self.met += len(received) > 10_000
        message = identity(method, received, ended) if method == "ModelInfer" else None
        return self.then(message) if message and self.met else message


def test_a_server_that_answers_the_gibibyte_at_once_fails() -> None:
    with (
        session_with(hasty) as (session, _),
        pytest.raises(
            ScenarioFailure, match=r"1024 MiB to custom_nobatch_zero_1_float32 .*: the request was answered after"
        ),
    ):
        Timeout(session).run(PLAN)
    assert session.signals.deadlines == []


def test_the_time_that_we_take_to_read_an_answer_is_not_the_servers() -> None:
    """The answer is there before the deadline; parsing it would take until after it."""

    class AnswersLate(FakeChannel):
        def unary_unary(self, method: str, request_serializer: Any, response_deserializer: Any) -> SimpleNamespace:
            def call(request: LargeRequest, timeout: float) -> Any:
                self.clock.sleep(0.16)
                return response_deserializer(b""), SimpleNamespace(elapsed_s=0.09)

            return SimpleNamespace(with_call=call)

    clock = FakeClock()
    client = FakeClient(lambda request: request.array)
    client.channel = AnswersLate(clock, grpc.StatusCode.OK, 0.0, 0)
    session = with_numbers(make_session(client, clock=clock, sleep=clock.sleep))
    with pytest.raises(ScenarioFailure, match=r"was answered after 0\.090 s") as caught:
        Timeout(session).run(PLAN)
    assert caught.value.evidence["elapsed_s"] == pytest.approx(0.09)


def test_a_server_that_only_hangs_fails() -> None:
    hangs = FailsAfterTheLarge(lambda message: None)
    with (
        session_with(hangs, request_timeout_ms=500, deadline_tolerance_ms=1000) as (session, _),
        pytest.raises(
            ScenarioFailure, match=f"on the same connection: {NAME} did not answer a request of 16"
        ) as caught,
    ):
        Timeout(session).run(PLAN)
    assert caught.value.requests == 3
    assert [told["expected"] for told in session.signals.deadlines] == [True, False]


def test_a_server_that_answers_wrong_numbers_afterwards_fails() -> None:
    zeros = FailsAfterTheLarge(lambda message: message[:-12] + bytes(12))
    with (
        session_with(zeros, deadline_tolerance_ms=1000) as (session, _),
        pytest.raises(
            ScenarioFailure,
            match=r"on the same connection: .*: 3 of 16 differ, the first at index 13: expected 14\.0 \(0x41600000\), "
            r"got 0\.0 \(0x00000000\)",
        ),
    ):
        Timeout(session).run(PLAN)


def test_the_checks_afterwards_are_of_all_sizes_and_the_same_for_a_seed() -> None:
    def checked(seed: int) -> list[list[float]]:
        clock = FakeClock()
        client = FakeClient(lambda request: request.array)
        client.channel = FakeChannel(clock, grpc.StatusCode.DEADLINE_EXCEEDED, 0.1, 9)
        session = with_numbers(make_session(client, clock=clock, sleep=clock.sleep))
        Timeout(session).run(TimeoutPlan(NAME, seed, checks=50))
        return [request.array.tolist() for request in client.requests[2:]]

    once = checked(1)
    assert once == checked(1) != checked(2)
    lengths = sorted(map(len, once))
    assert lengths[0] < 4
    assert lengths[-1] > 60


def test_one_flipped_bit_in_the_last_of_many_answers_fails() -> None:
    clock = FakeClock()

    def flips(request: Request) -> np.ndarray:
        answer = request.array.copy()
        if len(client.requests) == 2 + 40:
            answer.view(np.uint32)[-1] ^= 1
        return answer

    client = FakeClient(flips)
    client.channel = FakeChannel(clock, grpc.StatusCode.DEADLINE_EXCEEDED, 0.1, 9)
    session = with_numbers(make_session(client, clock=clock, sleep=clock.sleep))
    with pytest.raises(ScenarioFailure, match=r"1 of \d+ differ, the first at index") as caught:
        Timeout(session).run(TimeoutPlan(NAME, 1, checks=40))
    assert (caught.value.requests, caught.value.evidence["check"]) == (3 + 40, 39)


class FakeError(grpc.RpcError):
    def __init__(self, status: grpc.StatusCode) -> None:
        self.status = status

    def code(self) -> grpc.StatusCode:
        return self.status

    def details(self) -> str:
        return "the details"


class FakeChannel:
    """Ends each call as told, after so many seconds of the clock and so many pieces."""

    def __init__(self, clock: FakeClock, status: grpc.StatusCode, after_s: float, pieces: int) -> None:
        self.clock, self.status, self.after_s, self.pieces = clock, status, after_s, pieces

    def unary_unary(self, method: str, request_serializer: Any, response_deserializer: Any) -> SimpleNamespace:
        def call(request: LargeRequest, timeout: float) -> Any:
            pieces = iter(request_serializer(request).chunks)
            for _ in range(self.pieces):
                next(pieces)
            self.clock.sleep(self.after_s)
            raise FakeError(self.status)

        return SimpleNamespace(with_call=call)


@pytest.mark.parametrize(
    ("status", "after_s", "pieces", "what", "expected"),
    [
        (grpc.StatusCode.DEADLINE_EXCEEDED, 0.25, 9, r"ended 0\.150 s after its deadline", [False]),
        (grpc.StatusCode.DEADLINE_EXCEEDED, 0.1, 1, "never left", [True]),
        (grpc.StatusCode.UNAVAILABLE, 0.05, 9, r"failed with StatusCode\.UNAVAILABLE.*the details", []),
        (grpc.StatusCode.CANCELLED, 0.1, 9, r"failed with StatusCode\.CANCELLED", []),
    ],
)
def test_anything_but_a_deadline_in_time_fails(
    status: grpc.StatusCode, after_s: float, pieces: int, what: str, expected: list[bool]
) -> None:
    clock = FakeClock()
    client = FakeClient(lambda request: request.array)
    client.channel = FakeChannel(clock, status, after_s, pieces)
    session = with_numbers(make_session(client, clock=clock, sleep=clock.sleep))
    with pytest.raises(ScenarioFailure, match=what) as caught:
        Timeout(session).run(PLAN)
    assert (
        caught.value.evidence["bytes_handed_over"] == max(0, pieces - 2) * PIECE_BYTES
    )  # after the fields and the length
    assert [told["expected"] for told in session.signals.deadlines] == expected


def test_a_client_too_busy_to_time_the_deadline_skips() -> None:
    clock = FakeClock()

    class BusyChannel(FakeChannel):
        """Holds the whole event loop while the request is under way."""

        def unary_unary(self, *args: Any, **kwargs: Any) -> SimpleNamespace:
            call = super().unary_unary(*args, **kwargs)

            def held(*args: Any, **kwargs: Any) -> Any:
                gevent.monkey.get_original("time", "sleep")(0.05)
                return call.with_call(*args, **kwargs)

            return SimpleNamespace(with_call=held)

    client = FakeClient(lambda request: request.array)
    client.channel = BusyChannel(clock, grpc.StatusCode.DEADLINE_EXCEEDED, 0.25, 9)
    session = with_numbers(make_session(client, clock=clock, sleep=clock.sleep))
    with pytest.raises(Skip, match="too busy"):
        Timeout(session).run(PLAN)
    assert session.signals.deadlines == []
    assert len(client.requests) == 1 + 1 + 3, "what can be proven then is proven all the same"


def test_a_deadline_in_time_passes_and_the_small_request_follows() -> None:
    clock = FakeClock()
    client = FakeClient(lambda request: request.array)
    client.channel = FakeChannel(clock, grpc.StatusCode.DEADLINE_EXCEEDED, 0.19, 9)
    session = with_numbers(make_session(client, clock=clock, sleep=clock.sleep))
    assert Timeout(session).run(PLAN) == 1 + 1 + 1 + 3
    for request in client.requests[:2]:
        np.testing.assert_array_equal(request.array, NUMBERS[:16])


def test_others_run_while_the_gibibyte_leaves() -> None:
    turns = 0

    def other() -> None:
        nonlocal turns
        while True:
            gevent.sleep(0.001)
            turns += 1

    with session_with(identity, deadline_tolerance_ms=1000) as (session, _):
        user = gevent.spawn(other)
        Timeout(session).run(PLAN)
        user.kill()
    assert turns >= 3, "the others hardly had a turn before the deadline"
