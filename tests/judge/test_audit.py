"""Our counts beside the server's: the right sentence for each way in which they may differ."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.judge.audit import audit, in_short, sentences
from triton_users.ledger import Answers, Ledger, WorkerState
from triton_users.witness.counting import Restart
from triton_users.witness.seen import Seen
from triton_users.witness.statistics import ModelCounts


def ours(answered: int, unknown: int = 0, model: str = "m") -> Ledger:
    return Ledger(answers={model: Answers(answered, unknown)})


def seen(computed: int, **more: Any) -> Seen:
    return Seen(models={"m": ModelCounts(success=computed)}, **more)


def worker(*, final: bool = True, elsewhere: dict[str, tuple[int | None, str]] | None = None) -> WorkerState:
    state = WorkerState("local", "1", first_seen_s=0.0, last_seen_s=1.0, began_s=0.0)
    state.final, state.sent_elsewhere = final, elsewhere or {}
    return state


@given(st.integers(0, 1000), st.integers(0, 50), st.integers(-60, 60))
def test_they_agree_exactly_within_what_nobody_waited_for(answered: int, unknown: int, beyond: int) -> None:
    computed = max(0, answered + beyond)
    for each in audit(seen(computed), ours(answered, unknown)):
        expected = "fewer" if computed < answered else "more" if computed > answered + unknown else "agrees"
        assert each.outcome == expected


def test_answers_that_nobody_computed_are_told_with_their_number_and_where_they_may_come_from() -> None:
    [each] = audit(seen(990), ours(1000))

    assert each.outcome == "fewer"
    assert "1,000 requests were answered, but the server computed 990 only: 10 answers" in each.text
    assert "cache or proxy" in each.text


def test_another_clients_requests_are_told_with_their_number_and_direction() -> None:
    [each] = audit(seen(1500), ours(1000))

    assert each.outcome == "more"
    assert "500 more than the 1,000 sent from here: another client" in each.text


def test_a_model_that_another_one_calls_for_each_of_its_requests_is_named_with_it() -> None:
    both = Seen(models={"m": ModelCounts(success=200), "outer": ModelCounts(success=100)})
    found = {each.model: each for each in audit(both, ours(100, model="outer"))}

    assert found["outer"].outcome == "agrees"
    assert "outer called it 2 times for each of its requests" in found["m"].text


def test_an_ensembles_steps_are_counted_as_calls_of_it() -> None:
    steps = {"both": ("first", "m", "m")}
    models = {name: ModelCounts(success=n) for name, n in {"both": 10, "first": 10, "m": 25}.items()}
    total = Ledger(answers={"both": Answers(10), "m": Answers(5)})

    assert [each.outcome for each in audit(Seen(models=models, steps=steps), total)] == ["agrees"] * 3


def test_an_ensemble_whose_steps_were_not_computed_is_no_agreement() -> None:
    models = {"both": ModelCounts(success=10), "m": ModelCounts(success=9)}
    found = audit(Seen(models=models, steps={"both": ("m",)}), ours(10, model="both"))

    assert {each.model: each.outcome for each in found} == {"both": "agrees", "m": "fewer"}


def test_the_request_of_a_killed_client_may_have_been_computed_or_not() -> None:
    doomed = [worker(elsewhere={"m": (3, "clients that were killed")})]

    assert [each.outcome for n in (100, 103, 104) for each in audit(seen(n), ours(100), doomed)] == [
        "agrees",
        "agrees",
        "more",
    ]


def test_a_model_that_perf_analyzer_used_is_not_auditable_but_missing_answers_are_found_there_too() -> None:
    used = [worker(elsewhere={"m": (None, "perf_analyzer")}), worker(elsewhere={"m": (2, "clients that were killed")})]
    [more], [fewer] = audit(seen(5000), ours(100), used), audit(seen(90), ours(100), used)

    assert (more.outcome, fewer.outcome) == ("not auditable", "fewer")
    assert "perf_analyzer sent requests too" in more.text


def test_a_lost_workers_last_counts_are_no_other_client() -> None:
    [each] = audit(seen(150), ours(100), [worker(), worker(final=False)])

    assert each.outcome == "not auditable"
    assert "50 requests more than were counted, and worker local was lost" in each.text


@pytest.mark.parametrize("model", ["", "m"])
def test_what_was_started_again_is_not_auditable(model: str) -> None:
    [each] = audit(seen(50, restarts=[Restart(model, 1.0, 2.0)]), ours(100))

    assert each.outcome == "not auditable"
    assert "started again" in each.text


def test_a_model_beside_the_one_that_was_loaded_again_is_audited() -> None:
    [each] = audit(seen(50, restarts=[Restart("other", 1.0, 2.0)]), ours(100))

    assert each.outcome == "fewer"


def test_a_server_that_says_nothing_or_not_all_is_not_auditable() -> None:
    [each] = audit(seen(0, unauditable="it does not say what it counts"), ours(100))

    assert each.text == "m is not auditable: it does not say what it counts"


def test_many_models_are_few_sentences() -> None:
    models = {f"m{number}": ModelCounts(success=number) for number in range(1, 40)}
    told = sentences(audit(Seen(models=models), Ledger()), "more")

    assert len(told) == 6
    assert told[0].startswith("m39:")
    assert "34 models" in told[-1]


def test_in_short_it_is_one_sentence() -> None:
    both = Seen(models={"a": ModelCounts(success=5), "b": ModelCounts(success=7)})
    total = Ledger(answers={"a": Answers(5), "b": Answers(7)})

    assert in_short(audit(both, total)) == "the server's counts agree with ours for 2 models, 12 requests"
    assert in_short([]) == ""


def test_after_a_lost_connection_counts_that_agree_do_and_those_that_lack_some_prove_nothing() -> None:
    outcomes = [each.outcome for n in (100, 90) for each in audit(seen(n, interrupted=True), ours(100))]

    assert outcomes == ["agrees", "not auditable"]
