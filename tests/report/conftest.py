"""A run of two workers with passes, failures, skips, a lost worker and hostile texts, made without a clock."""

from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

from triton_users.judge.thresholds import parse_thresholds
from triton_users.ledger import Collector, Histogram, Recorder
from triton_users.ledger.timeline import Timeline
from triton_users.report import RunInfo, build_report

NAMES = ("SequenceValid", "Timeout", "ResNet", "PerfAnalyzer")
STARTED = datetime(2026, 11, 24, 4, 10, 33, tzinfo=timezone.utc)
HOSTILE = "a <b>\x1b[31m</script> & \"quoted\" \x00 'text' \u2028 \ud800 \N{BLACK STAR}"
"""What a server may answer: markup, escapes, control characters, half a surrogate."""


def lag_of(*values_us: int) -> Histogram:
    lag = Histogram()
    for value_us in values_us:
        lag.record(value_us)
    return lag


def make_report(**changes: Any) -> dict[str, Any]:
    """The report of that run; `changes` replace fields of its RunInfo, or `state`."""
    state = changes.pop("state", "finished")
    collector, timeline = Collector("run"), Timeline()
    fine, lost = Recorder("fine", "run"), Recorder("lost", "run")
    for recorder in (fine, lost):
        recorder.deferred_checks_settled("SequenceValid", confirmed=2, unchecked=1)
    for number in range(40):
        for recorder in (fine, lost):
            if recorder is lost and number >= 30:
                continue
            for _ in range(4):
                row = recorder.row("SequenceValid", "custom_sequence_int32")
                row.record(900 + number, 20, 120, 80)
                row.measure({"first_response": [400], "inter_response": [250, 250], "responses": [3]})
                row.by_order += 1
                row.judged += 1
                row.good += number % 4 > 0
            recorder.run_finished("SequenceValid", "passed", 4, 4_000, answers_checked=4)
            recorder.row("Timeout", "identity").record(100_000, 30, 5_000_000, 0)
            recorder.deadline_exceeded("Timeout", expected=True)
            recorder.run_finished("Timeout", "passed", 1, 100_000)
            if number in (11, 12, 13, 14):
                recorder.row("ResNet", "resnet_v1_50").record_error(HOSTILE, 9, 9)
                recorder.run_finished("ResNet", "failed", 1, 50_000, HOSTILE)
                recorder.failure(
                    "ResNet", number * 3.0, HOSTILE, {"seed": 7, "got": HOSTILE, "plan": {"model": "resnet"}}
                )
            recorder.run_finished("ResNet", "skipped", 0, 0, f"sequence {number} is open")
            selfcheck = {
                "windows": [[0.0, 3.0 * number + 3.0, 80.0 if recorder is fine else 1.0, 20.0, 1.0, 0.5, 99.0, 3.0]],
                "event_loop_lag": lag_of(*(1_000, 2_000, 80_000) if recorder is fine else (1_000,)).dump(),
            }
            snapshot = recorder.snapshot(
                3.0 * number, number == 39, {"users": 4, "open_sequences": number % 3}, selfcheck
            )
            change = collector.merge(snapshot, 3.0 * number + 1)
            assert change is not None
            timeline.add(change)
        timeline.gauge(3.0 * number + 1, collector.gauges(3.0 * number + 1))
    info = RunInfo(
        **{
            "started": STARTED,
            "seed": 7,
            "settings": {"seed": 7, "trials": ("custom", HOSTILE), "weights": {"ResNet": 3}},
            "weights": {"SequenceValid": 10, "Timeout": 10, "ResNet": 10},
            "descriptions": {name: f"What {name} does." for name in NAMES},
            "left_out": {"PerfAnalyzer": f"perf_analyzer cannot run here {HOSTILE}"},
            "thresholds": parse_thresholds("SequenceValid:p99_ms<50,failure_ratio<0.01,PerfAnalyzer:runs>=1"),
            "server": {"name": "triton", "version": "2.51.0", "address": "127.0.0.1:8001", "models": ["resnet_v1_50"]},
            "reproduce": "locust --headless --seed 7",
            **changes,
        }
    )
    return build_report(info, collector, timeline, now_s=120.0, state=state)


@pytest.fixture(scope="session")
def report() -> dict[str, Any]:
    return make_report()


@pytest.fixture(scope="session")
def report_of() -> Callable[..., dict[str, Any]]:
    return make_report


def make_empty(state: Any) -> dict[str, Any]:
    """The report of a run in which nothing happened."""
    info = RunInfo(started=STARTED, seed=1, settings={}, weights={"ResNet": 1}, thresholds=parse_thresholds("runs>=1"))
    return build_report(info, Collector("run"), Timeline(), now_s=0.0, state=state)


@pytest.fixture(scope="session")
def empty() -> dict[str, Any]:
    """The report of a run that has just begun."""
    return make_empty("running")


@pytest.fixture(scope="session")
def empty_of() -> Callable[[str], dict[str, Any]]:
    return make_empty
