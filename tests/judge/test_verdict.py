"""What fails a run."""

import pytest

from tests.judge.ledgers import NAMES, ledger, own_requests
from triton_users.judge.thresholds import apply, parse_thresholds
from triton_users.judge.verdict import Said, judge
from triton_users.ledger import Ledger


def test_while_a_run_goes_on_what_has_not_run_yet_is_told_and_fails_nothing() -> None:
    assert judge(Ledger(), weights={"ResNet": 1}, running=True).warnings == (
        "nothing ran yet: no scenario came to an end",
    )
    early = judge(ledger(ResNet=(1, 0)), weights={"ResNet": 9, "Timeout": 1}, asked_by_name=["Timeout"], running=True)
    assert (early.passed, early.warnings) == (True, ("did not run yet: Timeout",))


def test_while_a_run_goes_on_failures_fail_it_at_once() -> None:
    assert not judge(ledger(ResNet=(1, 1)), weights={"ResNet": 1}, running=True).passed


def test_a_threshold_of_a_scenario_is_that_scenarios_fault_and_one_of_all_is_nobodys() -> None:
    counted = ledger(SequenceValid=(9, 1), Timeout=(5, 0), ResNet=(1, 0))
    checks = apply(parse_thresholds("SequenceValid:runs>=11,Timeout:p99_ms<0.5,runs>=99"), counted, 5.0)
    verdict = judge(counted, weights=dict.fromkeys(NAMES, 1), checks=checks)
    own = (
        "SequenceValid failed 1 of 10 runs",
        "threshold SequenceValid:runs>=11 does not hold: it is 10",
        "threshold Timeout:p99_ms<0.5 does not hold: it is 1",
    )
    assert verdict.scenarios == {"SequenceValid": "; ".join(own[:2]), "Timeout": own[2]}
    failed, too_few, slow = own
    assert verdict.reasons == (failed, slow, too_few, "threshold runs>=99 does not hold: it is 16")


def test_a_model_s_threshold_is_of_all_requests_to_it_and_no_scenario_s_fault() -> None:
    counted = own_requests(1, 0)
    for _ in range(99):
        counted.row("ResNet", "bert").record(9000, 1, 10, 10)
    checks = apply(parse_thresholds("bert:p99_ms<5"), counted, duration_s=5.0)
    verdict = judge(counted, weights={}, checks=checks)
    assert verdict.reasons[0].startswith("threshold bert:p99_ms<5 does not hold: it is 9")
    assert "bert" not in verdict.scenarios


def test_a_failed_request_outside_of_any_scenario_fails_the_run() -> None:
    verdict = judge(own_requests(0, 48), weights={}, first_failures={"": "the first at 0:00:01: bert: no"})
    assert verdict.exit_code == 1
    assert verdict.reasons == (
        "requests to bert: 48 of 48 failed: [StatusCode.UNAVAILABLE] try #; the first at 0:00:01: bert: no",
    )


def test_scenarios_that_passed_do_not_hide_own_requests_that_failed() -> None:
    counted = own_requests(0, 70)
    counted.add(ledger(ResNet=(9, 0)))
    verdict = judge(counted, weights={"ResNet": 1})
    assert verdict.scenarios == {"": "requests to bert: 70 of 70 failed: [StatusCode.UNAVAILABLE] try #"}


def test_an_exception_of_the_users_code_fails_the_run() -> None:
    counted = own_requests(50, 0)
    counted.exceptions["AssertionError: wrong answer"] = 50
    assert judge(counted, weights={}).reasons == ("users' code raised AssertionError: wrong answer (50 times)",)


def test_the_exception_that_a_failed_request_raised_is_not_told_again() -> None:
    counted = own_requests(0, 3)
    counted.exceptions["InferenceServerException: [StatusCode.UNAVAILABLE] try #"] = 3
    assert len(judge(counted, weights={}).reasons) == 1


def test_many_kinds_of_failures_outside_of_scenarios_are_told_in_a_bounded_number_of_sentences() -> None:
    counted = Ledger()
    for number in range(40):
        counted.add(own_requests(0, number + 1, f"m{number}"))
    reasons = judge(counted, weights={}).reasons
    assert len(reasons) == 6
    assert reasons[0].startswith("requests to m39: 40 of 40 failed")
    assert reasons[-1] == "35 more kinds of failures outside of any scenario"


