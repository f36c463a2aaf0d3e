"""How long a request may wait: for as long as the server's own statistics show that it is at work on others."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from tritonclient.utils import InferenceServerException

from tests.scenarios.fakes import FakeClient, FakeClock, make_session
from triton_users.scenarios.base import Skip
from triton_users.scenarios.patience import Patience, overload

LIMIT_S = 25.0

Statistics = Callable[[float], tuple[int, float]]
"""Seconds since the request was sent -> requests that the model has ended, and seconds that they took together."""


@pytest.fixture(autouse=True)
def a_machine_with_nothing_else_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.5, 0.5, 0.5))


def ended(statistics: Statistics, limit_s: float = 3600.0, request_limit_s: float = LIMIT_S) -> tuple[float, str]:
    """When the wait for a request that gets no answer ends, and with what; "" when not before `limit_s`."""
    clock, client = FakeClock(), FakeClient(lambda request: request.array)
    began = clock()
    client.statistics = lambda: statistics(clock() - began)
    patience = Patience(make_session(client, clock=clock, sleep=clock.sleep), client, "m", request_limit_s)
    while clock() - began < limit_s:
        clock.sleep(patience.pause_s)
        try:
            if broken := patience.look():
                return clock() - began, broken
        except Skip as skip:
            return clock() - began, f"skipped: {skip}"
    return limit_s, ""


def overloaded(monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (times * len(os.sched_getaffinity(0)), 0.0, 0.0))


def test_a_model_that_does_nothing_for_as_long_as_the_limit_is_broken() -> None:
    assert ended(lambda s: (7, 0.07)) == (25.0, "m did nothing for the last 20.0 s, as the server's statistics say")


def test_a_model_that_stops_working_in_the_middle_is_broken_from_then_on() -> None:
    when, told = ended(lambda s: (int(min(s, 40) / 3), 20.0 * int(min(s, 40) / 3)))
    assert when == pytest.approx(60.0)
    assert told.startswith("m did nothing")


def test_a_frozen_server_that_tells_no_statistics_either_is_broken() -> None:
    def silent(s: float) -> tuple[int, float]:
        raise InferenceServerException("Deadline Exceeded", status="StatusCode.DEADLINE_EXCEEDED")

    when, told = ended(silent)
    assert when == 25.0
    assert "nor did the server tell its statistics: " in told


def test_a_server_that_is_silent_for_a_moment_before_the_limit_is_not_broken() -> None:
    def silent_at_first(s: float) -> tuple[int, float]:
        if s < 15:
            raise InferenceServerException("Deadline Exceeded", status="StatusCode.DEADLINE_EXCEEDED")
        return int(s), s * 9.0

    assert ended(silent_at_first, 40.0) == (40.0, "")


def test_a_request_that_others_pass_over_is_lost_however_much_work_goes_on() -> None:
    when, told = ended(lambda s: (int(10 * s), s))
    assert when == 25.0
    assert told == "meanwhile m ended 200 other requests, in 0.100 s on average"


def test_one_request_in_twenty_lost_is_found_though_the_others_take_their_time() -> None:
    when, told = ended(lambda s: (int(s), 8.0 * int(s)))
    assert when == pytest.approx(45.0)
    assert "other requests, in 8.000 s on average" in told


def test_a_request_whose_turn_comes_late_since_others_take_as_long_is_waited_for() -> None:
    assert ended(lambda s: (int(s / 3), 20.0 * int(s / 3)), 90.0) == (90.0, "")


def test_a_server_that_is_busy_for_four_times_the_limit_proves_nothing() -> None:
    when, told = ended(lambda s: (int(s / 3), 30.0 * int(s / 3)))
    assert when == 100.0
    assert told.startswith("skipped: m was at work on other requests for 100 s, where the limit is 25 s")


def test_one_execution_may_take_longer_than_the_limit_where_others_did() -> None:
    """Each computes for 9 s here, so that nothing ends for longer than the limit of 25 s where there are three."""
    assert ended(lambda s: (10, 900.0), 40.0) == (40.0, "")


def test_on_a_machine_with_too_much_to_do_a_local_server_gets_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    overloaded(monkeypatch, 2.0)
    assert ended(lambda s: (7, 0.07))[0] == 50.0


def test_even_there_a_model_that_does_nothing_is_broken_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    overloaded(monkeypatch, 1000.0)
    when, told = ended(lambda s: (7, 0.07))
    assert when == 75.0
    assert told.startswith("m did nothing")


def test_a_moment_without_a_processor_breaks_no_short_limit_on_such_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its threads got no turn for 2.8 s; then it went on, and answered."""
    overloaded(monkeypatch, 1.5)
    assert ended(lambda s: (7 if s < 2.8 else 8, 0.1 if s < 2.8 else 2.9), 2.95, 0.45)[1] == ""


def test_but_a_model_that_does_nothing_is_broken_there_too_however_short_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    overloaded(monkeypatch, 1.5)
    when, told = ended(lambda s: (7, 0.07), request_limit_s=0.45)
    assert when == pytest.approx(3.15, abs=0.1)
    assert told.startswith("m did nothing")


def test_with_processors_to_spare_a_short_limit_is_kept_to() -> None:
    assert ended(lambda s: (7, 0.07), request_limit_s=0.5)[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1:8001", True), ("localhost:1", True), ("[::1]:1", True), ("triton.example:8001", False)],
)
def test_this_machines_load_matters_to_a_server_on_it_alone(
    address: str, here: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    overloaded(monkeypatch, 3.0)
    assert overload(address) == (3.0 if here else 1.0)
