"""What a level came to: the server's limit, the client's, too few users, or too few requests to say."""

from dataclasses import replace

import pytest

from triton_users.capacity.level import Level, Seen, fewest, judge_level, missing, parse_limits
from triton_users.ledger import Ledger
from triton_users.settings import UsageError

LIMITS = parse_limits("p99_ms<50,failure_ratio<0.1%")


def counted(
    requests: int = 2000, ms: float = 5.0, *, slow: int = 0, service_ms: float = 5.0, failed: int = 0, **arrivals: int
) -> Ledger:
    """So many requests of `ms`, so many of 200 ms, and what became of the arrivals."""
    made = Ledger()
    row = made.row("", "bert")
    for number in range(requests):
        row.record(int(1e3 * (200 if number < slow else ms)), 1, 10, 10)
        row.measure({"service": [int(1e3 * (200 if number < slow and service_ms == ms else service_ms))]})
    for _ in range(failed):
        row.record_error("[StatusCode.UNAVAILABLE] no", 10, 0)
    made.arrivals.prompt = requests + failed - sum(arrivals.values())
    for name, number in arrivals.items():
        setattr(made.arrivals, name, number)
    return made


def level(ledger: Ledger, **seen: object) -> Level:
    return judge_level(replace(Seen(200.0, 10.0, 20.0, ledger, 10.0, users=8), **seen), LIMITS)


def test_a_level_that_keeps_its_limits_held() -> None:
    assert (level(counted()).outcome, level(counted()).why) == ("held", "")


def test_a_level_over_its_limit_failed_and_says_which_first() -> None:
    found = level(counted(slow=100))
    assert (found.outcome, found.of_server) == ("failed", True)
    assert found.why == "p99_ms<50 does not hold: it is 199.7"


def test_a_level_that_lets_too_many_requests_fail_did_not_hold() -> None:
    assert level(counted(failed=4)).why == "failure_ratio<0.001 does not hold: it is 0.001996"


def test_without_a_limit_on_failures_none_may_fail() -> None:
    assert judge_level(Seen(1.0, 0.0, 1.0, counted(failed=1), 1.0), parse_limits("p99_ms<50")).outcome == "failed"
    assert judge_level(Seen(1.0, 0.0, 1.0, counted(), 1.0), parse_limits("p99_ms<50")).held


def test_a_level_without_any_answer_did_not_hold() -> None:
    assert level(Ledger()).outcome == "failed"


def test_a_low_rate_of_which_no_arrival_was_due_yet_says_nothing_of_the_server() -> None:
    quiet = Seen(0.2, 10.0, 14.0, Ledger(), 4.0)
    assert missing(quiet, LIMITS) == fewest(LIMITS)
    found = judge_level(quiet, LIMITS)
    assert (found.outcome, found.why) == ("too few to say", "no arrival was due in 4 s")
    assert judge_level(replace(quiet, in_flight=(1.0,)), LIMITS).outcome == "failed"


def test_a_level_of_too_few_requests_is_no_pass_and_says_how_many_it_takes() -> None:
    found = level(counted(300), load=30.0)
    assert (found.outcome, found.of_server) == ("too few to say", False)
    assert "459" in found.why
    assert missing(found.seen, LIMITS) == 159
    assert missing(level(counted(300, slow=10), load=30.0).seen, LIMITS) == 0  # it fails already


def test_requests_that_pile_up_are_too_high_though_the_limits_still_hold() -> None:
    grows = {"in_flight": [10.0 * n for n in range(1, 9)], "took_us": [1e3 * n for n in range(1, 9)]}
    found = level(counted(), **grows)
    assert (found.outcome, found.of_server) == ("too high", True)
    assert found.why.startswith("requests under way grew from 10 to 80")


def test_requests_that_never_get_an_answer_are_no_pass() -> None:
    assert level(counted(), left=7, waited_s=10.0).why == "7 requests had no answer 10 s after the level had ended"


def test_a_client_that_was_too_slow_is_the_limit_and_not_the_server() -> None:
    found = level(counted(slow=100), limited=("client-limited: event-loop lag was up to 300 ms",))
    assert (found.outcome, found.of_server) == ("client-limited", False)
    assert found.why.startswith("client-limited: event-loop lag was up to 300 ms; p99_ms<50 does not hold")


def test_a_slow_client_whose_latencies_hold_all_the_same_held() -> None:
    assert level(counted(late=900), limited=("client-limited: CPU",)).held


def test_arrivals_that_a_client_issues_late_are_its_own_limit_when_what_it_sent_kept_the_limits() -> None:
    found = level(counted(ms=80, service_ms=5, late=1500))
    assert found.outcome == "client-limited"
    assert found.why.startswith("it issued 1,500 of 2,000 arrivals late or never though users were free")


def test_arrivals_that_a_client_never_issues_are_its_own_limit() -> None:
    found = level(counted(missed_slow=300))
    assert found.outcome == "client-limited"
    assert "300 of 2,000 arrivals were never issued" in found.why


def test_arrivals_that_wait_for_users_while_the_server_is_quick_need_more_users() -> None:
    found = level(counted(ms=80, service_ms=5, waited=1500))
    assert (found.outcome, found.of_server) == ("users busy", False)
    assert "1,500 of 2,000 arrivals waited for one of the 8 users" in found.why
    assert "-u" in found.why


def test_arrivals_that_wait_since_the_server_is_slow_are_the_servers_limit() -> None:
    assert level(counted(ms=900, service_ms=300, waited=1500)).outcome == "failed"


def test_a_level_in_which_workers_came_or_went_says_nothing() -> None:
    found = level(counted(slow=100), changed="workers came or went meanwhile")
    assert (found.outcome, found.why) == ("not judged", "workers came or went meanwhile")


def test_a_level_to_which_fewer_arrivals_came_is_not_that_load() -> None:
    found = level(counted(1500))
    assert (found.outcome, found.why) == ("not judged", "150 arrivals a second came, not 200")
    assert level(counted(1800)).held  # random arrivals differ by as much
    assert level(counted(1500), is_rate=False).held


def test_the_fewest_requests_are_those_of_the_highest_percentile() -> None:
    assert fewest(parse_limits("p50_ms<5,p99.9_ms<50")) == 4603
    assert fewest(parse_limits("failure_ratio<1%")) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p99<50", "find-capacity: 'p99<50': there is no metric 'p99'"),
        ("p99_ms<50,requests_per_s>=10", "requests_per_s grows with the load"),
        ("runs>=10", "say what must hold"),
    ],
)
def test_limits_that_cannot_be_searched_for_are_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_limits(text)
    assert told in str(refused.value)
