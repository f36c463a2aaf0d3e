"""A plan comes back from a report as it was, and an identity check of Timeout is the same one alone."""

from __future__ import annotations

import json
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.scenarios.fakes import ALL_MODELS, Accumulators, FakeClient, make_session
from triton_users.ledger.plain import MAX_PLAN_ITEMS, plain
from triton_users.replay.plans import IDENTITY, Identity, identity_check_of, plan_of
from triton_users.scenarios import ALL
from triton_users.scenarios.base import Session
from triton_users.scenarios.model_load import ModelPlan
from triton_users.scenarios.timeout import Timeout, TimeoutPlan
from triton_users.settings import UsageError


def session(**settings: Any) -> Session:
    return make_session(FakeClient(Accumulators(lambda: 0.0)), models=ALL_MODELS, **settings)


def as_a_report_has_it(plan: Any) -> Any:
    return json.loads(json.dumps(plain(asdict(plan), most=MAX_PLAN_ITEMS)))


@pytest.mark.parametrize("name", ALL)
def test_every_scenarios_plan_comes_back(name: str, tmp_path: Path) -> None:
    scenario = ALL[name](session(pause_share=1.0, sequence_length_mean=100))
    for seed in range(5):
        plan = scenario.plan(random.Random(seed))
        assert plan_of(as_a_report_has_it(plan)) == plan


def test_a_models_plan_comes_back() -> None:
    plan = ModelPlan(stream=1, first=2, length=3, offset=4)
    assert plan_of(as_a_report_has_it(plan)) == plan


@pytest.mark.parametrize("plan", [{}, {"nothing": 1}, {"sequences": [[1]], "of": "another version"}])
def test_a_plan_of_another_version_is_refused(plan: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="this version knows no plan"):
        plan_of(plan)


def test_an_identity_check_is_the_one_that_the_run_made() -> None:
    of_the_run: list[np.ndarray] = []
    alone: list[np.ndarray] = []
    one = session(deadline_tensor_mib=1)
    one.client.answer = lambda request: (of_the_run.append(request.array.copy()), request.array)[1]
    timeout = Timeout(one)
    timeout._provoke = lambda model: None  # type: ignore[method-assign]  # the deadline is not what this is about
    timeout.run(TimeoutPlan("custom_nobatch_zero_1_float32", 77, checks=6))
    checks = of_the_run[2:]
    for number, sent in enumerate(checks):
        play = identity_check_of({"afterwards": 77}, number, one.target, one.settings)
        assert play.scenario == IDENTITY
        one.client.answer = lambda request: (alone.append(request.array.copy()), request.array)[1]
        Identity(one).run(plan_of(play.plan))
        np.testing.assert_array_equal(alone[-1], sent)
