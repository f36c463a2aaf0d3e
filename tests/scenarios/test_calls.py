"""Single requests: what an identity's wrong answer is said to be, and how long a request may wait for a busy server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import gevent
import numpy as np
import pytest
from gevent.event import Event
from tritonclient.grpc import InferInput
from tritonclient.utils import InferenceServerException

from tests.scenarios.fakes import FakeClient, Request, make_session
from triton_users.scenarios.base import Session, Skip
from triton_users.scenarios.calls import infer, mismatch
from triton_users.scenarios.patience import overload

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
    """Answers after `answer_s` of real time, if at all."""

    def __init__(self, answer_s: float | None, statistics: Callable[[], tuple[int, float]]) -> None:
        super().__init__(lambda request: request.array)
        self.answer_s = answer_s
        self.statistics = statistics
        self.ended_by: list[str] = []

    def infer(self, model: str, inputs: list[Any], **kwargs: Any) -> Any:
        try:
            Event().wait(self.answer_s)
        except BaseException as end:
            self.ended_by.append(type(end).__name__)
            raise
        return super().infer(model, inputs, **kwargs)


class Working:
    """Statistics of a model that ends a request each time it is asked, each in so many seconds."""

    def __init__(self, seconds: float, until: int = 10**9) -> None:
        self.seconds, self.until, self.ended = seconds, until, 0

    def __call__(self) -> tuple[int, float]:
        self.ended = min(self.ended + 1, self.until)
        return self.ended, self.ended * self.seconds


@pytest.fixture(autouse=True)
def a_machine_with_nothing_else_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0.5, 0.5))


def asked(client: FakeClient, limit_ms: int = 200) -> tuple[Session, Callable[[], Any]]:
    session = make_session(client, request_timeout_ms=limit_ms)
    return session, lambda: infer(session, client, "m", [_tensor()])


def _tensor() -> InferInput:
    return InferInput("INPUT0", [1], "FP32").set_data_from_numpy(np.zeros(1, np.float32))


def test_an_answer_in_time_needs_no_statistics() -> None:
    def never() -> tuple[int, float]:
        raise AssertionError("nobody needs to ask")

    _, ask = asked(SlowClient(0.01, never))
    assert ask().as_numpy("OUTPUT0").tolist() == [0.0]


def test_an_answer_beyond_the_limit_is_waited_for_while_the_server_is_at_work() -> None:
    session, ask = asked(SlowClient(0.45, Working(0.3)))
    assert ask().as_numpy("OUTPUT0").tolist() == [0.0]
    assert session.signals.deadlines == []


def test_a_model_that_does_nothing_meanwhile_is_broken() -> None:
    client = SlowClient(None, lambda: (7, 7.0))
    session, ask = asked(client)
    with pytest.raises(
        InferenceServerException, match=r"no answer within 0\.\d s; m did nothing for the last"
    ) as caught:
        ask()
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert [told["expected"] for told in session.signals.deadlines] == [False]
    assert client.ended_by == ["_GaveUp"]


def test_a_model_that_stops_working_is_broken_from_then_on() -> None:
    _, ask = asked(SlowClient(None, Working(0.3, until=5)))
    with pytest.raises(InferenceServerException, match="m did nothing for the last"):
        ask()


def test_a_frozen_server_tells_no_statistics_either() -> None:
    def silent() -> tuple[int, float]:
        raise InferenceServerException("Deadline Exceeded", status="StatusCode.DEADLINE_EXCEEDED")

    _, ask = asked(SlowClient(None, silent))
    with pytest.raises(InferenceServerException, match=r"nor did the server tell its statistics: .*Deadline Exceeded"):
        ask()


def test_a_request_that_others_pass_over_is_lost_however_much_work_goes_on() -> None:
    client = SlowClient(None, Working(0.001))
    session, ask = asked(client)
    with pytest.raises(InferenceServerException, match=r"meanwhile m ended \d+ other requests, in 0\.001 s on average"):
        ask()
    assert len(session.signals.deadlines) == 1


def test_a_server_that_is_busy_for_too_long_proves_nothing() -> None:
    client = SlowClient(None, Working(1.0))
    session, ask = asked(client)
    with pytest.raises(Skip, match=r"m was at work on other requests for 4 times the limit of 0\.2 s"):
        ask()
    assert session.signals.deadlines == []


def test_on_a_machine_with_too_much_to_do_a_local_server_gets_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (2.0 * len(os.sched_getaffinity(0)), 0.0, 0.0))
    _, ask = asked(SlowClient(0.3, lambda: (7, 7.0)))
    assert ask().as_numpy("OUTPUT0").tolist() == [0.0]


def test_even_there_a_model_that_does_nothing_is_broken_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    _, ask = asked(SlowClient(None, lambda: (7, 7.0)))
    with pytest.raises(InferenceServerException, match="m did nothing"):
        ask()


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1:8001", True), ("localhost:1", True), ("[::1]:1", True), ("triton.example:8001", False)],
)
def test_this_machines_load_matters_to_a_server_on_it(
    address: str, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0 * len(os.sched_getaffinity(0)), 0.0, 0.0))
    assert overload(address) == (3.0 if here else 1.0)


def test_a_stopped_user_takes_its_request_along() -> None:
    client = SlowClient(None, Working(1.0))
    _, ask = asked(client, 60_000)
    user = gevent.spawn(ask)
    gevent.sleep(0.01)
    user.kill(timeout=5)
    assert client.ended_by == ["GreenletExit"]


def test_an_error_of_the_server_is_raised_as_it_is() -> None:
    def refuses(request: Request) -> Any:
        return InferenceServerException("out of memory", status="StatusCode.RESOURCE_EXHAUSTED")

    _, ask = asked(FakeClient(refuses))
    with pytest.raises(InferenceServerException, match="out of memory"):
        ask()