def test_a_failure_that_nothing_excuses_fails_the_run_of_an_allowed_scenario() -> None:
    counted = ledger(PerfAnalyzer=(9, 3))
    counted.scenario("PerfAnalyzer").unexcused = 1
    verdict = judge(counted, weights={"PerfAnalyzer": 1}, allow_failure=["PerfAnalyzer"])
    assert verdict.scenarios == {
        "PerfAnalyzer": "PerfAnalyzer failed 3 of 12 runs, 1 of them in a way that is never allowed"
    }


@pytest.mark.parametrize(("passed", "failed", "fails"), [(0, 3, True), (0, 2, False), (1, 99, False)])
def test_a_tool_that_never_once_worked_is_not_excused_by_load(passed: int, failed: int, fails: bool) -> None:
    counted = ledger(PerfAnalyzer=(passed, failed), ResNet=(1, 0))
    weights = {"PerfAnalyzer": 1, "ResNet": 1}
    assert judge(counted, weights=weights, allow_failure=["PerfAnalyzer"]).passed is not fails


def test_a_scenario_of_ours_that_the_user_allows_to_fail_may_always_fail() -> None:
    assert judge(ledger(ResNet=(0, 9)), weights={"ResNet": 1}, allow_failure=["ResNet"]).passed


def test_a_run_in_which_every_scenario_passed_passes() -> None:
    verdict = judge(ledger(SequenceValid=(9, 0), Timeout=(1, 0)), weights={"SequenceValid": 9, "Timeout": 1})
    assert (verdict.passed, verdict.exit_code, verdict.reasons, verdict.warnings) == (True, 0, (), ())


def test_one_failed_run_fails_the_whole() -> None:
    verdict = judge(ledger(SequenceValid=(999, 1)), weights={"SequenceValid": 1})
    assert verdict.exit_code == 1
    assert verdict.scenarios == {"SequenceValid": "SequenceValid failed 1 of 1000 runs"}


def test_allowed_failures_are_told_and_fail_nothing() -> None:
    verdict = judge(ledger(ResNet=(1, 2)), weights={"ResNet": 1}, allow_failure=["ResNet"])
    assert verdict.passed
    assert verdict.warnings == ("ResNet failed 2 of 3 runs; its failures are allowed",)


def test_the_first_failure_of_a_scenario_stands_behind_its_count() -> None:
    counted, why = ledger(ResNet=(1, 2), Timeout=(0, 1)), {"ResNet": "the first at 0:00:13: Connection refused"}
    weights = {"ResNet": 1, "Timeout": 1}
    assert judge(counted, weights=weights, first_failures=why).reasons == (
        "ResNet failed 2 of 3 runs; the first at 0:00:13: Connection refused",
        "Timeout failed 1 of 1 runs",
    )
    allowed = judge(counted, weights=weights, allow_failure=weights, first_failures=why).warnings
    assert allowed[0] == "ResNet failed 2 of 3 runs; its failures are allowed; the first at 0:00:13: Connection refused"


def test_a_run_in_which_nothing_ran_fails() -> None:
    assert judge(Ledger(), weights={"ResNet": 1}).reasons == ("nothing ran: no scenario came to an end",)
    skipped = Ledger()
    skipped.scenario("ResNet").skips["no"] = 5
    assert not judge(skipped, weights={"ResNet": 1}).passed


def test_a_locustfile_without_scenarios_passes_when_requests_ended() -> None:
    requests = Ledger()
    requests.row("", "my_model").record(10, 1, 1, 1)
    assert judge(requests, weights={}).passed
    assert not judge(Ledger(), weights={}).passed


def test_a_scenario_asked_for_by_name_that_did_not_run_fails_the_run() -> None:
    verdict = judge(ledger(ResNet=(1, 0)), weights={"ResNet": 500, "Timeout": 1}, asked_by_name=["ResNet", "Timeout"])
    assert verdict.scenarios == {"Timeout": "Timeout was asked for by name but did not run"}


def test_a_rare_scenario_that_a_short_run_did_not_pick_is_only_told() -> None:
    verdict = judge(ledger(ResNet=(500, 0)), weights={"ResNet": 993, "Timeout": 7})
    assert verdict.passed
    assert verdict.warnings == ("Timeout did not run; a longer run would have picked it",)


