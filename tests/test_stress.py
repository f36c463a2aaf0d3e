"""What the users of the stress test pick, and what the log says of failures."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from locust.env import Environment

from tests.scenarios.fakes import FakeClock
from triton_users.events import add_hooks
from triton_users.run.configuration import Run
from triton_users.scenarios.base import Target
from triton_users.settings import DEFAULT_WEIGHTS, Settings
from triton_users.stress import (
    LOG_EVERY_S,
    LOGGED_FAILURES,
    FailureLog,
    ScenarioUser,
    TritonLoadUser,
    TritonStressUser,
)


def test_the_first_failures_of_each_scenario_are_logged_and_later_ones_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    log = FailureLog(clock)
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            log.failed("SequenceValid", f"refused {number}")
        assert len(caplog.messages) == LOGGED_FAILURES
        log.failed("ResNet", "refused")
        assert caplog.messages[-1] == "ResNet failed: refused"
        clock.sleep(LOG_EVERY_S)
        log.failed("SequenceValid", "still refused")
        log.failed("SequenceValid", "and again")
    assert caplog.messages[-1] == "SequenceValid failed: still refused (and 990 more before that)"
    assert len(caplog.messages) == LOGGED_FAILURES + 2


class Recording(TritonStressUser):
    """A user that picks, but plays nothing."""

    host = "grpc://127.0.0.1:1"


def users(number: int, kind: type[ScenarioUser] = Recording, seed: int = 7, run: Run | None = None) -> list[Any]:
    """Users of one process that have started."""
    environment: Any = Environment(user_classes=[kind])
    add_hooks(environment)
    target = Target("127.0.0.1:1", frozenset())
    environment.triton_run = run or Run(1, Settings(seed=seed), target, {}, worker=0, scratch=Path("/nonexistent"))
    made = [kind(environment) for _ in range(number)]
    for user in made:
        user._taskset_instance = SimpleNamespace()
        user.on_start()
    return made


def picks(of: list[Any], number: int) -> list[list[str]]:
    """The names of each user's first picks, taken in turns."""
    rounds = [[user._next_task().__name__ for user in of] for _ in range(number)]
    return [list(each) for each in zip(*rounds, strict=True)]


def test_the_users_of_a_short_run_begin_with_the_rarest_scenarios_one_each() -> None:
    first = [names[0] for names in picks(users(8), 1)]
    assert first == sorted(DEFAULT_WEIGHTS, key=DEFAULT_WEIGHTS.__getitem__)[:8]
    assert first[0] == "SequenceNoStart"


def test_a_scenario_that_is_not_in_the_run_begins_nothing() -> None:
    made = users(8)
    for user in made:
        user.tasks = [task for task in user.tasks if task.__name__ not in ("SequenceNoStart", "Timeout")]
    assert {"SequenceNoStart", "Timeout"}.isdisjoint(names[0] for names in picks(made, 1))


def test_load_users_take_no_scenario_from_the_others() -> None:
    load = users(2, TritonLoadUser)
    stress = users(1, run=load[0].environment.triton_run)
    assert picks(load, 2) == [["PerfAnalyzer"] * 2] * 2
    assert picks(stress, 1) == [["SequenceNoStart"]]


def test_later_picks_go_by_weight_and_a_seed_repeats_them_all() -> None:
    plan = picks(users(12), 400)
    assert plan == picks(users(12), 400)
    assert plan != picks(users(12, seed=8), 400)
    later = Counter(name for names in plan for name in names[1:])
    for name, weight in DEFAULT_WEIGHTS.items():
        expected = 12 * 399 * weight / sum(DEFAULT_WEIGHTS.values())
        assert later[name] == pytest.approx(expected, abs=5 * expected**0.5)
