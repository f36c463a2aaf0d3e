"""Each scenario passes on the real, healthy server."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import gevent
import pytest

from tests.scenarios.real import open_session
from triton_users import server
from triton_users.scenarios import ALL
from triton_users.scenarios.base import ScenarioFailure, Session, Skip
from triton_users.scenarios.perf_analyzer import PerfAnalyzer, PerfAnalyzerPlan
from triton_users.scenarios.sequence_models import sequence_models
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
    scenario.models = {model.name: model for model in sequence_models(TRIALS, [name])}
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


def test_more_open_sequences_than_slots_come_back_and_the_checks_hold(session: Session) -> None:
    """Three on two slots: the third waits for an idle limit, which only a pipelined sequence survives."""
    scenario = SequenceNoEnd(session)
    answered = []
    for offset in range(100, 103):
        scenario.run(SequencePlan("custom_nobatch_sequence_int32", offset, ((1, 2, 3, 4),)))
        answered.append(time.monotonic())
    assert answered[2] - answered[1] > 5, "the third was to wait for a slot"
    gevent.sleep(answered[1] + session.settings.idle_limit_s + session.settings.idle_margin_s - time.monotonic())
    assert scenario.run(SequencePlan("custom_sequence_int32", 104, ((1,),))) == 1 + 2 * (1 + 2)
    scenario.close()
    assert (session.signals.confirmed, session.signals.unchecked) == (2, 2)


def test_a_server_that_is_asked_too_early_still_holds_the_sequence(session: Session) -> None:
    """The check can fail: here it asks while the server rightly holds the sequence."""
    scenario = SequenceNoEnd(session)
    scenario.run(SequencePlan("custom_sequence_int32", 105, ((1,),)))
    scenario.session.clock = lambda: time.monotonic() + 60
    with pytest.raises(ScenarioFailure, match="is still held by custom_sequence_int32"):
        scenario.run(SequencePlan("custom_sequence_int32", 106, ((1,),)))


def test_a_decoupled_sequence_model_passes_every_sequence_scenario(tmp_path: Path) -> None:
    models = Path(__file__).parents[1] / "healthy_models/decoupled"
    settings = {"idle_limit_s": 1.0, "idle_margin_s": 1.0, "pause_share": 0.5, "burst_share": 0.5}
    with server.EmbeddedTriton(models) as triton, open_session(triton, tmp_path, **settings) as session:
        for name in ("SequenceValid", "SequenceValidValid", "SequenceValidNoEnd", "SequenceNoEnd", "SequenceNoStart"):
            scenario = ALL[name](session)
            for seed in range(6):
                with suppress(Skip):
                    scenario.run(scenario.plan(random.Random(seed)))
            if name == "SequenceNoEnd":
                time.sleep(2)
                scenario.run(scenario.plan(random.Random(7)))
    assert session.signals.validations == []
    assert session.signals.confirmed > 0


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
