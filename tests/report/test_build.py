"""The report as plain values: it follows its schema, and its numbers are the ledger's."""

import cProfile
import json
import pstats
from dataclasses import replace
from importlib import resources

import jsonschema
import pytest

from tests.capacity.answers import FOUND
from tests.report.conftest import STARTED
from triton_users.judge.thresholds import parse_thresholds
from triton_users.ledger import Answers, Collector, Recorder
from triton_users.ledger.timeline import Timeline
from triton_users.report import SCHEMA, RunInfo, build_report, render_text
from triton_users.report.junit import render_junit
from triton_users.witness.seen import Seen
from triton_users.witness.statistics import ModelCounts

VALIDATOR = jsonschema.Draft202012Validator(
    json.loads(resources.files("triton_users.report").joinpath("schema.json").read_text("utf-8"))
)


def by_name(report, name):
    (scenario,) = (scenario for scenario in report["scenarios"] if scenario["name"] == name)
    return scenario


def test_the_schema_itself_is_one() -> None:
    VALIDATOR.check_schema(VALIDATOR.schema)
    assert VALIDATOR.schema["$defs"]["report"]["properties"]["schema"]["const"] == SCHEMA


@pytest.mark.parametrize("state", ["finished", "interrupted", "running"])
def test_a_report_in_any_state_follows_the_schema_also_after_json(report_of, state: str) -> None:
    VALIDATOR.validate(json.loads(json.dumps(report_of(state=state), allow_nan=False)))


def test_the_report_of_a_run_that_has_counted_nothing_follows_the_schema(empty) -> None:
    VALIDATOR.validate(json.loads(json.dumps(empty, allow_nan=False)))


def test_a_run_that_has_just_begun_has_not_failed_and_at_its_end_it_has(empty, empty_of) -> None:
    assert empty["verdict"]["reasons"] == []
    assert empty["verdict"]["warnings"] == ["nothing ran yet: no scenario came to an end"]
    assert empty["scenarios"][0]["why"] == "no run of it has ended yet"
    ended = empty_of("finished")["verdict"]
    assert (ended["passed"], ended["reasons"]) == (
        False,
        ["nothing ran: no scenario came to an end", "threshold runs>=1 does not hold: it is 0"],
    )


def test_every_scenario_is_there_in_the_order_of_the_descriptions(report) -> None:
    assert [scenario["name"] for scenario in report["scenarios"]] == [
        "SequenceValid",
        "Timeout",
        "ResNet",
        "PerfAnalyzer",
    ]


def test_counts_and_totals_are_those_that_were_made(report) -> None:
    sequence, resnet = by_name(report, "SequenceValid"), by_name(report, "ResNet")
    assert (sequence["runs"], sequence["requests"], sequence["failed"]) == (70, 280, 0)
    assert (resnet["runs"], resnet["failed"], resnet["skipped"]) == (8, 8, 70)
    assert resnet["skips"] == {"sequence # is open": 70}
    totals = report["totals"]
    assert (totals["runs"], totals["failed"], totals["skipped"]) == (148, 8, 70)
    assert (totals["requests"], totals["rpcs"], totals["rpcs_failed"]) == (358, 358, 8)
    assert totals["expected_deadlines"] == 70
    assert (sequence["confirmed"], sequence["unchecked"]) == (totals["confirmed"], totals["unchecked"]) == (4, 2)
    assert totals["bytes_sent"] == sum(scenario["bytes_sent"] for scenario in report["scenarios"])


def test_latencies_are_in_milliseconds_with_microseconds_in_them(report) -> None:
    latency = by_name(report, "SequenceValid")["latency_ms"]
    assert latency["p50"] == pytest.approx(0.917, abs=0.01)
    assert latency["max"] == 0.939
    assert by_name(report, "PerfAnalyzer")["latency_ms"]["p50"] is None


def test_measures_stand_in_rows_scenarios_and_totals_with_their_units(report) -> None:
    sequence = by_name(report, "SequenceValid")
    assert list(sequence["measures"]) == ["first_response_ms", "inter_response_ms", "responses"]
    assert sequence["measures"]["first_response_ms"]["p99"] == 0.4
    assert sequence["measures"]["responses"]["mean"] == 3
    assert sequence["rows"][0]["measures"] == sequence["measures"] == report["totals"]["measures"]
    assert by_name(report, "Timeout")["measures"] == {}
    assert (sequence["responses_per_s"], by_name(report, "Timeout")["responses_per_s"]) == (280 * 3 / 120, None)
    assert report["totals"]["responses_per_s"] == 7.0
    assert (sequence["goodput"], by_name(report, "Timeout")["goodput"]) == (208 / 280, None)
    assert (sequence["rows"][0]["good"], sequence["rows"][0]["judged"]) == (208, 280)
    assert sequence["rows"][0]["by_order"] == 280
    assert (
        "the server answered 280 requests of streams without their id: they are matched by order" in sequence["notes"]
    )


