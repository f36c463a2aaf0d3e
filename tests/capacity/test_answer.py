"""What a search says it found."""

import pytest

from tests.capacity.answers import FAILED, FOUND, answer, level


def test_the_answer_is_the_highest_that_held_the_lowest_that_failed_and_what_failed_first() -> None:
    assert (FOUND.held, FOUND.failed.load, FOUND.settled) == (297, 308, True)
    assert FOUND.sentence() == "297 arrivals/s held; 308 arrivals/s did not: p99_ms<50 does not hold: it is 71.2"
    assert (FOUND.reasons(), FOUND.warnings()) == ([], [])
    assert FOUND.dump()["limited_by"] == "server"


@pytest.mark.parametrize(
    ("outcome", "said", "limited_by"),
    [
        ("client-limited", "the client was the limit at 120 arrivals/s, not the server: why", "client-limited"),
        ("users busy", "the number of users was the limit at 120 arrivals/s, not the server: why", "users busy"),
        ("too few to say", "120 arrivals/s did not: why", "too few to say"),
    ],
)
def test_what_is_no_limit_of_the_server_is_never_called_one(outcome: str, said: str, limited_by: str) -> None:
    found = answer(level(100), level(120, outcome, "why"))
    assert found.sentence() == f"100 arrivals/s held; {said}"
    assert found.warnings() == [f"the server's own limit was not found: {said}"]
    assert found.dump()["limited_by"] == limited_by


def test_a_server_that_failed_once_is_the_limit_though_the_client_was_it_the_other_time() -> None:
    found = answer(level(100), level(104, "failed", FAILED), level(104, "client-limited", "CPU"))
    assert found.failed.outcome == "failed"


def test_a_floor_that_was_not_shown_fails_with_what_was_found() -> None:
    found = answer(level(100), level(104, "client-limited", "CPU"), at_least=300.0)
    (reason,) = found.reasons()
    assert reason.startswith(
        "the capacity is not at least 300 arrivals/s: 100 arrivals/s held; the client was the limit"
    )
    assert answer(level(300), at_least=300.0).reasons() == []


def test_no_level_that_held_fails_without_a_floor_too() -> None:
    found = answer(level(100, "failed", FAILED))
    assert found.reasons() == [f"no capacity was found: no level held; 100 arrivals/s did not: {FAILED}"]
    assert answer().reasons() == ["no capacity was found: no level was measured"]


def test_levels_that_could_not_be_judged_decide_nothing() -> None:
    found = answer(level(100), level(200, "not judged", "workers came or went meanwhile"))
    assert (found.held, found.failed) == (100, None)


def test_a_search_that_ended_early_says_so() -> None:
    found = answer(level(100), level(200), stopped="the run was ended")
    assert found.sentence() == (
        "200 arrivals/s held, the most that was tried (the search ended early: the run was ended)"
    )


def test_a_capacity_that_is_not_steady_is_a_warning() -> None:
    found = answer(level(100), level(200, "failed", FAILED), level(200), level(400, "failed", FAILED), level(300))
    assert found.warnings() == [
        "the capacity is not steady: 200 arrivals/s held once and failed once",
        *found.warnings()[1:],
    ]
    assert "300 arrivals/s held and 200 arrivals/s did not" in found.warnings()[1]


def test_users_are_called_users() -> None:
    assert answer(level(8), is_rate=False).sentence() == "8 users held, the most that was tried"
