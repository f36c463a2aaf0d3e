"""The five sequence scenarios against a client that answers by itself and a clock that is moved by hand."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from gevent import GreenletExit

from tests.scenarios.fakes import Accumulators, FakeClient, FakeClock, Request, make_session, status_error
from triton_users.ledger import normalise
from triton_users.scenarios import sequence_no_end
from triton_users.scenarios.base import ScenarioFailure, Session, Skip
from triton_users.scenarios.sequence_no_end import SequenceNoEnd
from triton_users.scenarios.sequence_no_start import NoStartPlan, SequenceNoStart
from triton_users.scenarios.sequence_scenario import SequencePlan
from triton_users.scenarios.sequence_stream import Pause
from triton_users.scenarios.sequence_valid import BurstPlan, SequenceValid
from triton_users.scenarios.sequence_valid_no_end import SequenceValidNoEnd
from triton_users.scenarios.sequence_valid_valid import SequenceValidValid
from triton_users.scenarios.without_start import DECOUPLED_ERROR

MODEL = "custom_sequence_int32"
ID = 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def server(clock: FakeClock) -> Accumulators:
    return Accumulators(clock, idle_limit_s=7)


@pytest.fixture
def session(clock: FakeClock, server: Accumulators) -> Session:
    return make_session(FakeClient(server), clock=clock, sleep=clock.sleep, idle_limit_s=7, idle_margin_s=3)


def values_sent(session: Session) -> list[tuple[bool, Any, bool]]:
    return [(request.start, request.value, request.end) for request in session.client.requests]


def ids_sent(session: Session) -> set[int]:
    return {request.sequence_id for request in session.client.requests}


def test_valid_sends_one_sequence_under_the_users_id(session: Session) -> None:
    assert SequenceValid(session).run(SequencePlan(MODEL, ID, ((5, 7),))) == 2
    assert values_sent(session) == [(True, 5, False), (False, 7, True)]
    assert ids_sent(session) == {session.correlation_ids[ID]}


def test_valid_valid_sends_both_sequences(session: Session) -> None:
    assert SequenceValidValid(session).run(SequencePlan(MODEL, ID, ((5, 7), (1, 2, 3)))) == 5
    assert values_sent(session) == [
        (True, 5, False),
        (False, 7, True),
        (True, 1, False),
        (False, 2, False),
        (False, 3, True),
    ]
    assert len(ids_sent(session)) == 1


def test_a_second_sequence_that_sees_the_firsts_state_is_found(session: Session) -> None:
    sums: dict[int, Any] = {}

    def leaking(request: Request) -> Any:
        sums[request.sequence_id] = sums.get(request.sequence_id, 0) + request.value
        return np.full_like(request.array, sums[request.sequence_id])

    session.client.answer = leaking
    with pytest.raises(ScenarioFailure, match="answer 0 is 13, not 1") as caught:
        SequenceValidValid(session).run(SequencePlan(MODEL, ID, ((5, 7), (1,))))
    assert caught.value.requests == 3


def test_valid_no_end_sends_both_and_only_the_first_ends(session: Session) -> None:
    assert SequenceValidNoEnd(session).run(SequencePlan(MODEL, ID, ((5, 7), (1, 2)))) == 4
    assert values_sent(session) == [(True, 5, False), (False, 7, True), (True, 1, False), (False, 2, False)]


def test_no_start_is_refused_by_a_healthy_server(session: Session) -> None:
    assert SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9)) == 1
    assert values_sent(session) == [(False, 9, False)]
    assert session.client.expected == [True], "the error is the wanted outcome in Locust's statistics"


def test_no_start_is_skipped_while_its_sequence_may_be_open(session: Session, clock: FakeClock) -> None:
    SequenceValidNoEnd(session).run(SequencePlan(MODEL, ID, ((5,), (1,))))
    clock.sleep(9.9)
    with pytest.raises(Skip, match=f"the sequence of its id may still be open on {MODEL}") as skip:
        SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9))
    assert normalise(str(skip.value)) == str(skip.value), "reads as it is where skips are counted"
    clock.sleep(0.1)
    assert SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9)) == 1


def test_no_start_runs_while_another_id_or_model_is_open(session: Session) -> None:
    SequenceValidNoEnd(session).run(SequencePlan(MODEL, ID, ((5,), (1,))))
    assert SequenceNoStart(session).run(NoStartPlan(MODEL, ID + 1, 9)) == 1
    assert SequenceNoStart(session).run(NoStartPlan("custom_nobatch_sequence_int32", ID, 9)) == 1


def test_an_answer_without_start_is_a_failure(session: Session) -> None:
    session.client.answer = lambda request: request.array
    with pytest.raises(ScenarioFailure, match="9 was answered to 9, sent without START") as caught:
        SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9))
    assert caught.value.requests == 1
    (told,) = session.signals.validations
    assert (told["expected"], told["got"], told["step"]) == ("the START error", 9, 0)
    with pytest.raises(Skip):  # the server has opened it now
        SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9))


def test_another_error_than_the_start_error_is_a_failure(session: Session) -> None:
    session.client.answer = lambda request: status_error("UNAVAILABLE", "gone")
    with pytest.raises(ScenarioFailure, match=r"another error than the START error: .*gone"):
        SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9))
    assert session.client.expected == [False]


def test_the_start_error_of_another_sequence_is_another_error(session: Session) -> None:
    def confused(request: Request) -> Any:
        request.sequence_id += 1
        return Accumulators(lambda: 0.0)(request)

    session.client.answer = confused
    with pytest.raises(ScenarioFailure, match="another error than the START error"):
        SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9))


def test_a_deadline_of_the_request_is_told(session: Session) -> None:
    session.client.answer = lambda request: status_error("DEADLINE_EXCEEDED")
    with pytest.raises(ScenarioFailure):
        SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9))
    assert session.signals.deadlines[0]["expected"] is False


def no_end_plan(offset: int) -> SequencePlan:
    return SequencePlan(MODEL, offset, ((1, 2),))


def test_no_end_checks_nothing_before_the_idle_limit_and_margin(session: Session, clock: FakeClock) -> None:
    scenario = SequenceNoEnd(session)
    assert scenario.run(no_end_plan(100)) == 2
    clock.sleep(9.9)
    assert scenario.run(no_end_plan(101)) == 2


def test_no_end_checks_later_that_the_slot_came_back(session: Session, clock: FakeClock) -> None:
    scenario = SequenceNoEnd(session)
    scenario.run(no_end_plan(100))
    clock.sleep(10)
    assert scenario.run(no_end_plan(101)) == 5, "one check, two requests with the reclaimed id and two of its own"
    check = session.client.requests[2]
    assert (check.sequence_id, check.start, check.end) == (session.correlation_ids[100], False, True)
    scenario.close()
    assert (session.signals.confirmed, session.signals.unchecked) == (1, 1)


def test_a_slot_that_is_still_held_is_a_failure(session: Session, clock: FakeClock, server: Accumulators) -> None:
    server.idle_limit_s = 3600
    scenario = SequenceNoEnd(session)
    scenario.run(no_end_plan(100))
    clock.sleep(12)
    sequence_id = session.correlation_ids[100]
    with pytest.raises(
        ScenarioFailure, match=rf"sequence {sequence_id} is still held by {MODEL} 12\.0 s after"
    ) as caught:
        scenario.run(no_end_plan(101))
    assert caught.value.requests == 1
    assert caught.value.evidence["correlation_id"] == sequence_id
    assert caught.value.evidence["silent_s"] == 12
    assert scenario.run(no_end_plan(102)) == 2, "the same sequence fails once"
    scenario.close()
    assert (session.signals.confirmed, session.signals.unchecked) == (0, 1), "a check that failed is neither"


def test_a_check_that_gets_another_error_is_a_failure(session: Session, clock: FakeClock) -> None:
    scenario = SequenceNoEnd(session)
    scenario.run(no_end_plan(100))
    clock.sleep(10)
    session.client.answer = lambda request: status_error("INTERNAL", "stub process is not healthy")
    with pytest.raises(ScenarioFailure, match="stub process is not healthy"):
        scenario.run(no_end_plan(101))


def test_an_id_drawn_again_starts_its_waiting_time_afresh(session: Session, clock: FakeClock) -> None:
    scenario = SequenceNoEnd(session)
    scenario.run(no_end_plan(100))
    clock.sleep(6)
    scenario.run(no_end_plan(100))
    clock.sleep(6)
    assert scenario.run(no_end_plan(101)) == 2, "the first check was replaced, the second is not due"
    assert (session.signals.confirmed, session.signals.unchecked) == (0, 1)


def test_a_user_stopped_in_the_middle_of_a_check_leaves_it_unchecked(session: Session, clock: FakeClock) -> None:
    scenario = SequenceNoEnd(session)
    scenario.run(no_end_plan(100))
    clock.sleep(10)

    def stop(request: Any) -> Any:
        raise GreenletExit

    session.client.answer = stop
    with pytest.raises(GreenletExit):
        scenario.run(no_end_plan(101))
    scenario.close()
    assert (session.signals.confirmed, session.signals.unchecked) == (0, 1)


def test_a_sequence_that_failed_leaves_no_check(session: Session, clock: FakeClock) -> None:
    scenario = SequenceNoEnd(session)
    healthy = session.client.answer
    session.client.answer = lambda request: np.full_like(request.array, -1)
    with pytest.raises(ScenarioFailure):
        scenario.run(no_end_plan(100))
    session.client.answer = healthy
    clock.sleep(10)
    assert scenario.run(no_end_plan(101)) == 2


def test_a_run_makes_a_bounded_number_of_checks(session: Session, clock: FakeClock) -> None:
    scenario = SequenceNoEnd(session)
    for offset in range(100, 110):
        scenario.run(no_end_plan(offset))
    clock.sleep(10)
    assert scenario.run(no_end_plan(200)) == sequence_no_end.CHECKS_A_RUN * 3 + 2


def test_deferred_checks_are_bounded_and_the_dropped_ones_counted(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequence_no_end, "MAX_DEFERRED", 3)
    scenario = SequenceNoEnd(session)
    for offset in range(100, 105):
        scenario.run(no_end_plan(offset))
    assert session.signals.unchecked == 2
    scenario.close()
    assert (session.signals.confirmed, session.signals.unchecked) == (0, 5)


def test_no_other_scenario_draws_the_ids_of_no_end(session: Session) -> None:
    draw = random.Random(1)
    no_end = {SequenceNoEnd(session).plan(draw).id_offset for _ in range(500)}
    plans = [
        scenario(session).plan(draw)
        for scenario in (SequenceValid, SequenceValidValid, SequenceValidNoEnd, SequenceNoStart)
        for _ in range(100)
    ]
    bursts = [plan for plan in plans if isinstance(plan, BurstPlan)]
    assert bursts
    others = {offset for plan in bursts for offset in plan.id_offsets}
    others |= {plan.id_offset for plan in plans if plan not in bursts}
    assert not no_end & others


def test_an_id_that_starts_anew_with_what_was_kept_of_a_reclaimed_sequence_is_a_failure(
    session: Session, clock: FakeClock, server: Accumulators
) -> None:
    def keeping(request: Request) -> Any:
        kept = server.sums.get((request.model, request.sequence_id))
        answer = server(request)
        return answer + kept[0] if request.start and kept else answer

    session.client.answer = keeping
    scenario = SequenceNoEnd(session)
    scenario.run(SequencePlan(MODEL, 100, ((5, 7, 1),)))
    clock.sleep(10)
    with pytest.raises(ScenarioFailure, match=r"left without END and reclaimed.*answer 0 is 18, not 5") as caught:
        scenario.run(no_end_plan(101))
    assert caught.value.requests == 2, "the check and the first of the id's new sequence"
    assert caught.value.evidence["correlation_id"] == session.correlation_ids[100]


@pytest.mark.parametrize(("took_s", "proves"), [(1.4, True), (1.6, False)])
def test_a_slot_still_held_by_a_server_too_busy_to_reclaim_it_is_left_unchecked(
    session: Session, clock: FakeClock, server: Accumulators, took_s: float, proves: bool
) -> None:
    """The margin is 3 s: a server that finds no CPU for that long takes more than half of it to answer, too."""

    def busy(request: Request) -> Any:
        clock.sleep(0 if request.start or server.idle_limit_s < 100 else took_s)
        return server(request)

    session.client.answer = busy
    scenario = SequenceNoEnd(session)
    scenario.run(SequencePlan(MODEL, 100, ((5,),)))
    server.idle_limit_s = 3600
    clock.sleep(10)
    if proves:
        with pytest.raises(ScenarioFailure, match="its slot was not reclaimed"):
            scenario.run(SequencePlan(MODEL, 101, ((5,),)))
        assert session.signals.unchecked == 0
    else:
        assert scenario.run(SequencePlan(MODEL, 101, ((5,),))) == 2
        assert (session.signals.confirmed, session.signals.unchecked, session.signals.validations) == (0, 1, [])


@pytest.mark.parametrize("left_open", [True, False])
def test_no_start_proves_nothing_of_a_server_too_busy_to_reclaim_what_was_left_open(
    session: Session, clock: FakeClock, left_open: bool
) -> None:
    if left_open:
        SequenceValidNoEnd(session).run(SequencePlan(MODEL, ID, ((5,), (1,))))
        clock.sleep(10)

    def late(request: Request) -> Any:
        clock.sleep(2)
        return request.array

    session.client.answer = late
    with pytest.raises(Skip if left_open else ScenarioFailure) as caught:
        SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9))
    assert caught.value.requests == 1


def test_a_model_that_is_served_over_streams_only_is_asked_over_one_from_then_on(session: Session) -> None:
    session.client.unary_error = status_error("UNIMPLEMENTED", f"ModelInfer RPC {DECOUPLED_ERROR}")
    for offset in (ID, ID + 1):
        assert SequenceNoStart(session).run(NoStartPlan(MODEL, offset, 9)) == 1
    assert session.client.streams_started == 2
    assert session.client.streams_open == 0
    assert session.client.unary_calls == 1
    assert session.client.expected == [True, True, True]


def test_a_model_that_answers_without_start_over_a_stream_is_a_failure(session: Session) -> None:
    session.client.unary_error = status_error("UNIMPLEMENTED", f"ModelInfer RPC {DECOUPLED_ERROR}")
    session.client.answer = lambda request: request.array
    with pytest.raises(ScenarioFailure, match="9 was answered to 9, sent without START"):
        SequenceNoStart(session).run(NoStartPlan(MODEL, ID, 9))


def test_a_skip_in_the_second_sequence_counts_the_requests_of_both(session: Session, clock: FakeClock) -> None:
    session.sleep = lambda seconds: clock.sleep(seconds + 30)
    plan = SequencePlan(MODEL, ID, ((5, 7), (1, 2, 3)), (None, Pause(1, 0.5)))
    with pytest.raises(Skip) as skip:
        SequenceValidValid(session).run(plan)
    assert skip.value.requests == 4, "two, then the first and the one that came too late"


def test_part_of_the_sequences_of_each_scenario_pause_within_the_idle_limit(session: Session) -> None:
    for scenario in (SequenceValid, SequenceValidValid, SequenceValidNoEnd, SequenceNoEnd):
        plans = [scenario(session).plan(random.Random(seed)) for seed in range(400)]
        pauses = [
            (pause, len(values))
            for plan in plans
            if isinstance(plan, SequencePlan)
            for pause, values in zip(plan.pauses, plan.sequences, strict=True)
        ]
        pausing = [(pause, length) for pause, length in pauses if pause is not None]
        assert len(pausing) / len(pauses) == pytest.approx(0.1, abs=0.05)
        assert all(1 <= pause.before < length and 0.1 <= pause.share <= 0.8 for pause, length in pausing)


def test_bursts_are_for_models_that_batch(session: Session) -> None:
    scenario = SequenceValid(session)
    plans = [scenario.plan(random.Random(seed)) for seed in range(400)]
    bursts = [plan for plan in plans if isinstance(plan, BurstPlan)]
    assert {plan.model for plan in bursts} == {MODEL}
    batching = [plan for plan in plans if plan.model == MODEL]
    assert len(bursts) / len(batching) == pytest.approx(0.5, abs=0.1)
    assert all(len(set(plan.id_offsets)) == len(plan.sequences) == 8 for plan in bursts)


def test_every_ready_model_is_drawn_unless_the_references_rule_is_asked_for() -> None:
    models = frozenset({"custom_sequence_int32", "custom_sequence_float32"})
    drawn = {
        rule: {
            SequenceValid(make_session(models=models, reference_datatypes=rule)).plan(random.Random(seed)).model
            for seed in range(40)
        }
        for rule in (False, True)
    }
    assert drawn == {False: set(models), True: {"custom_sequence_int32"}}
