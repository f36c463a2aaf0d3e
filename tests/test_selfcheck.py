"""The client's look at itself: windows with their worst values, and who was too slow when."""

import gc
import time
from itertools import pairwise

import gevent
import msgpack
import pytest

from triton_users.ledger import Histogram, Ledger, WorkerState
from triton_users.selfcheck import MAX_WINDOWS, Limits, SelfCheck, findings, hms, sentences, windows_of
from triton_users.settings import UsageError


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.cpu_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pass_window(check: SelfCheck, clock: Clock, lag_s: float = 0.001, cpu: float = 0.1) -> None:
    for _ in range(100):
        clock.now_s += 0.0501  # so that the hundredth closes the window
        clock.cpu_s += 0.05 * cpu
        check.sample(lag_s)


def test_a_window_tells_lag_cpu_send_delay_and_memory_of_its_own_time(clock: Clock) -> None:
    ledger = Ledger()
    row = ledger.row("S", "m")
    check = SelfCheck(clock, ledger.delays, cpu_s=lambda: clock.cpu_s)
    row.record(1000, 30_000, 0, 0)
    pass_window(check, clock, lag_s=0.02, cpu=0.5)
    row.record(1000, 1_000, 0, 0)
    pass_window(check, clock, lag_s=0.001, cpu=0.9)
    first, second = check.dump()["windows"]
    assert first[:2] == [0.0, pytest.approx(5.0, abs=0.1)]
    assert first[2:4] == [pytest.approx(20, rel=0.01), pytest.approx(50, abs=1)]
    assert first[5] == pytest.approx(30, rel=0.01)
    assert second[2:4] == [pytest.approx(1, rel=0.01), pytest.approx(90, abs=1)]
    assert second[5] == pytest.approx(1, rel=0.01)
    assert second[6] > 5


def test_an_open_window_is_told_once_it_is_a_second_old(clock: Clock) -> None:
    check = SelfCheck(clock, Histogram)
    clock.now_s = 0.5
    assert check.dump() == {"windows": []}
    clock.now_s = 1.5
    assert len(check.dump()["windows"]) == 1


def test_twelve_hours_of_windows_stay_within_the_bound_and_keep_the_worst(clock: Clock) -> None:
    check = SelfCheck(clock, Histogram, cpu_s=lambda: clock.cpu_s)
    for number in range(12 * 720):
        clock.now_s += 5.0
        check.sample(0.9 if number == 1000 else 0.001)
    windows = check.dump()["windows"]
    assert len(windows) <= MAX_WINDOWS
    assert windows[0][0] == 0.0
    assert windows[-1][1] == 12 * 3600
    assert max(window[2] for window in windows) == pytest.approx(900, rel=0.01)
    assert all(one[1] == other[0] for one, other in pairwise(windows))
    assert len(msgpack.packb(check.dump())) < 12_000


def test_a_garbage_collection_pause_is_seen_and_stop_leaves_no_callback(clock: Clock) -> None:
    callbacks = list(gc.callbacks)
    check = SelfCheck(clock, Histogram)
    check.start()
    check.start()
    gc.collect()
    clock.now_s = 2.0
    assert check.dump()["windows"][0][4] > 0
    check.stop()
    check.stop()
    assert gc.callbacks == callbacks


def test_a_blocked_hub_is_seen_as_lag() -> None:
    check = SelfCheck(time.monotonic, Histogram)
    check.start()
    gevent.sleep(0.02)
    deadline = time.perf_counter() + 0.3
    while time.perf_counter() < deadline:
        pass  # the hub cannot run
    gevent.sleep(0.02)
    check.stop()
    assert (check._lag.max_us or 0) > 150_000


def worker(name: str, windows: list[list[float]], shift_s: float = 0.0) -> WorkerState:
    state = WorkerState(name, "i", 0.0, last_seen_s=100.0 + shift_s, at_s=100.0)
    state.selfcheck = {"windows": windows}
    return state


QUIET = [1.0, 10.0, 1.0, 1.0, 100.0]


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
        ("hub_lag_ms", 90.0, 5.0, 15.0),
        ("hub_lag_ms", 60.0, 20.0, 25.0),
        ("cpu_percent", 99.0, 20.0, 25.0),
    ]
    assert sentences(found)[0] == (
        "latencies are not to be trusted, the client was the bottleneck: hub lag (p99) on worker w1 was up to 90 ms "
        "(limit 50) from 0:00:05 to 0:00:15, 0:00:20 to 0:00:25"
    )


def test_a_workers_own_seconds_become_seconds_of_the_run() -> None:
    (window,) = windows_of(worker("w", [[5.0, 10.0, *QUIET]], shift_s=30.0))
    assert (window.start_s, window.end_s) == (35.0, 40.0)


def test_a_limit_of_zero_is_off() -> None:
    state = worker("w", [[0.0, 5.0, 900.0, 900.0, 900.0, 900.0, 100.0]])
    assert {f.what for f in findings([state], Limits(hub_lag_ms=0, gc_pause_ms=0))} == {"cpu_percent", "send_delay_ms"}


def test_many_stretches_are_told_in_one_bounded_sentence() -> None:
    windows = [[n * 5.0, n * 5.0 + 5, 90.0 if n % 2 else 1.0, *QUIET[1:]] for n in range(100)]
    (sentence,) = sentences(findings([worker("w", windows)], Limits()))
    assert "and 45 more times, the last one until 0:08:20" in sentence


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_limit_that_cannot_be_is_refused(value: float) -> None:
    with pytest.raises(UsageError, match="hub_lag_ms"):
        Limits(hub_lag_ms=value).check()


def test_seconds_are_told_as_hours_minutes_seconds() -> None:
    assert [hms(seconds) for seconds in (0, 59.6, 3661, 43_200)] == ["0:00:00", "0:01:00", "1:01:01", "12:00:00"]