def test_each_scenario_says_what_became_of_it(report, report_of) -> None:
    assert {s["name"]: s["status"] for s in report["scenarios"]} == {
        "SequenceValid": "passed",
        "Timeout": "passed",
        "ResNet": "failed",
        "PerfAnalyzer": "left out",
    }
    assert by_name(report_of(allow_failure=["ResNet"]), "ResNet")["status"] == "failures allowed"
    rare = report_of(weights={"SequenceValid": 10, "Timeout": 10, "ResNet": 10, "Crashing": 1})
    assert by_name(rare, "Crashing")["status"] == "not run"
    assert not any("Crashing" in reason for reason in rare["verdict"]["reasons"])
    named = report_of(asked_by_name=["Crashing"])
    assert by_name(named, "Crashing")["status"] == "not run"
    assert any("Crashing" in reason for reason in named["verdict"]["reasons"])


def test_a_scenario_that_passed_without_one_answer_compared_is_not_checked_in_every_form(report) -> None:
    notes = {scenario["name"]: scenario["notes"] for scenario in report["scenarios"]}
    said = "not checked: it passed without one answer compared with what is right"
    assert said in notes["Timeout"]
    assert said not in notes["SequenceValid"]
    assert "passed, not checked" in render_text(report)
    assert "answers compared 0" in render_junit(report)


def test_a_scenario_whose_own_threshold_fails_has_not_passed_even_if_its_failures_are_allowed(report_of) -> None:
    made = report_of(thresholds=parse_thresholds("Timeout:p50_ms<1,ResNet:failure_ratio<0.5"), allow_failure=["ResNet"])
    assert [by_name(made, name)["status"] for name in ("Timeout", "ResNet")] == ["failed", "failed"]
    assert [by_name(made, name)["at_fault"] for name in ("SequenceValid", "Timeout", "ResNet")] == [False, True, True]
    assert by_name(made, "Timeout")["why"].startswith("threshold Timeout:p50_ms<1 does not hold: it is ")


def test_the_verdict_shows_each_threshold_with_its_value(report) -> None:
    shown = {check["text"]: (check["value"], check["passed"]) for check in report["verdict"]["thresholds"]}
    assert shown["SequenceValid:p99_ms<50"] == (pytest.approx(0.94, abs=0.01), True)
    assert shown["failure_ratio<0.01"] == (pytest.approx(8 / 148), False)
    assert shown["PerfAnalyzer:runs>=1"] == (0.0, False)
    assert report["verdict"]["exit_code"] == 1


def test_a_lost_worker_is_named_with_the_time_it_was_last_heard_of(report, report_of) -> None:
    assert {worker["worker"]: worker["state"] for worker in report["workers"]} == {"fine": "finished", "lost": "lost"}
    assert any("worker lost was lost: its last counts came 0:01:28" in line for line in report["verdict"]["warnings"])


def test_a_worker_that_reports_nothing_for_a_while_is_silent_as_long_as_the_run_goes_on() -> None:
    collector = Collector("run")
    collector.merge(Recorder("killed", "run").snapshot(30.0), 30.0)
    collector.merge(Recorder("done", "run").snapshot(30.0, final=True), 30.0)
    info = RunInfo(started=STARTED, seed=1, settings={})

    def at(now_s: float, state: str) -> tuple[list[str], list[str]]:
        collector.merge(alive.snapshot(now_s), now_s)
        made = build_report(info, collector, Timeline(), now_s=now_s, state=state)
        VALIDATOR.validate(json.loads(json.dumps(made)))
        reported = [line for line in made["verdict"]["warnings"] if line.startswith("worker")]
        return [worker["state"] for worker in made["workers"]], reported

    alive = Recorder("alive", "run")
    assert at(40.0, "running") == (["reporting", "finished", "reporting"], [])
    reported = "worker killed is silent: its last counts came 0:00:30 into the run; it may be dead or cut off"
    assert at(40.5, "running") == (["silent", "finished", "reporting"], [reported])
    collector.merge(alive.snapshot(41.0, final=True), 41.0)
    states, (reported,) = at(41.0, "finished")
    assert states == ["lost", "finished", "finished"]
    assert reported.startswith("worker killed was lost: ")


