"""Plans: the same seed gives the same ones, whatever happened before; they are plain values."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest

from tests.scenarios.fakes import ALL_MODELS, FakeClient, make_session
from triton_users.scenarios import ALL
from triton_users.scenarios.base import Scenario, ScenarioFailure, Skip, Target
from triton_users.scenarios.resnet import Gallery
from triton_users.settings import DEFAULT_WEIGHTS, Settings

NAMES = list(ALL)


def scenario(name: str, scratch: Path = Path("/nonexistent"), client: FakeClient | None = None) -> Scenario:
    target = Target("127.0.0.1:1", frozenset(), perf_analyzer=("false",))
    session = make_session(client or FakeClient(lambda request: request.array), target=target, scratch=scratch)
    session.shared["gallery"] = Gallery(np.zeros((3, 224, 224, 3), np.float32), ("A", "B", "C"))
    return ALL[name](session)


def test_the_nine_scenarios_are_those_that_have_a_weight() -> None:
    assert list(ALL) == list(DEFAULT_WEIGHTS)
    assert all(kind.name == name and kind.description for name, kind in ALL.items())


def test_no_description_tells_a_figure_that_an_option_may_have_changed() -> None:
    assert [kind.name for kind in ALL.values() if any(map(str.isdigit, kind.description))] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_plans_to_another_user_object(name: str) -> None:
    one, other = scenario(name), scenario(name)
    for seed in range(20):
        assert one.plan(random.Random(seed)) == other.plan(random.Random(seed))


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_another_plan(name: str) -> None:
    one = scenario(name)
    assert len({repr(one.plan(random.Random(seed))) for seed in range(20)}) > 15


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_takes_as_much_from_the_generator_whatever_came_of_earlier_runs(name: str, tmp_path: Path) -> None:
    untouched, used = scenario(name), scenario(name, tmp_path)
    plan = used.plan(random.Random(0))
    if name not in ("Timeout", "Crashing"):  # those need a connection
        for _ in range(3):
            with pytest.raises((ScenarioFailure, Skip)):
                used.run(plan)
    assert [untouched.plan(random.Random(seed)) for seed in range(10)] == [
        used.plan(random.Random(seed)) for seed in range(10)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_planning_sends_nothing(name: str) -> None:
    client = FakeClient(lambda request: request.array)
    scenario(name, client=client).plan(random.Random(0))
    assert client.requests == []
    assert client.streams_started == 0


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_is_frozen_and_goes_into_a_record_as_plain_values(name: str) -> None:
    plan = scenario(name).plan(random.Random(0))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(plan, dataclasses.fields(plan)[0].name, None)
    json.dumps(dataclasses.asdict(plan))


@pytest.mark.parametrize("name", NAMES)
def test_with_all_models_each_can_run_and_without_any_each_says_why_not(name: str) -> None:
    ready = Target("127.0.0.1:1", ALL_MODELS, perf_analyzer=("perf_analyzer",))
    assert ALL[name].unavailable(ready, Settings(seed=1)) == ""
    reason = ALL[name].unavailable(Target("127.0.0.1:1", frozenset()), Settings(seed=1))
    assert reason.endswith(f"or give {name} weight 0")
    assert name not in reason.removesuffix(f"give {name} weight 0"), "whoever shows the reason names the scenario"
