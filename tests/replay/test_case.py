"""A report's failures as what is played again; what a report cannot give is said in words."""

from __future__ import annotations

from typing import Any

import pytest

from triton_users.replay.case import Case, Play, case_of, failures_of, kind_of, size_of
from triton_users.settings import UsageError

PLAN = {"model": "custom_sequence_int32", "id_offset": 1, "sequences": [[1, 2]], "pauses": [None]}


def failure(**record: Any) -> dict[str, Any]:
    return {"scenario": "SequenceValid", "worker": "local", "at_s": 3.0, "reason": "wrong", "record": record}


def test_failures_are_numbered_as_the_report_has_them() -> None:
    first, second, third = failure(user=1), failure(user=2), failure(user=3)
    report = {"scenarios": [{"evidence": {"failures": [first, second]}}, {"evidence": {"failures": [third]}}]}
    assert failures_of(report) == [first, second, third]


@pytest.mark.parametrize("report", [{}, {"scenarios": [{}]}, {"scenarios": 3}])
def test_what_is_no_report_is_refused(report: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="this is no report of triton-users"):
        failures_of(report)


def test_the_runs_that_went_on_beside_it_are_its_partners() -> None:
    beside = [{"scenario": "SequenceNoStart", "plan": {"model": "m", "id_offset": 1, "value": 9}}]
    assert case_of(failure(plan=PLAN, under_way=beside)) == Case(
        Play("SequenceValid", PLAN), (Play("SequenceNoStart", beside[0]["plan"]),)
    )


def test_a_failure_of_a_former_version_has_none() -> None:
    assert case_of(failure(plan=PLAN)) == Case(Play("SequenceValid", PLAN))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({**failure(plan=PLAN), "scenario": ""}, "outside of any scenario"),
        (failure(), "no plan of it"),
        (failure(plan={**PLAN, "sequences": [[1, "... 40 left out ...", 2]]}), "too long to be kept whole"),
        (failure(plan={**PLAN, "...": "3 more left out"}), "too long to be kept whole"),
    ],
)
def test_a_failure_that_cannot_be_played_says_why(given: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        case_of(given)


def test_failures_that_differ_in_ids_and_numbers_are_of_one_kind() -> None:
    one = "sequence 17 of 3 requests on custom_sequence_int32: answer 2 is 17, not 5"
    other = "sequence 4052 of 1,024 requests on custom_sequence_int32: answer 0 is -3, not 1,000,000"
    assert kind_of(one) == kind_of(other)
    assert kind_of(one) != kind_of("sequence 17 of 3 requests on custom_sequence_int32: no answer to request 2")


def test_all_the_ways_in_which_a_server_is_gone_are_one_kind() -> None:
    one = "after a client was killed by SIGKILL: [StatusCode.UNAVAILABLE] the server closed the connection"
    other = "custom_executing: [StatusCode.UNAVAILABLE] 127.0.0.1:4005: Connection refused"
    assert kind_of(one) == kind_of(other)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (PLAN, "1 sequence of 2 requests"),
        ({**PLAN, "pauses": [{"before": 1, "share": 0.3}]}, "1 sequence of 2 requests, 1 paused"),
        ({"pictures": [0, 3]}, "2 pictures"),
        ({"model": "m", "start": 5, "count": 1_000}, "one request of 1,000 numbers"),
        ({"model": "m", "id_offset": 1, "value": 9}, "one request"),
    ],
)
def test_the_size_of_a_plan_is_said_in_words(plan: dict[str, Any], said: str) -> None:
    assert size_of(plan) == said
