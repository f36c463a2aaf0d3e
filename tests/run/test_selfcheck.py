"""A node's look at itself: windows with their worst values, within bounds."""

import gc
import subprocess
import sys
import time
from itertools import pairwise

import gevent
import msgpack
import pytest

from triton_users.ledger import Histogram, Ledger
from triton_users.run.selfcheck import MAX_WINDOWS, SelfCheck


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
    check = SelfCheck(clock, ledger.queue_times, cpu_s=lambda: clock.cpu_s)
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


def test_a_window_tells_how_long_the_process_waited_for_a_cpu(clock: Clock) -> None:
    waited_s = iter([1.0, 3.0, 3.0])
    check = SelfCheck(clock, Histogram, cpu_wait_s=lambda: next(waited_s))
    clock.now_s = 5.0
    check.sample(0.0)
    assert check.dump()["windows"][0][7] == pytest.approx(40)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells how long a thread waited for a CPU")
def test_two_threads_on_one_cpu_wait_for_each_other() -> None:
    program = """
import os, threading, time
from triton_users.run.selfcheck import CpuWait
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
waited = CpuWait()
before = waited()
other = os.fork()
while time.process_time() < 0.5:
    pass
if not other:
    os._exit(0)
os.waitpid(other, 0)
print(waited() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert float(done.stdout) > 0.05


def test_an_open_window_is_told_once_it_is_a_second_old(clock: Clock) -> None:
    check = SelfCheck(clock, Histogram)
    clock.now_s = 0.5
    assert check.dump()["windows"] == []
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


def test_the_lag_of_the_whole_run_is_kept_beside_the_windows_until_a_reset(clock: Clock) -> None:
    check = SelfCheck(clock, Histogram)
    pass_window(check, clock, lag_s=0.02)
    pass_window(check, clock, lag_s=0.001)
    clock.now_s += 0.05
    check.sample(0.3)  # in the open window
    lag = Histogram.load(check.dump()["event_loop_lag"])
    assert lag.total == 201
    assert lag.quantile(0.99) == pytest.approx(20_000, rel=0.01)
    assert lag.max_us == 300_000
    check.reset()
    assert Histogram.load(check.dump()["event_loop_lag"]).total == 0


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