def test_a_client_that_was_too_slow_is_named_with_the_time(report, report_of) -> None:
    reported = [line for line in report["verdict"]["warnings"] if "client-limited" in line]
    assert len(reported) == 1
    assert "worker fine" in reported[0]
    assert report["selfcheck"]["findings"][0]["what"] == "event_loop_lag_ms"
    strict = report_of(fail_on_bottleneck=True)
    assert reported[0] in strict["verdict"]["reasons"]


def test_a_sentence_of_ours_with_one_of_the_servers_in_it_comes_whole() -> None:
    reason = (
        "sequence 5764607523034234880 of 16 requests on custom_nobatch_sequence_float32: answer 12 is the START error, "
        "not 8388607.0, 0.70 s after the request before: inference request for sequence 5764607523034234880 to model "
        "'custom_nobatch_sequence_float32' must specify the START flag on the first request of the sequence"
    )
    recorder, collector = Recorder("a", "r"), Collector("r")
    recorder.run_finished("SequenceValid", "failed", 1, 10)
    recorder.failure("SequenceValid", 1.0, reason, {})
    collector.merge(recorder.snapshot(2.0), 2.0)
    info = RunInfo(started=STARTED, seed=1, settings={}, weights={"SequenceValid": 1})
    (told,) = build_report(info, collector, Timeline(), now_s=3.0, state="finished")["verdict"]["reasons"]
    assert told.endswith(reason)


def test_rates_go_by_the_time_in_which_users_made_load() -> None:
    recorder, collector = Recorder("a", "r"), Collector("r")
    for _ in range(100):
        recorder.row("SequenceValid", "m").record(10, 0, 1, 1)
    recorder.run_finished("SequenceValid", "passed", 100, 10)
    collector.merge(recorder.snapshot(20.0), 20.0)
    info = RunInfo(started=STARTED, seed=1, settings={}, weights={"SequenceValid": 1})
    report = build_report(info, collector, Timeline(), now_s=20.0, load_s=10.0, state="finished")
    assert report["duration_s"] == 20
    assert report["totals"]["requests_per_s"] == report["scenarios"][0]["requests_per_s"] == 10


def test_the_verdict_says_when_a_scenario_first_failed_and_why_within_bounds() -> None:
    collector, recorder = Collector("run"), Recorder("a", "run")
    for at_s, reason in ((13.2, "Connection\nrefused " + "x" * 5_000), (14.0, "another")):
        recorder.run_finished("ResNet", "failed", 1, 10)
        recorder.failure("ResNet", at_s, reason, {})
    collector.merge(recorder.snapshot(15.0), 15.0)
    info = RunInfo(started=STARTED, seed=1, settings={}, weights={"ResNet": 1})
    (reason,) = build_report(info, collector, Timeline(), now_s=20.0, state="finished")["verdict"]["reasons"]
    assert reason.startswith("ResNet failed 2 of 2 runs; the first at 0:00:13: Connection refused xxx")
    assert 300 < len(reason) < 700


def test_the_words_in_the_middle_of_an_error_of_a_usual_length_are_kept() -> None:
    collector, recorder = Collector("run"), Recorder("a", "run")
    recorder.run_finished("SequenceValid", "failed", 1, 10)
    told = (
        "custom_sequence_int32, correlation id 140737488355328: inference request for sequence 140737488355328 to "
        "model 'custom_sequence_int32' must specify the START flag on the first request of the sequence; "
    )
    recorder.failure("SequenceValid", 1.0, told + "the answers before it were right: " + "7, " * 60, {})
    collector.merge(recorder.snapshot(15.0), 15.0)
    info = RunInfo(started=STARTED, seed=1, settings={}, weights={"SequenceValid": 1})
    (reason,) = build_report(info, collector, Timeline(), now_s=20.0, state="finished")["verdict"]["reasons"]
    assert "must specify the START flag on the first request of the sequence" in reason


def test_failures_carry_what_reproduces_them(report) -> None:
    evidence = by_name(report, "ResNet")["evidence"]
    assert (evidence["seen"], evidence["dropped"], len(evidence["failures"])) == (8, 0, 8)
    assert evidence["failures"][0]["record"]["plan"] == {"model": "resnet"}
    assert [failure["at_s"] for failure in evidence["failures"]] == sorted([34.0, 37.0, 40.0, 43.0] * 2)


