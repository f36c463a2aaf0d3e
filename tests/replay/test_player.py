"""Playing a case: what counts as the failure again, how ids change, and what a failure needs beside it."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from triton_users.replay.case import Case, Play
from triton_users.replay.player import PLAYS_OF_A_BLOCK, Stage
from triton_users.replay.shrink import minimise
from triton_users.scenarios.base import Scenario, ScenarioFailure, Skip, Target
from triton_users.settings import ConnectionSettings, Settings, UsageError

PLAN = {"model": "m", "id_offset": 1, "value": 3}


class Fake(Scenario):
    """Notes its plays; a subclass says what comes of one."""

    description = "made up"
    played: list[tuple[str, int]]

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        return ""

    def plan(self, draw: random.Random) -> Any:
        raise NotImplementedError

    def run(self, plan: Any) -> int:
        self.played.append((self.name, self.session.correlation_ids.start))
        return self.outcome(plan)

    def outcome(self, plan: Any) -> int:
        return 1


@dataclass
class Staged:
    """A stage without a server, and what was played on it."""

    stage: Stage
    played: list[tuple[str, int]]


@pytest.fixture
def staged(tmp_path: Path) -> Staged:
    played: list[tuple[str, int]] = []
    under_way = {"partners": 0}

    class Fifth(Fake):
        name = "Fifth"

        def outcome(self, plan: Any) -> int:
            if len(played) == 5:
                raise ScenarioFailure(f"play {len(played)} is wrong", model="m")
            return 1

    class Busy(Fake):
        name = "Busy"

        def outcome(self, plan: Any) -> int:
            raise Skip("too busy to prove anything")

    class Partner(Fake):
        name = "Partner"

        def outcome(self, plan: Any) -> int:
            under_way["partners"] += 1
            try:
                gevent.sleep(0.002)
            finally:
                under_way["partners"] -= 1
            return 1

    class Together(Fake):
        """Fails while two partners are under way."""

        name = "Together"

        def outcome(self, plan: Any) -> int:
            gevent.sleep(0.001)
            if under_way["partners"] >= 2:
                raise ScenarioFailure("wrong while 2 others were under way")
            return 1

    class Waiting(Fake):
        """Each play waits for a slot; the second one fails."""

        name = "Waiting"

        def outcome(self, plan: Any) -> int:
            gevent.sleep(0.2)
            if len(played) == 2:
                raise ScenarioFailure("the sum is wrong")
            return 1

    kinds = (Fifth, Busy, Partner, Together, Waiting)
    for kind in kinds:
        kind.played = played
    target = Target("127.0.0.1:1", frozenset())
    stage = Stage(
        lambda: "grpc://127.0.0.1:1",
        ConnectionSettings(),
        Settings(seed=1),
        target,
        {kind.name: kind for kind in kinds},
        tmp_path,
    )
    return Staged(stage, played)


def test_it_is_played_until_it_fails(staged: Staged) -> None:
    seen = staged.stage.until_it_fails(Case(Play("Fifth", PLAN)), plays=50, limit_s=20)
    assert seen is not None
    assert (seen.plays, seen.reason, seen.evidence) == (5, "play 5 is wrong", {"model": "m"})


@pytest.mark.parametrize(("limit_s", "wait_s", "plays"), [(0.05, 0.0, 1), (0.05, 5.0, 2), (5.0, 0.0, 2)])
def test_a_wait_for_a_slot_is_the_first_play_s_alone(staged: Staged, limit_s: float, wait_s: float, plays: int) -> None:
    case = Case(Play("Waiting", PLAN))
    seen = staged.stage.until_it_fails(case, plays=9, limit_s=limit_s, wait_s=wait_s)
    assert (seen is not None) == (plays == 2)
    assert len(staged.played) == plays


def test_another_failure_than_the_one_that_is_looked_for_does_not_count(staged: Staged) -> None:
    case = Case(Play("Fifth", PLAN))
    assert staged.stage.until_it_fails(case, plays=9, limit_s=20, kind="the stream broke") is None
    assert len(staged.played) == 9
    staged.played.clear()
    assert staged.stage.until_it_fails(case, plays=9, limit_s=20, kind="play # is wrong") is not None


def test_a_number_of_plays_and_a_time_end_it(staged: Staged) -> None:
    assert staged.stage.until_it_fails(Case(Play("Busy", PLAN)), plays=7, limit_s=20) is None
    assert len(staged.played) == 7
    assert staged.stage.until_it_fails(Case(Play("Together", PLAN)), plays=10**9, limit_s=0.1) is None


def test_two_plays_have_one_users_ids_and_the_next_two_others(staged: Staged) -> None:
    staged.stage.until_it_fails(Case(Play("Busy", PLAN)), plays=6, limit_s=20)
    blocks = [start for _, start in staged.played]
    assert PLAYS_OF_A_BLOCK == 2
    assert blocks[0::2] == blocks[1::2]
    assert len(set(blocks)) == 3


def test_a_failure_that_needs_others_is_not_seen_alone_and_keeps_the_fewest_of_them(staged: Staged) -> None:
    alone = Case(Play("Together", PLAN))
    case = replace(alone, partners=(Play("Busy", PLAN), *[Play("Partner", PLAN)] * 4, Play("Busy", PLAN)))
    stage = staged.stage
    assert stage.until_it_fails(alone, plays=100, limit_s=20) is None
    seen = stage.until_it_fails(case, plays=100, limit_s=20)
    assert seen is not None
    smallest = minimise(case, lambda each: stage.until_it_fails(each, plays=60, limit_s=5, kind=seen.kind) is not None)
    assert [each.scenario for each in smallest.partners] == ["Partner", "Partner"]


@pytest.mark.parametrize(
    ("play", "told"),
    [(Play("Bert", PLAN), "there is no scenario Bert here"), (Play("Fifth", {"other": 1}), "knows no plan")],
)
def test_what_cannot_be_played_is_a_mistake(staged: Staged, play: Play, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        staged.stage.until_it_fails(Case(play), plays=1, limit_s=5)


def test_a_server_that_lacks_what_it_takes_is_a_mistake(staged: Staged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        staged.stage.scenarios["Fifth"], "unavailable", lambda target, settings: "its model is not ready"
    )
    with pytest.raises(UsageError, match="Fifth cannot be played on this server: its model is not ready"):
        staged.stage.until_it_fails(Case(Play("Fifth", PLAN)), plays=1, limit_s=5)


def test_the_module_leaves_no_greenlet_of_a_partner_behind(staged: Staged) -> None:
    case = Case(Play("Busy", PLAN), (Play("Partner", PLAN),))
    staged.stage.until_it_fails(case, plays=3, limit_s=5)
    before = len(staged.played)
    gevent.sleep(0.05)
    assert len(staged.played) == before
