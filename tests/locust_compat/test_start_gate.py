"""A worker that is told to start before the plugin is there waits for it."""

from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event
from locust.env import Environment
from locust.event import Events
from locust.exception import StopTest
from locust.runners import WorkerRunner

from triton_users.locust_compat import start_gate
from triton_users.locust_compat.start_gate import hold_starts_that_come_before_init, on_test_start


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment with events of its own, as a process has them, of a worker that has connected."""
    events = Events()
    monkeypatch.setattr(start_gate.locust, "events", events)
    made = Environment(events=events)
    made.runner = WorkerRunner.__new__(WorkerRunner)
    made.runner.greenlet = None  # type: ignore[assignment]  # it was not made whole: nothing to kill
    return made


def test_a_start_that_comes_first_waits_for_the_plugin(environment: Environment) -> None:
    started: list[Environment] = []
    hold_starts_that_come_before_init()
    firing = gevent.spawn(environment.events.test_start.fire, environment=environment)
    gevent.sleep(0)
    assert not firing.ready()
    on_test_start(environment, lambda environment: started.append(environment))
    firing.get(timeout=1)
    assert started == [environment]


def test_later_starts_come_once_each(environment: Environment) -> None:
    started: list[Environment] = []
    hold_starts_that_come_before_init()
    hold_starts_that_come_before_init()
    on_test_start(environment, lambda environment: started.append(environment))
    for _ in range(2):
        environment.events.test_start.fire(environment=environment)
    assert len(started) == 2


def test_without_our_options_the_plugin_listens_for_itself(environment: Environment) -> None:
    started: list[Environment] = []
    on_test_start(environment, lambda environment: started.append(environment))
    environment.events.test_start.fire(environment=environment)
    assert len(started) == 1


def test_where_the_plugin_never_comes_nothing_starts(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = Event()
    environment.runner = SimpleNamespace(quit=ended.set)  # type: ignore[assignment]
    hold_starts_that_come_before_init()
    with pytest.raises(StopTest, match="does not install it"):
        environment.events.test_start.fire(environment=environment)
    assert environment.process_exit_code == 2
    assert ended.wait(1)
