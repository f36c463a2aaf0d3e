"""Single requests: what an identity's wrong answer is said to be, and how one ends that gets no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import numpy as np
import pytest
from gevent.event import Event
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from tests.scenarios.fakes import FakeClient, Request, make_session
from triton_users.scenarios.base import Session
from triton_users.scenarios.calls import infer, mismatch

SENT = np.arange(1, 1001, dtype=np.float32)


@pytest.mark.parametrize("index", [0, 999])
def test_a_flipped_bit_is_found_wherever_it_is(index: int) -> None:
    got = SENT.copy()
    got.view(np.uint32)[index] ^= 1 << 22
    told = mismatch(SENT, got)
    assert f"1 of 1,000 differ, the first at index {index}: expected {SENT[index]} (0x" in told
    assert f"got {got[index]} (0x" in told


def test_numbers_that_read_alike_are_told_apart_by_their_bits() -> None:
    sent, got = np.zeros(2, np.float32), np.array([0.0, -0.0], np.float32)
    assert mismatch(sent, got).endswith("expected 0.0 (0x00000000), got -0.0 (0x80000000)")


@pytest.mark.parametrize(
    ("got", "told"),
    [
        (SENT[:999], r"float32 of shape [999] to float32 of shape [1000]"),
        (SENT.astype(np.float64), r"float64 of shape [1000] to float32 of shape [1000]"),
        (SENT.reshape(1, 1000), r"float32 of shape [1, 1000] to float32 of shape [1000]"),
    ],
)
def test_another_form_of_answer_is_named(got: np.ndarray, told: str) -> None:
    assert mismatch(SENT, got) == told


def test_the_same_bits_are_no_mismatch() -> None:
    nan = np.full(3, np.nan, np.float32)
    assert mismatch(nan, nan.copy()) == ""


class SlowClient(FakeClient):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(lambda request: request.array)
        self.answers = Event()
        self.ended_by: list[str] = []

    def infer(self, model: str, inputs: list[Any], **kwargs: Any) -> Any:
        try:
            self.answers.wait()
        except BaseException as end:
            self.ended_by.append(type(end).__name__)
            raise
        return super().infer(model, inputs, **kwargs)


def asked(client: FakeClient, limit_ms: int) -> tuple[Session, Callable[[], Any]]:
    session = make_session(client, request_timeout_ms=limit_ms)
    tensor = InferInput("INPUT0", [1], "FP32").set_data_from_numpy(np.zeros(1, np.float32))
    return session, lambda: infer(session, client, "m", [tensor])


def test_an_answer_in_time_needs_no_statistics() -> None:
    def never() -> tuple[int, float]:
        raise AssertionError("nobody needs to ask")

    client = FakeClient(lambda request: request.array)
    client.statistics = never
    _, ask = asked(client, 60_000)
    assert ask().as_numpy("OUTPUT0").tolist() == [0.0]


def test_an_answer_that_comes_while_the_server_is_asked_counts() -> None:
    client = SlowClient()

    def broken() -> tuple[int, float]:
        client.answers.set()
        gevent.sleep(0.01)
        return 7, 0.07

    client.statistics = broken
    session, ask = asked(client, 20)
    assert ask().as_numpy("OUTPUT0").tolist() == [0.0]
    assert session.signals.deadlines == []


def test_a_request_that_a_broken_server_does_not_answer_ends_with_what_shows_it() -> None:
    client = SlowClient()
    client.statistics = lambda: (7, 0.07)
    session, ask = asked(client, 20)
    with pytest.raises(
        InferenceServerException, match=r"no answer within \d+\.\d s; m did nothing for the last"
    ) as caught:
        ask()
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert [told["expected"] for told in session.signals.deadlines] == [False]
    assert client.ended_by == ["_GaveUp"]


def test_a_stopped_user_takes_its_request_along() -> None:
    client = SlowClient()
    _, ask = asked(client, 60_000)
    user = gevent.spawn(ask)
    gevent.sleep(0.01)
    user.kill(timeout=5)
    assert client.ended_by == ["GreenletExit"]


def test_a_stopped_user_says_of_its_request_that_the_server_was_at_work_on_others() -> None:
    client, asked_often = SlowClient(), Event()
    ended = iter(range(10**6))

    def working() -> tuple[int, float]:
        number = next(ended)
        if number > 1:
            asked_often.set()
        return number, number * 1e6

    client.statistics = working
    _, ask = asked(client, 100)
    user = gevent.spawn(ask)
    assert asked_often.wait(10)
    user.kill(timeout=5)
    assert client.ended_by == ["BusyWhenStopped"]


def test_an_error_of_the_server_is_raised_as_it_is() -> None:
    def refuses(request: Request) -> Any:
        return InferenceServerException("out of memory", status="StatusCode.RESOURCE_EXHAUSTED")

    _, ask = asked(FakeClient(refuses), 60_000)
    with pytest.raises(InferenceServerException, match="out of memory"):
        ask()
