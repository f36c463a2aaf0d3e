"""Late answers and a server that stood still are told without any threshold, and not where the client was the limit."""

import pytest

from triton_users.judge.client_limited import Limits
from triton_users.judge.lateness import sentences
from triton_users.judge.outages import Outage
from triton_users.judge.verdict import Said, judge
from triton_users.ledger import Ledger, WorkerState
from triton_users.ledger.counts import Row
from triton_users.ledger.lateness import LATE_S, MAX_LATE, MAX_SILENCES, Lateness

QUIET = [1.0, 50.0, 0.0, 1.0, 100.0, 0.0]
LAGGING = [90.0, *QUIET[1:]]
CROWDED = [*QUIET[:-1], 60.0]


def worker(
    name: str = "w",
    late: tuple[float, ...] = (),
    silences: tuple[tuple[float, float], ...] = (),
    window: list[float] = QUIET,
    began_s: float = 0.0,
) -> WorkerState:
    """`late`: when answers came that took 2 s where others take 5 ms."""
    state = WorkerState(name, "i", first_seen_s=0.0, last_seen_s=60.0, began_s=began_s)
    state.lateness = (len(late), [("", "bert", at_s, 2.0, 0.005) for at_s in late], list(silences))
    state.selfcheck = {"windows": [[start, start + 5.0, *window] for start in range(0, 60, 5)]}
    return state


def told(*workers: WorkerState, questions: tuple[tuple[float, float], ...] = (), gone: tuple[Outage, ...] = ()) -> str:
    return "\n".join(sentences(workers, Limits(), questions, gone))


def test_answers_far_outside_of_what_their_row_takes_are_told() -> None:
    assert told(worker(late=(13.0, 20.0, 40.0))) == (
        "late answers: 3 or more of requests to bert took up to 2.0 s, where nine of ten take less than 0.005 s; "
        "the first at 0:00:13"
    )


def test_one_or_two_late_answers_may_be_chance() -> None:
    assert told(worker(late=(13.0, 20.0))) == ""


def test_late_answers_of_all_workers_count_together() -> None:
    assert "3 or more" in told(worker("a", late=(13.0, 20.0)), worker("b", late=(21.0,)))


@pytest.mark.parametrize("window", [LAGGING, CROWDED])
def test_where_the_client_or_its_machine_was_the_limit_nothing_is_said_of_the_server(window: list[float]) -> None:
    busy = worker(late=(13.0, 20.0, 40.0), silences=((10.0, 14.0),), window=window)
    assert told(busy, questions=((10.1, 14.0),)) == ""


def test_while_the_server_was_gone_it_was_not_late() -> None:
    gone = Outage(9.0, 50.0, ("w",), "refused")
    away = worker(late=(13.0, 20.0, 40.0), silences=((10.0, 14.0),))
    assert told(away, questions=((10.1, 14.0),), gone=(gone,)) == ""


def test_a_server_that_answered_nobody_stood_still() -> None:
    both = (worker("a", silences=((10.0, 14.0),)), worker("b", silences=((4.9, 9.1),), began_s=5.0))
    assert told(*both, questions=((10.4, 14.0),)) == (
        "the server stood still: no user got an answer, nor did a question after its models, for 3.6 s at 0:00:10"
    )


def test_users_that_are_silent_while_the_server_answers_a_question_have_nothing_to_ask() -> None:
    assert told(worker(silences=((10.0, 14.0),))) == ""


def test_a_slow_answer_to_a_question_while_users_get_theirs_is_no_standstill() -> None:
    busy, idle = worker("a", silences=((10.0, 11.0),)), worker("b", silences=((0.0, 60.0),))
    assert told(busy, idle, questions=((10.0, 14.0),)) == ""


def test_what_came_late_fails_nothing() -> None:
    total = Ledger()
    total.row("", "bert").record(1, 1, 1, 1)
    verdict = judge(total, weights={}, said=[Said("fast", ["late answers: …"], fails=False)])
    assert (verdict.passed, verdict.warnings) == (True, ("late answers: …",))


def row(latency_s: float, answers: int = 200) -> Row:
    made = Row()
    for _ in range(answers):
        made.record(int(latency_s * 1e6), 1, 1, 1)
    return made


@pytest.mark.parametrize(
    ("usual_s", "latency_s", "late"),
    [(0.005, 2.0, True), (0.005, 1.4, False), (1.0, 2.0, False), (0.1, 2.0, True)],
)
def test_an_answer_is_late_when_it_is_slow_and_its_row_s_answers_are_not(
    usual_s: float, latency_s: float, late: bool
) -> None:
    seen = Lateness()
    seen.answered(1.0, "", "bert", row(usual_s), latency_s, LATE_S)
    assert seen.dump()[0] == late


def test_before_it_is_known_what_is_usual_no_answer_is_late() -> None:
    seen = Lateness()
    seen.answered(1.0, "", "bert", row(0.005, answers=20), 9.0, LATE_S)
    assert seen.dump()[0] == 0


def test_a_request_that_may_wait_for_a_slot_is_not_late_below_its_own_floor() -> None:
    seen = Lateness()
    seen.answered(1.0, "SequenceNoEnd", "sums", row(0.005), 7.0, 10.0)
    assert seen.dump()[0] == 0


def test_a_node_keeps_bounded_numbers_and_the_longest_silences() -> None:
    seen, usual = Lateness(), row(0.005)
    for number in range(1, 1000):
        at_s = number * 10.0 + (5.0 if number == 500 else 0.0)
        seen.answered(at_s, "", "bert", usual, 2.0, LATE_S)
    number, late, silences = seen.dump()
    assert (number, len(late), len(silences)) == (999, MAX_LATE, MAX_SILENCES)
    assert max(to_s - from_s for from_s, to_s in silences) == 15.0
