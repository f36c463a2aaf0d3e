"""Two orders to stop at once: a signal's and the master's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event
from locust import User, constant, task
from locust.runners import Runner

from tests.locust_compat.conftest import environment, until
from triton_users.locust_compat import stop_twice
from triton_users.locust_compat.stop_twice import stop_once_at_a_time


class Stops:
    """A runner with one user in the middle of its task, and what it was heard of."""

    def __init__(self, stop_timeout: float) -> None:
        self.may_end, began = Event(), Event()
        self.told: list[bool] = []
        self.left_at_the_end: list[int] = []
        may_end, told = self.may_end, self.told

        class Busy(User):
            wait_time = constant(0)

            @task
            def work(self) -> None:
                began.set()
                try:
                    may_end.wait(10)
                finally:
                    may_end.wait(10)

            def stop(self, force: bool = False) -> Any:
                told.append(force)
                return super().stop(force)

        made = environment(Busy)
        made.stop_timeout = stop_timeout
        self.runner: Runner = made.create_local_runner()
        made.events.test_stop.add_listener(lambda **_: self.left_at_the_end.append(len(self.runner.user_greenlets)))
        self.runner.start(1, 1)
        until(began.is_set)

    def stop_twice_at_once(self) -> None:
        both = [gevent.spawn(self.runner.stop) for _ in range(2)]
        gevent.sleep(0.05)
        self.may_end.set()
        gevent.joinall(both, timeout=5, raise_error=True)


@pytest.mark.parametrize("stop_timeout", [0.0, 5.0])
def test_the_second_waits_for_the_first_and_stops_nobody(stop_timeout: float) -> None:
    stops = Stops(stop_timeout)
    stop_once_at_a_time(stops.runner)
    stops.stop_twice_at_once()
    assert stops.told == [not stop_timeout]
    assert stops.left_at_the_end == [0]


@pytest.mark.parametrize(("stop_timeout", "seen"), [(0.0, "ends_early"), (5.0, "stops_twice")])
def test_locust_still_follows_both_at_once(stop_timeout: float, seen: str) -> None:
    stops = Stops(stop_timeout)
    stops.stop_twice_at_once()
    still = {"ends_early": 1 in stops.left_at_the_end, "stops_twice": len(stops.told) == 2}
    assert still[seen], "locust_compat/stop_twice.py can go"


def test_a_listener_may_stop_the_run_that_it_hears_of() -> None:
    stops = Stops(0.0)
    stop_once_at_a_time(stops.runner)
    stops.runner.environment.events.test_stop.add_listener(lambda **_: stops.runner.stop())
    stops.may_end.set()
    with gevent.Timeout(5):
        stops.runner.stop()
    assert stops.left_at_the_end == [0]


def test_a_first_one_that_hangs_holds_the_second_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stop_twice, "TURN_LIMIT_S", 0.05)
    stops = Stops(0.0)
    hangs, ended = Event(), Event()
    stops.runner.environment.events.test_stopping.add_listener(first_time(hangs.wait))
    stop_once_at_a_time(stops.runner)
    first = gevent.spawn(stops.runner.stop)
    stops.may_end.set()
    gevent.spawn(stops.runner.stop).link(lambda _: ended.set())
    assert ended.wait(5)
    hangs.set()
    first.get(timeout=5)


def first_time(wait: Callable[[float], object]) -> Callable[..., None]:
    """A listener that waits for long the first time that it is called."""
    called: list[bool] = []

    def listener(**_: Any) -> None:
        called.append(True)
        if len(called) == 1:
            wait(5)

    return listener
