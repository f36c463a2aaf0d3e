"""A server that went away in mid-run is one sentence, first, over all workers."""

import math

import pytest

from triton_users.judge.outages import Outage, outages, sentence
from triton_users.judge.verdict import judge
from triton_users.ledger import Ledger, WorkerState
from triton_users.ledger.outages import MAX_OUTAGES, Outages

REFUSED = "cannot connect to 127.0.0.1:1: Connection refused"


def worker(name: str, *spans: tuple[float, float], goes_on: bool = False, began_s: float = 0.0) -> WorkerState:
    state = WorkerState(name, "i", first_seen_s=0.0, last_seen_s=60.0, began_s=began_s)
    state.outages = (goes_on, REFUSED, list(spans))
    return state


def told(*workers: WorkerState) -> str:
    return sentence(outages(workers), len(workers))


def test_a_server_that_came_back_was_gone_from_then_to_then() -> None:
    assert told(worker("a", (19.2, 23.4))) == f"the server was gone from 0:00:19 to 0:00:23: {REFUSED}"


def test_a_server_that_did_not_come_back_was_gone_from_then_on() -> None:
    assert told(worker("a", (19.2, 60.0), goes_on=True)) == f"the server was gone from 0:00:19 on: {REFUSED}"


def test_all_workers_see_one_outage_in_the_run_s_time_not_in_their_own() -> None:
    seen = told(worker("a", (19.2, 23.4)), worker("b", (9.0, 13.5), began_s=10.5), worker("c", (20.0, 22.0)))
    assert seen == f"the server was gone from 0:00:19 to 0:00:24: {REFUSED}"


def test_a_worker_that_is_cut_off_alone_is_named() -> None:
    seen = told(worker("a", (19.2, 23.4)), worker("b"), worker("c"))
    assert seen == f"1 of 3 workers (a) could not reach the server from 0:00:19 to 0:00:23: {REFUSED}"


def test_two_outages_are_told_as_two() -> None:
    seen = told(worker("a", (19.0, 23.0), (40.0, 44.0)))
    assert "from 0:00:19 to 0:00:23 and from 0:00:40 to 0:00:44" in seen


def test_one_user_whose_own_server_is_away_among_others_that_get_answers_makes_no_outage() -> None:
    assert told(worker("a", *[(second, second + 0.2) for second in range(40)])) == ""


def test_many_outages_are_told_in_a_bounded_sentence() -> None:
    assert len(told(worker("a", *[(n * 10.0, n * 10.0 + 5.0) for n in range(50)]))) < 400


@pytest.mark.parametrize(("at_s", "explained"), [(10, False), (18, True), (40, True), (60, False)])
def test_a_failure_just_before_an_outage_and_some_time_after_it_is_its_consequence(at_s: int, explained: bool) -> None:
    assert Outage(19.0, 23.0, ("a",), REFUSED).explains(at_s) is explained
    assert Outage(19.0, math.inf, ("a",), REFUSED).explains(at_s) is (at_s > 10)


def test_the_outage_is_the_first_reason_and_its_consequences_are_one_with_it() -> None:
    total = Ledger()
    for name in ("ResNet", "SequenceValid", "Timeout"):
        total.scenario(name).failed, total.scenario(name).passed = 2, 3
    verdict = judge(
        total,
        weights=dict.fromkeys(total.scenarios, 1),
        gone="the server was gone from 0:00:19 to 0:00:23",
        consequences=["SequenceValid", "ResNet", "PerfAnalyzer"],
    )
    assert verdict.reasons == (
        "the server was gone from 0:00:19 to 0:00:23; of that failed ResNet (2 of 5 runs), SequenceValid (2 of 5 runs)",
        "Timeout failed 2 of 5 runs",
    )
    assert set(verdict.scenarios) == set(total.scenarios)
    assert [verdict.about.get(each, "right") for each in verdict.reasons] == ["stable", "right"]


def test_a_node_keeps_the_time_from_the_first_failed_connect_to_the_next_answer() -> None:
    seen = Outages()
    seen.answered(1.0)
    for at_s in (2.0, 3.0, 5.0):
        seen.failed(at_s, REFUSED)
    assert seen.dump() == [True, REFUSED, [[2.0, 5.0]]]
    seen.answered(6.0)
    seen.answered(7.0)
    assert seen.dump() == [False, REFUSED, [[2.0, 6.0]]]


def test_a_node_keeps_a_bounded_number_of_outages_and_the_last_one_ends_last() -> None:
    seen = Outages()
    for second in range(1000):
        seen.failed(second, REFUSED)
        seen.answered(second + 0.5)
    _, _, spans = seen.dump()
    assert len(spans) == MAX_OUTAGES
    assert spans[-1] == [49, 999.5]
