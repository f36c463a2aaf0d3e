"""A server that gets slower at equal load is found; noise, a step, a busy client and other loads are no drift."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from tests.judge.simulated import remembering
from triton_users.judge.drift import Drift, judge_drift, unsaid
from triton_users.ledger import Histogram
from triton_users.ledger.timeline import Buckets, Point, Slice

LIMIT = 25.0


def run(
    seed: int, minutes: float, slower: Callable[[float], float], users: Callable[[float], int] = lambda _: 8
) -> list[Point]:
    """The history of eight users of a server that takes 20 ms, `slower(minute)` times as long."""
    draw = np.random.default_rng(seed)
    count = min(240, round(minutes * 12))
    edges = np.linspace(0, 60 * minutes, count + 1)
    noise = remembering(draw, count, 0.6, 0.03)
    points = []
    for i, (start_s, end_s) in enumerate(pairwise(edges)):
        each_s = 0.02 * slower(start_s / 60) * math.exp(noise[i])
        requests = users(start_s / 60) * (end_s - start_s) / each_s
        latency = Histogram()
        for value in draw.gamma(8, each_s / 8, 200):
            latency.record(int(value * 1e6))
        points.append(
            Point(
                float(start_s),
                float(end_s),
                {"S": Slice(requests=requests, latency=Buckets.of(latency))},
                {"users": users(start_s / 60)},
            )
        )
    return points


def answers(found: list[Drift]) -> set[str]:
    return {each.answer for each in found}


@pytest.mark.parametrize("seed", range(10))
def test_twenty_percent_a_minute_are_found_in_ten(seed: int) -> None:
    found = judge_drift(run(seed, 10, lambda minute: 1.2**minute), LIMIT)
    assert {each.what for each in found if each.answer == "drift"} >= {"p50 latency", "rate of answers"}


@pytest.mark.parametrize("seed", range(10))
def test_a_server_that_stays_as_it_is_has_no_drift(seed: int) -> None:
    assert "drift" not in answers(judge_drift(run(seed, 60, lambda _: 1.0), LIMIT))


def test_an_hour_of_even_latency_says_that_none_was_seen() -> None:
    assert answers(judge_drift(run(1, 60, lambda _: 1.0), LIMIT)) == {"none seen"}


def test_five_minutes_are_not_judged() -> None:
    assert judge_drift(run(1, 5, lambda minute: 2.0**minute), LIMIT) == []


def test_a_step_is_no_drift() -> None:
    assert "drift" not in answers(judge_drift(run(1, 60, lambda minute: 2.0 if minute > 30 else 1.0), LIMIT))


def test_getting_faster_is_no_drift() -> None:
    assert answers(judge_drift(run(1, 60, lambda minute: 0.97**minute), LIMIT)) == {"none seen"}


def test_stretches_in_which_the_client_was_the_limit_are_left_out() -> None:
    slow_at_the_end = run(1, 20, lambda minute: 1.0 if minute < 12 else 1.3 ** (minute - 12))
    assert answers(judge_drift(slow_at_the_end, LIMIT, [(720.0, 1200.0)])) == {"none seen"}
    assert judge_drift(slow_at_the_end, LIMIT, [(60.0, 1000.0)]) == []


@pytest.mark.parametrize(
    ("points", "busy", "told"),
    [
        (run(1, 20, lambda _: 1.0), [(60.0, 1000.0)], "the client, or its machine, was the limit for 0:15:4"),
        (run(1, 5, lambda _: 1.0), [], "there were 0:04:00 of load after its first minute; 0:05:00 are needed"),
        (run(1, 20, lambda _: 1.0, lambda minute: 1 + int(minute)), [], "the load was not the usual one for 0:1"),
        ([], [], "there were 0:00:00 of load"),
    ],
    ids=["a busy client", "a short run", "another load all the time", "no load"],
)
def test_where_nothing_can_be_said_it_is_said_why(
    points: list[Point], busy: list[tuple[float, float]], told: str
) -> None:
    assert judge_drift(points, LIMIT, busy) == []
    assert told in unsaid(points, busy)


def test_only_stretches_with_the_usual_number_of_users_are_compared() -> None:
    """More users make every answer slower: that is the load, not the server."""
    points = run(1, 30, lambda m: 1 + m / 10 if m < 10 else 2.0, users=lambda m: 1 + int(m) if m < 10 else 16)
    assert answers(judge_drift(points, LIMIT)) == {"none seen"}


def test_the_sentence_says_what_by_how_much_with_which_limit_and_when() -> None:
    found = next(each for each in judge_drift(run(1, 10, lambda m: 1.2**m), LIMIT) if each.answer == "drift")
    text = str(found)
    assert text.startswith("drift: the p50 latency of S got slower by ")
    assert "%, limit 25) from 0:01:00 to 0:" in text
    assert text.endswith("at equal load")


def test_a_scenario_with_few_requests_is_not_judged() -> None:
    points = run(1, 30, lambda _: 1.0)
    for point in points:
        point.scenarios["S"].requests = 0.5
    assert judge_drift(points, LIMIT) == []
