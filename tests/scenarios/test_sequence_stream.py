"""One sequence over one stream, against a client that answers by itself."""

from __future__ import annotations

from typing import Any

import gevent
import numpy as np
import pytest
from gevent import GreenletExit

from tests.scenarios.fakes import (
    Accumulators,
    Answer,
    FakeClient,
    FakeClock,
    Request,
    Result,
    Silent,
    make_session,
    start_error,
    status_error,
)
from triton_users.ledger import normalise
from triton_users.scenarios import sequence_stream
from triton_users.scenarios.base import ScenarioFailure, Session, Skip
from triton_users.scenarios.open_sequences import open_sequences
from triton_users.scenarios.sequence_models import sequence_models
from triton_users.scenarios.sequence_stream import Pause, SequenceToSend, run_sequence, run_sequences

(MODEL,) = sequence_models(["custom"], ["custom_sequence_int32"])
ID = 4711


def session_answering(answer: Answer, **settings: Any) -> Session:
    return make_session(FakeClient(answer), **settings)


def healthy_session(**settings: Any) -> Session:
    clock = FakeClock()
    return make_session(FakeClient(Accumulators(clock)), clock=clock, sleep=clock.sleep, **settings)


def is_open(session: Session) -> bool:
    return open_sequences(session).is_open(MODEL.name, ID, session.clock())


def instead(step: int, answer: Any) -> Answer:
    """Sums, but for one step."""
    healthy = Accumulators(lambda: 0.0)

    def answer_to(request: Request) -> Any:
        summed = healthy(request)
        return (answer(request) if callable(answer) else answer) if request.request_id == str(step) else summed

    return answer_to


def test_a_healthy_server_passes_and_each_request_counts() -> None:
    session = healthy_session()
    assert run_sequence(session, MODEL, ID, (5, 7, 1)) == 3
    flags = [(request.start, request.end, request.value) for request in session.client.requests]
    assert flags == [(True, False, 5), (False, False, 7), (False, True, 1)]
    assert session.client.requests[0].array.shape == (1, 1)
    assert session.client.streams_open == 0


def test_a_sequence_of_one_carries_both_flags() -> None:
    session = healthy_session()
    assert run_sequence(session, MODEL, ID, (5,)) == 1
    (request,) = session.client.requests
    assert request.start
    assert request.end


def test_after_an_answered_end_the_sequence_is_closed() -> None:
    session = healthy_session()
    run_sequence(session, MODEL, ID, (1, 2))
    assert not is_open(session)


def test_without_end_it_stays_open_until_idle_limit_and_margin_have_passed() -> None:
    session = healthy_session(idle_limit_s=7, idle_margin_s=3)
    run_sequence(session, MODEL, ID, (1, 2), end=False)
    assert not session.client.requests[-1].end
    session.sleep(9.9)
    assert is_open(session)
    session.sleep(0.1)
    assert not is_open(session)


def test_a_wrong_value_is_told_with_the_steps_that_led_there() -> None:
    session = session_answering(instead(1, np.full((1, 1), 99, np.int32)))
    with pytest.raises(
        ScenarioFailure, match=r"sequence 4711 of 3 requests on custom_sequence_int32: answer 1 is 99, n"
    ):
        run_sequence(session, MODEL, ID, (5, 7, 1))
    (told,) = session.signals.validations
    assert told == {
        "model": MODEL.name,
        "correlation_id": ID,
        "step": 1,
        "expected": 12,
        "got": 99,
        "steps": [("START", 5, 5, 5), ("", 7, 12, 99)],
    }


def test_a_failure_counts_what_was_sent_and_leaves_the_sequence_open() -> None:
    session = session_answering(instead(1, np.full((1, 1), 99, np.int32)))
    with pytest.raises(ScenarioFailure) as caught:
        run_sequence(session, MODEL, ID, (5, 7, 1))
    assert caught.value.requests == 2
    assert caught.value.evidence["correlation_id"] == ID
    assert is_open(session)
    assert session.client.streams_open == 0


