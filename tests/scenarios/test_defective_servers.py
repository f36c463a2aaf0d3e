"""Each scenario fails, with the right signal, on a real server that is wrong in the way the scenario exists to find."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.scenarios.real import open_session
from triton_users import server
from triton_users.scenarios import ALL
from triton_users.scenarios.base import ScenarioFailure, Session, Skip
from triton_users.scenarios.perf_analyzer import PerfAnalyzer, PerfAnalyzerPlan
from triton_users.scenarios.sequence_no_end import SequenceNoEnd
from triton_users.scenarios.sequence_scenario import SequencePlan

pytestmark = pytest.mark.triton

DEFECTS = Path(__file__).parents[1] / "defective_models"


@contextlib.contextmanager
def defective(defect: str, scratch: Path, **settings: object) -> Iterator[Session]:
    with (
        server.EmbeddedTriton(DEFECTS / defect, grace_s=0) as triton,
        open_session(triton, scratch, **settings) as session,
    ):
        yield session


def failure_of(session: Session, name: str, runs: int = 3) -> ScenarioFailure:
    """The failure of a scenario within so many runs."""
    scenario = ALL[name](session)
    with pytest.raises(ScenarioFailure) as caught:  # noqa: PT012 - whichever of the runs finds it
        for seed in range(runs):
            scenario.run(scenario.plan(random.Random(seed)))
    return caught.value


def assert_told_with_steps(session: Session, failure: ScenarioFailure, model: str = "custom_sequence_int32") -> None:
    """The wrong answer was reported as an event, and both name the sequence and show how it came to that."""
    told = session.signals.validations[-1]
    assert told["model"] == failure.evidence["model"] == model
    assert told["correlation_id"] == failure.evidence["correlation_id"]
    assert str(told["correlation_id"]) in str(failure)
    assert told["steps"][-1][2:] == (told["expected"], told["got"])
    assert told["got"] != told["expected"]


def test_state_that_leaks_between_ids(tmp_path: Path) -> None:
    with defective("leaks_between_ids", tmp_path) as session:
        assert_told_with_steps(session, failure_of(session, "SequenceValid", runs=20))
        assert session.signals.validations[0]["step"] == 0


def test_state_that_leaks_between_ids_of_an_fp32_model_beside_a_healthy_int32_one(tmp_path: Path) -> None:
    with defective("leaks_between_ids_fp32", tmp_path) as session:
        assert_told_with_steps(session, failure_of(session, "SequenceValid", runs=40), "custom_sequence_float32")


@pytest.mark.parametrize("name", ["SequenceValid", "SequenceValidNoEnd", "SequenceNoEnd"])
def test_a_sequence_that_is_forgotten_before_its_idle_limit(tmp_path: Path, name: str) -> None:
    with defective("forgets_early", tmp_path, pause_share=1.0, burst_share=0.0) as session:
        failure = failure_of(session, name)
        assert_told_with_steps(session, failure)
        assert "is the START error" in str(failure)


def test_state_that_is_kept_although_the_slot_was_reclaimed(tmp_path: Path) -> None:
    with defective("keeps_what_was_reclaimed", tmp_path, idle_limit_s=7, idle_margin_s=0.5) as session:
        scenario = SequenceNoEnd(session)
        scenario.run(SequencePlan("custom_sequence_int32", 100, ((5, 7),)))
        time.sleep(7.6)
        with pytest.raises(ScenarioFailure, match=r"left without END and reclaimed.*answer 0 is 17, not 5"):
            scenario.run(SequencePlan("custom_sequence_int32", 101, ((1, 2),)))


def test_answers_that_are_swapped_inside_a_batch_now_and_then(tmp_path: Path) -> None:
    with defective("swaps_in_batches", tmp_path, burst_share=1.0) as session:
        assert_told_with_steps(session, failure_of(session, "SequenceValid", runs=20))


@pytest.mark.parametrize("name", ["SequenceValidValid", "SequenceValidNoEnd"])
def test_a_start_that_is_ignored(tmp_path: Path, name: str) -> None:
    with defective("ignores_start", tmp_path) as session:
        failure = failure_of(session, name)
        assert_told_with_steps(session, failure)
        assert failure.requests > 1, "it is the second sequence that shows it"


def test_sums_that_are_off_by_one(tmp_path: Path) -> None:
    with defective("off_by_one", tmp_path) as session:
        failure = failure_of(session, "SequenceValid")
        assert_told_with_steps(session, failure)
        told = session.signals.validations[0]
        assert (told["step"], told["got"] - told["expected"]) == (2, 1)
        with pytest.raises(ScenarioFailure, match="Output doesn't match expected output"):
            PerfAnalyzer(session).run(PerfAnalyzerPlan("custom_sequence_int32 with data", (5, 7, 1, 2)))


def test_a_start_that_is_not_required(tmp_path: Path) -> None:
    with defective("start_not_required", tmp_path) as session:
        failure = failure_of(session, "SequenceNoStart")
        assert "sent without START" in str(failure)
        assert session.signals.validations[0]["expected"] == "the START error"


def test_a_slot_that_is_never_reclaimed(tmp_path: Path) -> None:
    with defective("never_reclaims", tmp_path, idle_limit_s=1, idle_margin_s=0.5) as session:
        scenario = SequenceNoEnd(session)
        scenario.run(SequencePlan("custom_sequence_int32", 100, ((1, 2),)))
        time.sleep(1.6)
        with pytest.raises(ScenarioFailure, match="its slot was not reclaimed") as caught:
            scenario.run(SequencePlan("custom_sequence_int32", 101, ((1, 2),)))
        assert caught.value.evidence["correlation_id"] == session.correlation_ids[100]
        assert caught.value.evidence["silent_s"] >= 1.5


def test_a_swapped_label(tmp_path: Path) -> None:
    with defective("swapped_label", tmp_path, batch_size=4) as session:
        failure = failure_of(session, "ResNet", runs=1)
        assert "is VULTURE, the answer was" in str(failure) or "is PIZZA, the answer was" in str(failure)


def test_scores_that_cannot_be_beside_right_labels(tmp_path: Path) -> None:
    with defective("false_scores", tmp_path, batch_size=4) as session:
        for seen in ("0.001000", "inf"):
            failure = failure_of(session, "ResNet", runs=1)
            assert "4 of 4 pictures got a score that cannot be" in str(failure)
            assert f"'{seen}:" in str(failure)


def test_one_flipped_bit_in_a_thousand_answers(tmp_path: Path) -> None:
    with defective("flips_a_bit", tmp_path) as session:
        failure = failure_of(session, "Timeout", runs=20)
        assert re.search(r": 1 of [\d,]+ differ, the first at index \d+: expected \S+ \(0x\w+\), got", str(failure))


def test_wrong_numbers_beyond_the_first_mebibyte(tmp_path: Path) -> None:
    with defective("wrong_when_large", tmp_path) as session:
        failure = failure_of(session, "Timeout", runs=1)
        assert "the first at index 262144: " in str(failure)


def test_an_answer_that_never_comes_from_a_server_that_is_idle(tmp_path: Path) -> None:
    with defective("loses_an_answer", tmp_path, sequence_timeout_ms=3_000, burst_share=0.0) as session:
        assert "no answer to request" in str(failure_of(session, "SequenceValid", runs=30))


def test_an_answer_that_never_comes_from_a_server_that_answers_others_meanwhile(tmp_path: Path) -> None:
    with (
        server.EmbeddedTriton(DEFECTS / "loses_an_answer", grace_s=0) as triton,
        open_session(triton, tmp_path, sequence_timeout_ms=3_000, burst_share=0.0) as session,
        open_session(triton, tmp_path, burst_share=0.0) as other,
    ):
        work = gevent.spawn(keep_sending, other)
        try:
            assert "no answer to request" in str(failure_of(session, "SequenceValid", runs=30))
        finally:
            work.kill()


def keep_sending(session: Session) -> None:
    """Sequences until it is ended, whatever becomes of them."""
    scenario = ALL["SequenceValid"](session)
    for seed in itertools.count(1_000):
        with contextlib.suppress(ScenarioFailure, Skip):
            scenario.run(scenario.plan(random.Random(seed)))


def test_a_server_that_dies_with_its_client(tmp_path: Path) -> None:
    with defective("dies_with_its_client", tmp_path, request_timeout_ms=5000) as session:
        failure = failure_of(session, "Crashing", runs=1)
        assert "in the middle of an inference" in str(failure)
