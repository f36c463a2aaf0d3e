"""Each scenario passes on the real, healthy server."""

from __future__ import annotations

import random
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
from triton_users.scenarios.sequence_models import all_sequence_models
from triton_users.scenarios.sequence_no_end import SequenceNoEnd
from triton_users.scenarios.sequence_no_start import NoStartPlan, SequenceNoStart
from triton_users.scenarios.sequence_scenario import SequencePlan
from triton_users.scenarios.sequence_valid import SequenceValid
from triton_users.scenarios.sequence_valid_no_end import SequenceValidNoEnd
from triton_users.settings import TRIALS

pytestmark = pytest.mark.triton


@pytest.fixture
def session(triton: server.EmbeddedTriton, tmp_path: Path) -> Iterator[Session]:
    with open_session(triton, tmp_path, batch_size=2) as opened:
        yield opened


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("SequenceNoStart", "PerfAnalyzer")])
def test_it_passes(session: Session, name: str) -> None:
    assert ALL[name].unavailable(session.target, session.settings) == ""
    scenario = ALL[name](session)
    for seed in range(3):
        assert scenario.run(scenario.plan(random.Random(seed))) > 0
    scenario.close()
    assert session.signals.validations == []
    assert all(told["expected"] for told in session.signals.deadlines)


@pytest.mark.parametrize("name", ["custom_sequence_float32", "custom_nobatch_sequence_float32"])
def test_fp32_sums_are_exact(session: Session, name: str) -> None:
    scenario = SequenceValid(session)
    scenario.models = {model.name: model for model in all_sequence_models(TRIALS, [name])}
    draw = random.Random(1)
    values = tuple(draw.randrange(1024 * 1024) for _ in range(300))
    assert scenario.run(SequencePlan(name, 1, (values,))) == 300


def test_no_start_is_refused_but_for_an_id_that_is_open(session: Session) -> None:
    SequenceValidNoEnd(session).run(SequencePlan("custom_sequence_int32", 5, ((1,), (2, 3))))
    no_start = SequenceNoStart(session)
    assert no_start.run(NoStartPlan("custom_nobatch_sequence_int32", 5, 9)) == 1
    assert no_start.run(NoStartPlan("custom_sequence_int32", 6, 9)) == 1
    with pytest.raises(Skip):
        no_start.run(NoStartPlan("custom_sequence_int32", 5, 9))


def test_more_open_sequences_than_slots_come_back_and_the_proofs_hold(session: Session) -> None:
    """Three on two slots: the third waits for an idle limit, which only a pipelined sequence survives."""
    scenario = SequenceNoEnd(session)
    started = time.monotonic()
    for offset in range(100, 103):
        scenario.run(SequencePlan("custom_nobatch_sequence_int32", offset, ((1, 2, 3, 4),)))
    assert time.monotonic() - started > 5, "the third was to wait for a slot"
    gevent.sleep(started + session.settings.idle_limit_s + session.settings.idle_margin_s + 0.5 - time.monotonic())
    assert scenario.run(SequencePlan("custom_sequence_int32", 104, ((1,),))) == 1 + 2
    scenario.close()
    assert (session.signals.confirmed, session.signals.unchecked) == (2, 2)


def test_a_server_that_is_asked_too_early_still_holds_the_sequence(session: Session) -> None:
    """The proof can fail: here it asks while the server rightly holds the sequence."""
    scenario = SequenceNoEnd(session)
    scenario.run(SequencePlan("custom_sequence_int32", 105, ((1,),)))
    scenario.session.clock = lambda: time.monotonic() + 60
    with pytest.raises(ScenarioFailure, match="is still held by custom_sequence_int32"):
        scenario.run(SequencePlan("custom_sequence_int32", 106, ((1,),)))


@pytest.mark.parametrize(
    "option",
    [
        "custom_sequence_int32",
        "custom_nobatch_zero_1_float32",
        "custom_nobatch_sequence_int32 with data",
        "custom_sequence_float32 with data",
        "custom_nobatch_zero_1_float32 with data",
        "resnet_v1_50",
    ],
)
def test_perf_analyzer_passes(session: Session, option: str) -> None:
    perf_analyzer = PerfAnalyzer(session)
    assert perf_analyzer.run(PerfAnalyzerPlan(option, (5, 7, 1024 * 1024 - 1))) > 0
    assert perf_analyzer.concurrency[option] in (1, 2)