class AnswersLater:
    """What is under way at a server, and how the user's stream was ended: by cancelling it or not."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._answers: list[Any] = []
        self.session = session_answering(self._later)
        self.client: FakeClient = self.session.client
        self.ended: list[bool] = []
        self._stop_stream = self.client.stop_stream
        self.client.stop_stream = self._stop  # type: ignore[method-assign]

    def answer_all_before_the_stream_ends(self) -> None:
        for step, answer in enumerate(self._answers):
            assert self.ended == [], "requests are still under way"
            self.answer(step, answer)
            gevent.idle()

    def answer_first(self) -> None:
        self.answer(0, self._answers[0])

    def answer(self, step: int, answer: Any) -> None:
        self.client.callback(result=Result(answer, str(step)), error=None)

    def _later(self, request: Request) -> Any:
        self._answers.append(self._answer(request))
        raise Silent

    def _stop(self, cancel_requests: bool = False) -> None:
        self.ended.append(cancel_requests)
        self._stop_stream(cancel_requests)


def test_after_a_wrong_answer_what_is_under_way_is_answered_before_the_stream_ends() -> None:
    server = AnswersLater(instead(0, np.full((1, 1), 99, np.int32)))
    job = gevent.spawn(run_sequence, server.session, MODEL, ID, (5, 7, 1))
    gevent.idle()
    server.answer_all_before_the_stream_ends()
    with pytest.raises(ScenarioFailure, match="answer 0 is 99"):
        job.get(timeout=10)
    assert server.ended == [False], "nothing was cancelled"
    assert len(server.session.signals.validations) == 1, "later answers are not judged"


def test_after_a_wrong_answer_a_silent_server_holds_the_user_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence_stream, "DRAIN_S", 0.01)
    server = AnswersLater(instead(0, np.full((1, 1), 99, np.int32)))
    job = gevent.spawn(run_sequence, server.session, MODEL, ID, (5, 7, 1))
    gevent.idle()
    server.answer_first()
    with pytest.raises(ScenarioFailure, match="answer 0 is 99"):
        job.get(timeout=10)
    assert server.client.streams_open == 0


def test_when_the_user_is_stopped_what_is_under_way_is_answered_before_the_stream_ends() -> None:
    server = AnswersLater(Accumulators(lambda: 0.0))
    job = gevent.spawn(run_sequence, server.session, MODEL, ID, (5, 7, 1))
    gevent.idle()
    job.kill(block=False)
    gevent.idle()
    server.answer_all_before_the_stream_ends()
    job.join(timeout=10)
    assert isinstance(job.value, GreenletExit)
    assert server.client.streams_open == 0


def test_when_the_user_is_stopped_a_silent_server_holds_it_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence_stream, "DRAIN_S", 0.01)
    server = AnswersLater(Accumulators(lambda: 0.0))
    job = gevent.spawn(run_sequence, server.session, MODEL, ID, (5, 7, 1))
    gevent.idle()
    job.kill(timeout=10)
    assert isinstance(job.value, GreenletExit)
    assert server.ended == [True]
    assert server.client.streams_open == 0


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (start_error, r"the START error, not 12, 0\.00 s after the request before: .*must specify the START flag"),
        (np.full((1, 1), 12, np.int64), "a tensor of type int64"),
        (np.full((2, 1), 12, np.int32), r"a tensor of type int32 and shape \(2, 1\)"),
        (Result(None, "1"), "no tensor OUTPUT"),
        (Result(np.full((1, 1), 12, np.int32), "7"), "an answer to request '7'"),
    ],
)
def test_an_answer_that_is_no_right_number_is_a_wrong_answer(answer: Any, what: str) -> None:
    session = session_answering(instead(1, answer))
    with pytest.raises(ScenarioFailure, match=f"answer 1 is {what}"):
        run_sequence(session, MODEL, ID, (5, 7, 1))
    assert session.signals.validations[0]["step"] == 1


def test_a_stream_that_ends_early_is_a_failure_but_no_wrong_answer() -> None:
    session = session_answering(instead(1, status_error("UNAVAILABLE", "the server has gone")))
    with pytest.raises(ScenarioFailure, match=r"no answer to request 1: .*the server has gone"):
        run_sequence(session, MODEL, ID, (5, 7, 1))
    assert session.signals.validations == []
    assert session.signals.deadlines == []


def test_a_deadline_of_the_stream_is_told_as_unexpected() -> None:
    session = session_answering(instead(1, status_error("DEADLINE_EXCEEDED")), sequence_timeout_ms=25_000)
    with pytest.raises(ScenarioFailure, match="no answer to request 1"):
        run_sequence(session, MODEL, ID, (5, 7, 1))
    (told,) = session.signals.deadlines
    assert (told["model"], told["expected"], told["limit_s"]) == (MODEL.name, False, 25.0)


def test_a_server_that_never_answers_does_not_hold_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence_stream, "GRACE_S", 0.01)

    def silent(request: Request) -> Any:
        raise Silent

    session = session_answering(silent, sequence_timeout_ms=20)
    with pytest.raises(ScenarioFailure, match=r"no answer to request 0 after 0\.0 s"):
        run_sequence(session, MODEL, ID, (5, 7, 1))
    assert session.client.streams_open == 0
    assert is_open(session)


def test_more_answers_than_requests_are_a_failure() -> None:
    session = healthy_session()
    session.client.stop_error = start_error(Request("m", np.zeros(1), 4711))
    with pytest.raises(ScenarioFailure, match="more answers than requests"):
        run_sequence(session, MODEL, ID, (5, 7))


def test_a_stream_that_ends_badly_after_the_last_answer_is_a_failure() -> None:
    session = healthy_session()
    session.client.stop_error = status_error("INTERNAL", "broken pipe")
    with pytest.raises(ScenarioFailure, match="broken pipe"):
        run_sequence(session, MODEL, ID, (5, 7))


def test_a_client_that_refuses_to_send_is_a_failure() -> None:
    session = healthy_session()

    def refuse() -> None:
        raise status_error("UNAVAILABLE", "no connection")

    session.client.on_stream_request = refuse
    with pytest.raises(ScenarioFailure, match=r"the stream broke: .*no connection") as caught:
        run_sequence(session, MODEL, ID, (5, 7))
    assert caught.value.requests == 0
    assert not is_open(session), "nothing was sent"


def test_a_user_killed_in_the_middle_leaves_no_stream_and_an_open_sequence() -> None:
    session = healthy_session()

    def kill() -> None:
        if session.client.requests:
            raise GreenletExit

    session.client.on_stream_request = kill
    with pytest.raises(GreenletExit):
        run_sequence(session, MODEL, ID, (5, 7))
    assert session.client.streams_open == 0
    assert is_open(session)


def test_a_long_sequence_lets_other_users_run() -> None:
    turns: list[float] = []
    session = make_session(FakeClient(Accumulators(lambda: 0.0)), sleep=turns.append)
    run_sequence(session, MODEL, ID, tuple(range(1000)))
    assert len(turns) == 3
    assert all(0 < turn < 1e-3 for turn in turns), "a sleep of 0 lets other greenlets run, but not sockets and timers"


def test_a_failure_shows_a_bounded_number_of_steps() -> None:
    session = session_answering(instead(900, np.full((1, 1), -1, np.int32)))
    with pytest.raises(ScenarioFailure) as caught:
        run_sequence(session, MODEL, ID, tuple(range(1000)))
    steps = caught.value.evidence["steps"]
    assert len(steps) == sequence_stream.STEPS_SHOWN
    assert steps[-1] == ("", 900, sum(range(901)), -1)


def pausing_session(clock: FakeClock, idle_limit_s: float = 7.0) -> Session:
    """On a server with this idle limit, where the user expects 7 s."""
    return make_session(FakeClient(Accumulators(clock, idle_limit_s)), clock=clock, sleep=clock.sleep)


def test_a_sequence_that_pauses_waits_for_its_answers_first_and_goes_on_with_its_sum() -> None:
    clock = FakeClock()
    session = pausing_session(clock)
    at: list[float] = []
    session.client.on_stream_request = lambda: at.append(clock.now - 1000)
    assert run_sequence(session, MODEL, ID, (5, 7, 1), pause=Pause(before=2, share=0.8)) == 3
    assert at == pytest.approx([0, 0, 5.6])
    assert [request.end for request in session.client.requests] == [False, False, True]


def test_a_server_that_forgets_a_sequence_before_its_idle_limit_is_a_failure() -> None:
    session = pausing_session(FakeClock(), idle_limit_s=0.5)
    with pytest.raises(
        ScenarioFailure, match=r"answer 2 is the START error, not 13, 0\.70 s after .* must specify the START flag"
    ) as caught:
        run_sequence(session, MODEL, ID, (5, 7, 1), pause=Pause(before=2, share=0.1))
    assert caught.value.requests == 3
    assert session.signals.validations[0]["step"] == 2


def test_a_pause_that_a_busy_machine_made_too_long_proves_nothing() -> None:
    clock = FakeClock()
    session = pausing_session(clock)
    session.sleep = lambda seconds: clock.sleep(seconds + 3)
    with pytest.raises(Skip, match="the idle limit was over") as skip:
        run_sequence(session, MODEL, ID, (5, 7, 1), pause=Pause(before=2, share=0.8))
    assert skip.value.requests == 3
    assert normalise(str(skip.value)) == str(skip.value), "reads as it is where skips are counted"
    assert session.signals.validations == []


def test_a_wrong_sum_after_too_long_a_pause_is_a_failure_all_the_same() -> None:
    clock = FakeClock()
    session = make_session(FakeClient(instead(2, np.full((1, 1), 1, np.int32))), clock=clock)
    session.sleep = lambda seconds: clock.sleep(seconds + 30)
    with pytest.raises(ScenarioFailure, match="answer 2 is 1, not 13"):
        run_sequence(session, MODEL, ID, (5, 7, 1), pause=Pause(before=2, share=0.8))


def test_a_pause_is_the_shorter_the_longer_the_answers_before_it_took() -> None:
    clock = FakeClock()
    session = pausing_session(clock)
    healthy = session.client.answer

    def slow(request: Request) -> Any:
        clock.sleep(0 if request.end else 3)
        return healthy(request)

    session.client.answer = slow
    assert run_sequence(session, MODEL, ID, (5, 7), pause=Pause(before=1, share=0.8)) == 2
    assert clock.now - 1000 == pytest.approx(0.95 * 7), "3 of them were over before"


def burst(session: Session) -> int:
    return run_sequences(
        session, MODEL, [SequenceToSend(1, (5, 7)), SequenceToSend(2, (1, 2, 3)), SequenceToSend(3, (4,))]
    )


def test_sequences_of_a_burst_take_turns_and_each_has_its_own_sums() -> None:
    session = healthy_session()
    assert burst(session) == 6
    sent = [(request.sequence_id, request.value, request.start, request.end) for request in session.client.requests]
    assert sent == [
        (1, 5, True, False),
        (2, 1, True, False),
        (3, 4, True, True),
        (1, 7, False, True),
        (2, 2, False, False),
        (2, 3, False, True),
    ]
    assert session.client.streams_started == 1
    assert not any(open_sequences(session).is_open(MODEL.name, each, session.clock()) for each in (1, 2, 3))


def test_answers_that_are_swapped_inside_a_batch_are_a_failure_of_the_sequence_that_got_the_wrong_one() -> None:
    swapped = {"3": np.full((1, 1), 3, np.int32), "4": np.full((1, 1), 12, np.int32)}
    healthy = Accumulators(lambda: 0.0)

    def swap(request: Request) -> Any:
        summed = healthy(request)
        return swapped.get(request.request_id, summed)

    session = session_answering(swap)
    with pytest.raises(ScenarioFailure, match=r"sequence 1 of 2 requests .*: answer 1 is 3, not 12"):
        burst(session)
    assert session.signals.validations[0]["steps"] == [("START", 5, 5, 5), ("END", 7, 12, 3)]


def test_an_error_in_a_burst_carries_no_id_and_belongs_to_the_oldest_request() -> None:
    session = session_answering(instead(4, start_error))
    with pytest.raises(ScenarioFailure, match=r"sequence 2 of 3 requests .* answer 1 is the START error, not 3"):
        burst(session)


def test_an_error_after_the_last_answer_is_not_called_a_missing_answer() -> None:
    session = healthy_session()
    session.client.stop_error = status_error("INTERNAL", "broken pipe")
    with pytest.raises(ScenarioFailure, match=r"all answers came, then the stream ended with .*broken pipe"):
        run_sequence(session, MODEL, ID, (5, 7))


class AnswersTooLate:
    """A server that answers the first so many requests before half of the time is over, and no more in time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, executed: tuple[int, int], answers: int = 0) -> None:
        monkeypatch.setattr(sequence_stream, "GRACE_S", 0.01)
        healthy = Accumulators(lambda: 0.0)

        def answer(request: Request) -> Any:
            if int(request.request_id) >= answers:
                raise Silent
            return healthy(request)

        self.session = session_answering(answer, sequence_timeout_ms=60)
        counts = iter(executed)
        self.session.client.statistics = lambda: (next(counts), 0.0)

    def run(self) -> None:
        run_sequence(self.session, MODEL, ID, (5, 7, 1))


