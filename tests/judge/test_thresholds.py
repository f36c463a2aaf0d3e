"""Thresholds as people write them, and what they are held against."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.judge.ledgers import NAMES, ledger, own_requests
from triton_users.judge.metrics import METRICS, metric
from triton_users.judge.thresholds import Check, Threshold, apply, check_names, four_digits, parse_thresholds
from triton_users.judge.verdict import judge
from triton_users.ledger import Ledger
from triton_users.ledger.measures import MEASURES
from triton_users.settings import UsageError


def test_thresholds_are_read_as_people_write_them() -> None:
    text = "SequenceValid:p99_ms<50, failure_ratio <= 1%\nResNet:runs>=10,\n requests_per_s > 1e3,"
    assert parse_thresholds(text) == (
        Threshold("SequenceValid", "p99_ms", "<", 50.0),
        Threshold("", "failure_ratio", "<=", 0.01),
        Threshold("ResNet", "runs", ">=", 10.0),
        Threshold("", "requests_per_s", ">", 1000.0),
    )
    assert parse_thresholds(" ") == ()


def percentiles() -> st.SearchStrategy[str]:
    """Names of any percentile, or the maximum, of any measure."""
    percent = st.integers(1, 9999).map(lambda n: f"p{n / 100:g}")

    def name(measure: str, which: str) -> str:
        return MEASURES[measure].field(f"{measure}_{which}") if measure else f"{which}_ms"

    return st.builds(name, st.sampled_from(["", *MEASURES]), st.one_of(percent, st.just("max")))


@given(
    st.sampled_from(["", *NAMES]),
    st.one_of(st.sampled_from(list(METRICS)), percentiles()),
    st.booleans(),
    st.integers(0, 1000).map(lambda n: n / 1000),
)
def test_a_threshold_written_out_is_read_back(scenario: str, name: str, or_equal: bool, limit: float) -> None:
    sign = (">" if metric(name).at_most is False else "<") + ("=" if or_equal else "")
    threshold = Threshold(scenario, name, sign, limit)
    assert parse_thresholds(str(threshold)) == (threshold,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p99_ms", "is not"),
        ("p99_ms=50", "is not"),
        ("p99_ms<5<6", "is not"),
        ("a:b:p99_ms<5", "is not"),
        ("latency<50", "there is no metric 'latency'; it must be one of: failure_ratio"),
        ("p99<50", "latency is a time in ms; write p99_ms"),
        ("max<50", "write max_ms"),
        ("responses_p99_ms<50", "responses is a count; write responses_p99"),
        ("first_byte_p99_ms<50", "before pNN or max may stand: first_response_, inter_response_"),
        ("p100_ms<50", "a percentile is over 0 and under 100; the largest value is max"),
        ("p0_ms<50", "a percentile is over 0 and under 100"),
        ("service_p99_ms>50", "write service_p99_ms<50"),
        ("p99_ms>50", "write p99_ms<50"),
        ("runs<50", "write runs>=50"),
        ("p99_ms<fast", "the limit is 'fast'"),
        ("p99_ms<nan", "the limit is 'nan'"),
        ("p99_ms<inf", "the limit is 'inf'"),
        ("p99_ms<-1", "the limit is '-1'"),
        ("p99_ms<5%", "the limit is '5%'"),
        ("failure_ratio<5", "from 0 to 1"),
        ("SequenceValid:<5", "is not"),
    ],
)
def test_a_threshold_that_cannot_be_meant_is_refused_with_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_thresholds(text)
    assert told in str(refused.value)
    assert text in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Sequence:p99_ms<50", "there is no scenario 'Sequence', and no such model on the server"),
        ("bret:p99_ms<50", "the scenarios: SequenceValid, "),
        ("bret:p99_ms<50", "its models: bert, t5"),
        ("bert:runs>=50", "runs are counted for scenarios, and bert is a model; bert:requests_per_s>="),
    ],
)
def test_a_threshold_of_nothing_there_is_is_refused_with_what_there_is(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_names(parse_thresholds(text), ["t5", "bert"])
    assert told in str(refused.value)
    assert text in str(refused.value)


def test_a_threshold_may_name_a_scenario_a_model_or_nothing() -> None:
    check_names(parse_thresholds("SequenceValid:runs>=1,bert:p99_ms<50,runs>=1"), ["bert"])


@given(st.text())
def test_no_text_gives_anything_but_thresholds_or_a_usage_error(text: str) -> None:
    try:
        parse_thresholds(text)
    except UsageError:
        pass


@pytest.mark.parametrize(
    ("text", "value", "passed"),
    [
        ("SequenceValid:failure_ratio<0.1", 0.1, False),
        ("SequenceValid:failure_ratio<=0.1", 0.1, True),
        ("failure_ratio<0.1", 1 / 15, True),
        ("SequenceValid:p99_ms<1.1", 1.0, True),
        ("SequenceValid:p50_ms<0.9", 1.0, False),
        ("SequenceValid:runs>=10", 10.0, True),
        ("runs>=16", 15.0, False),
        ("requests_per_s>=3", 3.0, True),
        ("Timeout:requests_per_s>=3", 1.0, False),
        ("ResNet:p99_ms<50", None, False),
        ("ResNet:failure_ratio<1", None, False),
        ("ResNet:requests_per_s>=0", None, False),
        ("ResNet:runs>=1", 0.0, False),
    ],
)
def test_a_check_shows_the_value_and_no_data_does_not_pass(text: str, value: float | None, passed: bool) -> None:
    (check,) = apply(parse_thresholds(text), ledger(SequenceValid=(9, 1), Timeout=(5, 0)), duration_s=5.0)
    assert check.value == (None if value is None else pytest.approx(value, rel=0.01))
    assert check.passed is passed


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("runs>=16", None),
        ("requests_per_s>=4", None),
        ("ResNet:p99_ms<50", None),
        ("runs>=15", True),
        ("SequenceValid:failure_ratio<0.1", False),
        ("p99_ms<0.5", False),
    ],
)
def test_while_a_run_goes_on_a_limit_that_it_may_still_reach_is_not_yet_decided(text: str, passed: bool | None) -> None:
    counted = ledger(SequenceValid=(9, 1), Timeout=(5, 0))
    (check,) = apply(parse_thresholds(text), counted, duration_s=5.0, running=True)
    assert check.passed is passed
    verdict = judge(ledger(Timeout=(5, 0)), weights={"Timeout": 1}, checks=(check,), running=True)
    assert verdict.passed is (passed is not False)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.004425, "0.004425"), (73.98123, "73.98"), (7026.4, "7026"), (152_345.6, "152346")],
)
def test_a_measured_value_is_shown_without_an_exponent_and_no_ratio_as_nothing(value: float, shown: str) -> None:
    assert four_digits(value) == shown


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("failure_ratio<1", 0.25),
        ("bert:failure_ratio<1", 0.25),
        ("bert:p99_ms<5", 1.0),
        ("bert:requests_per_s>=1", 0.6),
        ("t5:failure_ratio<1", None),
        ("SequenceValid:failure_ratio<1", None),
    ],
)
def test_outside_of_scenarios_a_threshold_speaks_of_requests(text: str, value: float | None) -> None:
    (check,) = apply(parse_thresholds(text), own_requests(3, 1), duration_s=5.0)
    assert check.value == (None if value is None else pytest.approx(value, rel=0.01))


def test_a_failure_ratio_over_everything_counts_runs_of_scenarios_and_requests_outside_of_them() -> None:
    counted = own_requests(3, 1)
    counted.add(ledger(SequenceValid=(5, 1)))
    (check,) = apply(parse_thresholds("failure_ratio<1"), counted, duration_s=5.0)
    assert check.value == pytest.approx(2 / 10)


def latencies(within: int, outside: int) -> Ledger:
    """So many requests of 1 ms, and so many of 90 ms."""
    made = ledger(ResNet=(1, 0))
    row = made.row("ResNet", "m")
    for number in range(within + outside - 1):
        row.record(1_000 if number < within - 1 else 90_000, 1, 10, 10)
    return made


def checked(text: str, counted: Ledger, **how: bool) -> Check:
    (check,) = apply(parse_thresholds(text), counted, duration_s=5.0, **how)
    return check


@pytest.mark.parametrize(
    ("text", "value"),
    [("p50_ms<2", 1.0), ("p98.9_ms<2", 1.0), ("p99.1_ms<100", 90.0), ("p99.99_ms<100", 90.0), ("max_ms<100", 90.0)],
)
def test_any_percentile_and_the_maximum_can_be_named(text: str, value: float) -> None:
    check = checked(text, latencies(990, 10))
    assert check.passed
    assert check.value == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize(
    ("within", "outside", "result"),
    [(459, 0, "pass"), (458, 0, "too few to say"), (661, 1, "pass"), (660, 1, "too few to say"), (98, 2, "fail")],
)
def test_a_percentile_holds_when_enough_requests_stand_behind_it(within: int, outside: int, result: str) -> None:
    assert checked("p99_ms<50", latencies(within, outside)).result == result


def test_too_few_requests_are_a_warning_that_says_how_many_are_needed() -> None:
    counted = latencies(299, 1)
    check = checked("ResNet:p99_ms<50", counted)
    assert check.passed
    verdict = judge(counted, weights={"ResNet": 1}, checks=(check,))
    assert verdict.passed
    assert verdict.warnings == (
        "threshold ResNet:p99_ms<50: not enough requests to say: it is 1.004, with 1 of 300 requests outside the "
        "limit; with so many outside it takes 662 requests or more",
    )


def test_too_few_requests_fail_the_run_that_asks_for_it_and_not_while_it_goes_on() -> None:
    counted = latencies(300, 0)
    failed = judge(
        counted, weights={"ResNet": 1}, checks=(checked("ResNet:p99_ms<50", counted, fail_when_too_few=True),)
    )
    assert failed.reasons[0].startswith(
        "threshold ResNet:p99_ms<50: not enough requests to say: it is 1, with 0 of 300"
    )
    assert failed.scenarios["ResNet"] == failed.reasons[0]
    early = checked("ResNet:p99_ms<50", counted, fail_when_too_few=True, running=True)
    assert (early.passed, early.result) == (None, "not yet")
    assert early.finding.startswith("not enough requests to say yet")


@pytest.mark.parametrize("text", ["max_ms<100", "failure_ratio<0.1%", "requests_per_s>=0.1", "runs>=1"])
def test_what_is_no_percentile_needs_no_number_of_requests(text: str) -> None:
    assert checked(text, latencies(1, 0)).result == "pass"


@pytest.mark.parametrize("name", [measure.field(f"{name}_p50") for name, measure in MEASURES.items()])
def test_a_measure_that_no_request_has_does_not_pass(name: str) -> None:
    check = checked(f"{name}<1000", latencies(1000, 0))
    assert (check.value, check.passed, check.finding) == (None, False, "does not hold: there is no data")


def test_a_percentile_of_another_measure_is_of_its_values_alone() -> None:
    counted = latencies(1000, 0)
    counted.row("ResNet", "m").measure({"first_response": [5_000] * 700, "inter_response": [2_000] * 400})
    assert checked("ResNet:first_response_p99_ms<6", counted).result == "pass"
    few = checked("inter_response_p99_ms<6", counted)
    assert few.finding.startswith("not enough responses to say: it is 2, with 0 of 400 responses outside the limit")


def test_a_count_may_have_a_lower_limit_and_then_the_small_values_are_those_outside() -> None:
    counted = latencies(1, 0)
    counted.row("ResNet", "m").measure({"responses": [1] * 10 + [8] * 1990})
    check = checked("responses_p1>=8", counted)
    assert (check.value, check.passed) == (8.0, True)
    assert (check.sample.outside, check.sample.values, check.sample.needed) == (10, 2000, 2010)