def test_times_are_in_utc(report) -> None:
    assert (report["started"], report["as_of"]) == ("2026-11-24T04:10:33Z", "2026-11-24T04:12:33Z")


def test_nothing_names_the_machine_the_client_ran_on(report) -> None:
    import getpass
    import platform

    assert set(report["client"]) == {"versions", "os", "cpus"}
    assert platform.node() not in json.dumps(report["client"])
    assert getpass.getuser() not in json.dumps(report["client"])
    assert set(report["client"]["versions"]) >= {"python", "locust", "tritonclient", "gevent", "triton-users"}


def test_a_report_that_is_shown_every_second_is_cheap_after_hours() -> None:
    """By calls, not by the clock: the windows of four workers took 100,000 when each was copied deeply."""
    collector = Collector("run")
    windows = [[216.0 * number, 216.0 * number + 216, 1.0, 2.0, 3.0, 4.0, 99.0, 5.0] for number in range(200)]
    for name in "abcd":
        collector.merge(Recorder(name, "run").snapshot(43_000.0, selfcheck={"windows": windows}), 43_000.0)
    info = RunInfo(started=STARTED, seed=1, settings={})
    build_report(info, collector, Timeline(), now_s=43_200.0, state="running")  # what is remembered, is from here on
    with cProfile.Profile() as profile:
        report = build_report(info, collector, Timeline(), now_s=43_200.0, state="running")
    assert sum(len(worker["windows"]) for worker in report["workers"]) == 800
    assert pstats.Stats(profile).total_calls < 20_000


def test_models_that_were_never_sent_a_request_are_named() -> None:
    collector, recorder = Collector("run"), Recorder("w", "run")
    recorder.row("ResNet", "images").record(1, 1, 1, 1)
    recorder.row("", "waits").unanswered.record(1)
    collector.merge(recorder.snapshot(1.0, sent_elsewhere={"slow": (1, "clients that were killed")}), 1.0)
    models = ["forgotten", "images", "slow", "waits"]
    info = RunInfo(started=STARTED, seed=1, settings={}, server={"models": models})
    report = build_report(info, collector, Timeline(), now_s=1.0, state="finished")
    assert report["server"]["unsent"] == ["forgotten"]
    assert "never sent a request: forgotten" in render_text(report)


def test_a_search_for_the_capacity_is_in_the_report_as_the_schema_has_it(report_of) -> None:
    made = report_of(capacity=FOUND)
    VALIDATOR.validate(json.loads(json.dumps(made, allow_nan=False)))
    capacity = made["capacity"]
    assert (capacity["over"], capacity["held"], capacity["failed"], capacity["limited_by"]) == (
        "rate",
        297,
        308,
        "server",
    )
    assert [level["load"] for level in capacity["levels"]] == [100, 200, 400, 283, 336, 297, 308, 308, 297, 308]


def test_a_search_that_found_less_than_wanted_fails_the_run_at_its_end_and_not_before(report_of) -> None:
    wanted = {"capacity": replace(FOUND, at_least=500.0), "allow_failure": ["ResNet"], "thresholds": ()}
    assert report_of(**wanted)["verdict"]["reasons"][0].startswith("the capacity is not at least 500 arrivals/s")
    assert report_of(state="running", **wanted)["verdict"]["reasons"] == []


@pytest.mark.parametrize("whole", [True, False], ids=["its servers are known", "a balancer may stand before it"])
def test_answers_that_the_server_did_not_compute_fail_the_run_where_its_servers_are_known(whole: bool) -> None:
    collector, recorder = Collector("run"), Recorder("w", "run")
    recorder.run_finished("bert", "passed", 10, 1_000, answers_checked=10)
    recorder.ledger.answers["bert"] = Answers(answered=10)
    collector.merge(recorder.snapshot(1.0, final=True), 1.0)
    seen = Seen(models={"bert": ModelCounts(success=4)}, whole=whole)
    info = RunInfo(started=STARTED, seed=1, settings={}, weights={"bert": 1})
    verdict = build_report(info, collector, Timeline(), now_s=1.0, state="finished", seen=seen)["verdict"]
    told = verdict["reasons"] if whole else verdict["warnings"]
    assert any("6 answers are not its own" in each for each in told)
    assert verdict["passed"] is not whole
    assert any("--metrics-url of each" in each for each in told) is not whole