def test_a_sequence_that_waits_for_a_slot_while_others_are_executed_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = AnswersTooLate(monkeypatch, executed=(10, 20))
    with pytest.raises(Skip, match="still waited for a slot") as skip:
        server.run()
    assert skip.value.requests == 3
    assert [told["expected"] for told in server.session.signals.deadlines] == [False], "it is counted all the same"


def test_a_server_that_executes_nothing_of_the_model_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScenarioFailure, match="no answer to request 0"):
        AnswersTooLate(monkeypatch, executed=(10, 10)).run()


def test_a_sequence_that_was_begun_and_then_left_lying_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScenarioFailure, match="no answer to request 1"):
        AnswersTooLate(monkeypatch, executed=(10, 20), answers=1).run()


def test_a_sequence_that_a_later_one_overtook_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    server = AnswersTooLate(monkeypatch, executed=(10, 20))
    other = make_session(FakeClient(Accumulators(lambda: 0.0)))
    other.shared = server.session.shared
    job = gevent.spawn(server.run)
    gevent.sleep(0.045)  # more than half of its time
    run_sequence(other, MODEL, 12, (1, 2))
    with pytest.raises(ScenarioFailure, match="no answer to request 0"):
        job.get(timeout=10)


def test_a_sequence_whose_slot_was_its_ids_from_before_overtakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    server = AnswersTooLate(monkeypatch, executed=(10, 20))
    other = make_session(FakeClient(Accumulators(lambda: 0.0)))
    other.shared = server.session.shared
    run_sequence(other, MODEL, 12, (1, 2), end=False)
    job = gevent.spawn(server.run)
    gevent.sleep(0.045)
    run_sequence(other, MODEL, 12, (1, 2))
    with pytest.raises(Skip):
        job.get(timeout=10)
