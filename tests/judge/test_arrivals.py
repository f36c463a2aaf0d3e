"""A rate that was not kept is a finding with its cause; one that was kept is none."""

from typing import Any

import pytest

from triton_users.judge.arrivals import sentences
from triton_users.ledger import ArrivalCounts


def counts(prompt: int = 0, waited: int = 0, late: int = 0, **missed: int) -> ArrivalCounts:
    made = ArrivalCounts(**missed)
    for number, delay_us, free in ((prompt, 50, True), (waited, 40_000, False), (late, 3_000, True)):
        for _ in range(number):
            made.issue(delay_us, free=free)
    return made


def found(of: ArrivalCounts, intended: int | None = None, **how: Any) -> list[str]:
    given = {"load_s": 10.0, "limited": False, "running": False, "lost": False, **how}
    return sentences(of, intended=of.ended if intended is None else intended, **given)


def test_nothing_is_said_of_a_rate_that_was_kept_nor_of_a_closed_run() -> None:
    assert found(counts(prompt=1_000, waited=5, late=5)) == []
    assert found(counts()) == []


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (counts(990, missed_busy=10), "10 of 1,000 arrivals (1 %) were missed: all users were busy"),
        (counts(990, missed_slow=10), "10 of 1,000 arrivals (1 %) were missed: the client was too slow"),
        (counts(900, waited=100), "100 of 1,000 arrivals (10 %) waited for a user, some up to 40 ms: all users were"),
        (counts(900, late=100), "100 of 1,000 arrivals (10 %) were issued late, some up to 3 ms: the client was too"),
    ],
)
def test_each_cause_has_its_sentence(of: ArrivalCounts, said: str) -> None:
    (sentence,) = found(of)
    assert sentence.startswith(f"the rate was not kept: {said}")


def test_one_missed_arrival_of_many_is_never_silent() -> None:
    (sentence,) = found(counts(1_000, missed_busy=1))
    assert "1 of 1,001 arrivals" in sentence


def test_users_that_are_busy_because_the_client_is_say_so() -> None:
    (sentence,) = found(counts(10, waited=100), limited=True)
    assert "while the client was at its limit" in sentence


def test_arrivals_of_a_lost_worker_are_missing_at_the_end_and_those_under_way_are_not() -> None:
    assert found(counts(900), intended=950) == []  # half a second's
    assert found(counts(500), intended=1_000, running=True) == []
    (sentence,) = found(counts(500), intended=1_000, lost=True)
    assert "500 of 1,000 arrivals (50 %) were neither issued nor missed: their worker was lost" in sentence
    (sentence,) = found(counts(500), intended=1_000)
    assert "still waited for a user when the run ended" in sentence