def test_a_scenario_that_must_have_run_by_its_weight_fails_the_run() -> None:
    verdict = judge(ledger(ResNet=(50_000, 0)), weights={"ResNet": 993, "Timeout": 7})
    assert verdict.scenarios == {"Timeout": "Timeout did not run; by its weight it should have run 350 times"}


def test_users_that_may_be_in_the_middle_of_a_run_are_allowed_for() -> None:
    assert judge(ledger(ResNet=(100, 0)), weights={"ResNet": 80, "Timeout": 20}, users=8).passed


def test_skips_are_told_with_a_scenario_that_did_not_run() -> None:
    made = ledger(ResNet=(1000, 0))
    made.scenario("Timeout").skips["sequence is open"] = 12
    verdict = judge(made, weights={"ResNet": 90, "Timeout": 10})
    assert verdict.reasons == ("Timeout did not run (12 skipped); by its weight it should have run 101 times",)


def test_a_scenario_whose_runs_were_all_skipped_proved_nothing_and_says_why() -> None:
    made = ledger(ResNet=(900, 0))
    made.scenario("Timeout").skips.update({"this client was too busy": 90, "the server was": 8})
    verdict = judge(made, weights={"ResNet": 90, "Timeout": 10})
    assert verdict.passed
    assert verdict.warnings == (
        "Timeout proved nothing: each of its runs was skipped (98, 90 of them: this client was too busy)",
    )


def test_what_was_asked_for_by_name_and_skipped_each_time_fails() -> None:
    made = ledger(ResNet=(900, 0))
    made.scenario("Timeout").skips["this client was too busy"] = 98
    verdict = judge(made, weights={"ResNet": 90, "Timeout": 10}, asked_by_name=("Timeout",))
    assert verdict.reasons == ("Timeout was asked for by name but did not run (98 skipped)",)


def test_counts_that_could_not_be_read_fail_the_run() -> None:
    why = "counts are missing: worker w sends ledger format 9"
    verdict = judge(ledger(ResNet=(1, 0)), weights={"ResNet": 1}, said=[Said("believable", [why])])
    assert verdict.reasons == (why,)


@pytest.mark.parametrize("fails", [False, True])
def test_a_client_that_was_the_bottleneck_is_told_and_on_demand_fails_the_run(fails: bool) -> None:
    verdict = judge(ledger(ResNet=(1, 0)), weights={"ResNet": 1}, said=[Said("believable", ["too slow"], fails=fails)])
    assert verdict.passed is not fails
    assert "too slow" in (verdict.reasons if fails else verdict.warnings)


@pytest.mark.parametrize(
    ("slowest_s", "waited_s", "fails", "told"),
    [
        (
            0.3,
            17.6,
            True,
            "2 without an answer when their users stopped, the oldest for 17.6 s; the slowest answer took",
        ),
        (0.3, 9.0, False, ""),  # may still come
        (9.0, 17.6, False, "2 without an answer when their users stopped, the oldest for 17.6 s"),  # it is a slow model
        (None, 17.6, False, "2 without an answer when their users stopped, the oldest for 17.6 s"),  # nobody knows
    ],
)
def test_a_server_that_hangs_at_the_end_is_seen(
    slowest_s: float | None, waited_s: float, fails: bool, told: str
) -> None:
    total = ledger(SequenceValid=(5, 0))
    row = total.row("SequenceValid", "sums")
    if slowest_s is not None:
        row.record(int(slowest_s * 1e6), 0, 10, 10)
    row.unanswered.record(int(waited_s * 1e6))
    row.unanswered.record(1000)
    verdict = judge(total, weights={"SequenceValid": 1})
    assert verdict.passed is not fails
    sentences = verdict.reasons + verdict.warnings
    assert len(sentences) == (1 if told else 0)
    if told:
        assert sentences[0].startswith(f"SequenceValid to sums: {told}")


def test_a_run_that_was_cut_short_has_not_passed() -> None:
    ended = "it ended after 0:00:05 of the 0:01:00"
    verdict = judge(ledger(Timeout=(1, 0)), weights={"Timeout": 1}, said=[Said("believable", [ended])])
    assert verdict.exit_code == 1
    assert verdict.reasons == (ended,)
