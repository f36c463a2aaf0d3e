"""A leak is a reason of the verdict, with the evidence in every form of the report."""

import json
from pathlib import Path

import jsonschema
import pytest

from tests.judge.test_trends import POOL, sampled
from tests.report.conftest import STARTED
from triton_users.judge.trends import TrendLimits
from triton_users.ledger import Collector, Recorder
from triton_users.ledger.timeline import Timeline
from triton_users.report import RunInfo, build_report, render_text
from triton_users.report.build import State
from triton_users.report.html import render_html
from triton_users.report.text import trend_lines
from triton_users.witness.seen import Seen


def report_of(mib_per_hour: float, state: State = "finished", limits: TrendLimits | None = None) -> dict:
    collector, timeline, recorder = Collector("run"), Timeline(), Recorder("w", "run")
    recorder.run_finished("S", "passed", 1, 1_000)
    recorder.row("S", "b").record(900, 20, 120, 80)
    timeline.add(collector.merge(recorder.snapshot(1.0, True, {"users": 1}, {}), 1.0))
    info = RunInfo(STARTED, 1, {}, weights={"S": 1}, trends=limits or TrendLimits(), pool=POOL)
    return build_report(info, collector, timeline, now_s=3600.0, state=state, seen=Seen(samples=sampled(mib_per_hour)))


def test_a_leak_fails_the_run_and_is_told_at_the_top_of_every_form() -> None:
    report = report_of(200.0)
    (reason,) = report["verdict"]["reasons"]
    assert reason.startswith("leak: the memory of the stub of b grows by ")
    assert report["verdict"]["exit_code"] == 1
    assert "leak: the memory of the stub of b" in " ".join(render_text(report).split())
    assert "leak: the memory of the stub of b" in render_html(report)


def test_a_healthy_hour_passes_and_says_that_no_leak_was_seen() -> None:
    report = report_of(0.0)
    assert report["verdict"]["passed"]
    assert "Over time\n- memory of the server: no leak seen: " in render_text(report)


def test_nothing_is_said_while_the_run_goes_on() -> None:
    assert report_of(200.0, state="running")["trends"] == {"memory": [], "drift": [], "drift_unsaid": ""}


def test_a_limit_of_nothing_fails_nothing() -> None:
    assert report_of(200.0, limits=TrendLimits(leak_mib_per_hour=0))["verdict"]["passed"]


@pytest.mark.parametrize("mib_per_hour", [0.0, 200.0])
def test_the_report_keeps_to_its_schema(mib_per_hour: float) -> None:
    schema = json.loads((Path(__file__).parents[2] / "triton_users" / "report" / "schema.json").read_text())
    jsonschema.validate(json.loads(json.dumps(report_of(mib_per_hour))), schema)


def test_answers_that_say_too_little_share_a_line() -> None:
    short = {"answer": "too short to say", "text": "whole"}
    memory = [{**short, "name": "the server"}, {**short, "name": "the stub of a"}, {**short, "name": "worker 1"}]
    drift = [{"scenario": name, "what": "p99 latency", "answer": "none seen"} for name in ("S", "T")]
    assert trend_lines({"memory": memory, "drift": drift}) == [
        "whole",
        "memory: too short to say of the stub of a, worker 1",
        "no drift seen of the p99 latency of S, T",
    ]
