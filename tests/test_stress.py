"""What the users of the stress test pick, what they do when they stop, and what the log says of failures."""

from __future__ import annotations

import logging
import random
from argparse import Namespace
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import gevent
import gevent.event
import pytest
from locust.env import Environment

from tests.scenarios.fakes import FakeClock
from triton_users.events import add_hooks
from triton_users.run.configuration import Run
from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Target
from triton_users.scenarios.sequence_no_end import SequenceNoEnd
from triton_users.scenarios.sequence_scenario import SequencePlan
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


class Checking(SequenceNoEnd):
    """Has two checks put off that are due at once, of which the second fails."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.left = [1, 2]
        self.closed = False

    def next_deferred(self) -> tuple[SequencePlan, float] | None:
        return (SequencePlan("m", self.left[0], ((5,),)), 0.0) if self.left else None

    def check_deferred(self) -> int:
        number = self.left.pop(0)
        if number == 2:
            raise ScenarioFailure("still held", requests=1, got=7)
        self.session.signals.deferred_checks_settled(confirmed=1)
        return 3

    def close(self) -> None:
        self.closed = True


def stopping_user(**settings: Any) -> tuple[ScenarioUser, Checking, list[tuple[str, dict[str, Any]]]]:
    """A user that is about to stop, the scenario it has run, and the events that it fires."""
    environment = Environment(user_classes=[], parsed_options=Namespace())
    add_hooks(environment)
    events: list[tuple[str, dict[str, Any]]] = []
    for name in ("scenario_finished", "deferred_checks_settled"):
        getattr(environment.events, name).add_listener(lambda name=name, **fired: events.append((name, fired)))
    run = Run(1, Settings(seed=1, **settings), Target("", frozenset()), {}, worker=0, scratch=Path("/nonexistent"))
    environment.triton_run = run  # type: ignore[attr-defined]
    user = OnLoopback(environment)
    user.on_start()
    scenario = user._scenarios[Checking] = Checking(user.session)
    return user, scenario, events


class OnLoopback(ScenarioUser):
    host = "grpc://127.0.0.1:1"
    tasks = [lambda user: None]  # noqa: RUF012 - Locust's own form

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._taskset_instance = SimpleNamespace()


def test_a_stopping_user_makes_its_deferred_checks_and_tells_what_came_of_them() -> None:
    user, scenario, events = stopping_user(deferred_check_wait_s=5.0)
    user.on_stop()
    assert scenario.left == []
    assert scenario.closed
    counted = [fired for name, fired in events if name == "deferred_checks_settled"]
    assert sum(fired["confirmed"] for fired in counted) == 1
    assert sum(fired["requests"] for fired in counted) == 3, "those of the check that failed are its run's"
    ((failed),) = [fired for name, fired in events if name == "scenario_finished"]
    assert (failed["scenario"], failed["outcome"], failed["requests"]) == ("SequenceNoEnd", "failed", 1)
    assert failed["record"]["plan"]["id_offset"] == 2, "the plan of the run that had left it"
    assert failed["record"]["evidence"] == {"got": 7}


@pytest.mark.parametrize(("wait_s", "hurried"), [(0.0, False), (5.0, True)])
def test_a_stopping_user_that_may_not_wait_or_is_hurried_makes_none(wait_s: float, hurried: bool) -> None:
    user, scenario, events = stopping_user(deferred_check_wait_s=wait_s)
    if hurried:
        user.run_of_test.hurry()
    user.on_stop()
    assert (scenario.left, scenario.closed, events) == ([1, 2], True, [])


def test_the_wait_has_an_end_and_can_be_cut_short() -> None:
    run = stopping_user()[0].run_of_test
    run.wait_for(lambda: gevent.sleep(60), limit_s=0.01)
    waiting = gevent.spawn(run.wait_for, lambda: gevent.sleep(60), limit_s=60.0)
    gevent.idle()
    run.hurry()
    waiting.join(timeout=10)
    assert waiting.successful()


class Failing(Scenario):
    """Fails at once, or once it is let go; its plan is a long one."""

    name = "Failing"
    description = "made up"
    let_go: ClassVar[gevent.event.Event]

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        return ""

    def plan(self, draw: random.Random) -> SequencePlan:
        return SequencePlan("m", 1, (tuple(range(500)),))

    def run(self, plan: SequencePlan) -> int:
        raise ScenarioFailure("wrong")


class Lasting(Failing):
    name = "Lasting"

    def run(self, plan: SequencePlan) -> int:
        self.let_go.wait(5)
        return 1


def test_a_failures_record_has_its_plan_whole_and_what_other_users_were_at() -> None:
    Lasting.let_go = gevent.event.Event()
    one, other = users(2)
    finished: list[dict[str, Any]] = []
    one.environment.events.scenario_finished.add_listener(lambda **fired: finished.append(fired))
    lasting = gevent.spawn(other.play, Lasting)
    gevent.sleep(0)
    one.play(Failing)
    Lasting.let_go.set()
    lasting.get(timeout=5)
    one.play(Failing)
    while_it_lasted, _, alone = [fired["record"] for fired in finished]
    assert while_it_lasted["plan"]["sequences"] == [list(range(500))]
    assert while_it_lasted["under_way"] == [{"scenario": "Lasting", "plan": while_it_lasted["plan"]}]
    assert alone["under_way"] == []
