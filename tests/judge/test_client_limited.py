"""Who was too slow when: limits, stretches of time, and the sentences a person reads."""

import pytest

from triton_users.declaration import UsageError, check
from triton_users.judge.client_limited import Limits, findings, hms, sentences, windows_of
from triton_users.ledger import WorkerState


def worker(name: str, windows: list[list[float]], began_s: float = 0.0) -> WorkerState:
    state = WorkerState(name, "i", 0.0, last_seen_s=100.0, began_s=began_s)
    state.selfcheck = {"windows": windows}
    return state


QUIET = [1.0, 10.0, 1.0, 1.0, 100.0, 2.0]


def test_neighbouring_windows_over_a_limit_are_one_stretch_with_its_worst_value() -> None:
    state = worker(
        "w1",
        [
            [0.0, 5.0, *QUIET],
            [5.0, 10.0, 70.0, *QUIET[1:]],
            [10.0, 15.0, 90.0, *QUIET[1:]],
            [15.0, 20.0, *QUIET],
            [20.0, 25.0, 60.0, 99.0, *QUIET[2:]],
        ],
    )
    found = findings([state], Limits())
    assert [(f.what, f.worst, f.start_s, f.end_s) for f in found] == [
        ("event_loop_lag_ms", 90.0, 5.0, 15.0),
        ("event_loop_lag_ms", 60.0, 20.0, 25.0),
        ("cpu_percent", 99.0, 20.0, 25.0),
    ]
    assert sentences(found)[0] == (
        "client-limited: event-loop lag (p99) on worker w1 was up to 90 ms "
        "(limit 50) from 0:00:05 to 0:00:15, 0:00:20 to 0:00:25"
    )


def test_a_process_that_got_no_cpu_is_told_apart_from_one_that_was_busy_itself() -> None:
    crowded = [0.0, 5.0, 70.0, *QUIET[1:-1], 44.6]
    (sentence,) = sentences(findings([worker("w", [crowded])], Limits()))
    assert sentence.endswith("from 0:00:00 to 0:00:05; it waited for a CPU up to 45 % of the time")


def test_a_workers_own_seconds_become_seconds_of_the_run() -> None:
    (window,) = windows_of(worker("w", [[5.0, 10.0, *QUIET]], began_s=30.0))
    assert (window.start_s, window.end_s) == (35.0, 40.0)


def test_a_limit_of_zero_is_off() -> None:
    state = worker("w", [[0.0, 5.0, 900.0, 900.0, 900.0, 900.0, 100.0, 0.0]])
    assert {f.what for f in findings([state], Limits(event_loop_lag_ms=0, gc_pause_ms=0))} == {
        "cpu_percent",
        "queue_time_ms",
    }


def test_many_stretches_are_told_in_one_bounded_sentence() -> None:
    windows = [[n * 5.0, n * 5.0 + 5, 90.0 if n % 2 else 1.0, *QUIET[1:]] for n in range(100)]
    (sentence,) = sentences(findings([worker("w", windows)], Limits()))
    assert "and 45 more times, the last one until 0:08:20" in sentence


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_limit_that_cannot_be_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match=r"the limit of event-loop lag is .* ms; it must be from 0 to 3600000 ms"):
        check(Limits(event_loop_lag_ms=value))


def test_seconds_are_told_as_hours_minutes_seconds() -> None:
    assert [hms(seconds) for seconds in (0, 59.6, 3661, 43_200)] == ["0:00:00", "0:01:00", "1:01:01", "12:00:00"]
