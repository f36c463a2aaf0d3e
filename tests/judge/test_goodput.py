"""Which requests are good: all of the user's limits hold at once, whatever their kind of answer."""

from argparse import Namespace

import pytest

from triton_users.judge.goodput import is_good, limits_for, parse_goodput
from triton_users.judge.thresholds import Threshold, apply, parse_thresholds
from triton_users.ledger import Histogram, Ledger
from triton_users.options import judging_from
from triton_users.settings import UsageError


def gaps(*values_us: int) -> Histogram:
    made = Histogram()
    for value_us in values_us:
        made.record(value_us)
    return made


def test_a_name_holds_for_the_limits_after_it_until_the_next_one() -> None:
    text = "latency_ms<500, bert:latency_ms<200,first_response_ms <= 50\ngpt:responses>=1"
    assert parse_goodput(text) == (
        Threshold("", "latency_ms", "<", 500.0),
        Threshold("bert", "latency_ms", "<", 200.0),
        Threshold("bert", "first_response_ms", "<=", 50.0),
        Threshold("gpt", "responses", ">=", 1.0),
    )
    assert parse_goodput(" ") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bert", "is not [NAME:]WHAT<LIMIT"),
        ("bert:p99_ms<5", "a request has no 'p99_ms'; it must be one of: latency_ms, first_response_ms"),
        ("latency_ms>=5", "would call a request good for being slow; write latency_ms<…"),
        ("latency_ms<soon", "the limit is 'soon'; it must be a number of 0 or more"),
        ("latency_ms<-1", "the limit is '-1'"),
    ],
)
def test_what_cannot_be_meant_is_an_error(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_goodput(text)
    assert str(raised.value).startswith("goodput: ")
    assert message in str(raised.value)


def test_a_model_s_own_limits_take_the_place_of_its_scenario_s_and_of_all_s() -> None:
    limits = parse_goodput("latency_ms<1, m:latency_ms<2, S:latency_ms<3")
    held = {key: [each.limit for each in limits_for(limits, *key)] for key in (("S", "m"), ("S", "n"), ("", "n"))}
    assert held == {("S", "m"): [2.0], ("S", "n"): [3.0], ("", "n"): [1.0]}
    assert limits_for(limits, "", "") == (), "a question that names no model is no inference"


@pytest.mark.parametrize(
    ("latency_us", "first_us", "between", "good"),
    [
        (100_000, 10_000, gaps(30_000, 30_000), True),
        (200_000, 10_000, gaps(30_000, 30_000), False),
        (100_000, 50_000, gaps(30_000), False),
        (100_000, 10_000, gaps(1_000, 41_000, 1_000), False),
        (100_000, 10_000, None, True),
    ],
    ids=["all hold", "latency", "first response", "one gap of three", "nothing between"],
)
def test_a_request_is_good_when_all_limits_hold(
    latency_us: int, first_us: int, between: Histogram | None, good: bool
) -> None:
    limits = parse_goodput("latency_ms<200,first_response_ms<50,inter_response_ms<=40")
    measures = {"first_response": (first_us,)} | ({} if between is None else {"inter_response": between})
    assert is_good(limits, latency_us, measures) is good


def test_an_answer_that_comes_whole_is_its_first_response_and_one() -> None:
    assert is_good(parse_goodput("first_response_ms<5,inter_response_ms<1,responses>=1,issue_delay_ms<1"), 4_000, None)
    assert not is_good(parse_goodput("first_response_ms<5"), 6_000, None)
    assert not is_good(parse_goodput("responses>=2"), 6_000, None)


def test_a_request_without_a_response_had_none_in_time_before_its_end() -> None:
    measures = {"responses": (0,)}
    assert is_good(parse_goodput("first_response_ms<5"), 4_000, measures)
    assert not is_good(parse_goodput("first_response_ms<5"), 6_000, measures)
    assert not is_good(parse_goodput("responses>=1"), 4_000, measures)


@pytest.mark.parametrize(("good", "passed"), [(99, True), (98, False)])
def test_goodput_is_a_threshold_of_all_requests_that_were_judged(good: int, passed: bool) -> None:
    ledger = Ledger()
    row = ledger.row("", "m")
    row.judged, row.good = 100, good
    (check,) = apply(parse_thresholds("m:goodput>=99%"), ledger, 1.0)
    assert (check.value, check.passed) == (good / 100, passed)


def test_a_threshold_of_a_goodput_that_nothing_defines_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing says what a good request is"):
        judging_from(Namespace(thresholds="goodput>=0.9"))
    assert judging_from(Namespace(thresholds="goodput>=0.9", goodput="latency_ms<5"))["goodput"]


@pytest.mark.parametrize("text", ["goodput<0.5", "goodput>=1.5"])
def test_a_goodput_is_a_share_and_more_is_better(text: str) -> None:
    with pytest.raises(UsageError):
        parse_thresholds(text)
