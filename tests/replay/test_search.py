"""Whether a smaller case still fails: what is played for how long, what is remembered, and what ends it."""

from __future__ import annotations

from typing import Any

import pytest

from triton_users.replay.case import Case, Play
from triton_users.replay.player import Seen, ServerGone
from triton_users.replay.search import PATIENCE, SLOT_WAIT_S, Search, ladder

FIRST = Case(Play("SequenceValid", {"number": 0}))


def case(number: int) -> Case:
    return Case(Play("SequenceValid", {"number": number}))


class FakeStage:
    """Answers at once what it was told to, and notes what it was asked."""

    def __init__(self, *answers: Seen | Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def until_it_fails(self, case: Case, **asked: Any) -> Seen | None:
        self.asked.append(asked)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def seen(plays: int, elapsed_s: float = 1.0) -> Seen:
    return Seen("answer 0 is 3, not 1", {}, plays, elapsed_s)


def search(stage: FakeStage, first: Seen, limit_s: float = 1000.0) -> Search:
    return Search(stage, FIRST, first, limit_s)  # type: ignore[arg-type]


def test_a_case_is_played_once_whatever_came_of_it() -> None:
    stage = FakeStage(None, seen(1))
    looking = search(stage, seen(1))
    assert [looking.fails(case(number)) for number in (1, 2, 1, 2)] == [False, True, False, True]
    assert len(stage.asked) == looking.tried == 2
    assert looking.failed == [FIRST, case(2)]


def test_only_the_same_failure_counts_and_a_rare_one_gets_more_time() -> None:
    stage = FakeStage(seen(300, 30.0), None)
    looking = search(stage, seen(100, 10.0))
    looking.fails(case(1))
    looking.fails(case(2))
    first, second = stage.asked
    assert first["kind"] == second["kind"] == "answer # is #, not #"
    assert (first["plays"], second["plays"]) == (PATIENCE * 100, PATIENCE * 300)
    assert (first["limit_s"], second["limit_s"]) == (1.0 + PATIENCE * 10.0, 1.0 + PATIENCE * 30.0)


def test_a_sequence_may_wait_for_the_slot_of_one_that_failed_but_not_beyond_the_time_there_is() -> None:
    stage = FakeStage(None)
    search(stage, seen(1, 0.1)).fails(case(1))
    assert stage.asked[0]["wait_s"] == SLOT_WAIT_S
    stage = FakeStage(None)
    search(stage, seen(1, 0.1), limit_s=2.0).fails(case(1))
    assert 0.0 < stage.asked[0]["wait_s"] < 2.0 - 1.0
    stage = FakeStage(None)
    search(stage, seen(1, 10.0), limit_s=2.0).fails(case(1))
    assert stage.asked[0]["wait_s"] == 0.0


def test_what_came_soon_by_luck_does_not_make_the_next_one_s_time_short() -> None:
    stage = FakeStage(seen(2, 0.1), None)
    looking = search(stage, seen(100, 10.0))
    looking.fails(case(1))
    looking.fails(case(2))
    assert stage.asked[1]["plays"] == PATIENCE * 50


def test_nothing_is_played_once_the_time_is_over() -> None:
    stage = FakeStage()
    looking = search(stage, seen(1), limit_s=0.0)
    assert looking.over
    assert not looking.fails(case(1))
    assert stage.asked == []


def test_a_server_that_is_gone_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    looking = search(FakeStage(ServerGone("no server answers at grpc://127.0.0.1:1")), seen(1))
    assert not looking.fails(case(1))
    assert looking.over
    assert "No smaller case is tried: no server answers" in capsys.readouterr().out


def test_the_smallest_comes_first_and_the_first_comes_last() -> None:
    cases = [case(number) for number in range(10)]
    assert ladder(cases, 4) == [case(9), case(6), case(3), case(0)]
    assert ladder(cases[:1], 4) == cases[:1]
    assert ladder(cases[:2], 4)[0] == case(1)
