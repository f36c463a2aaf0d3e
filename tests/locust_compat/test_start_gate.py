"""A worker that is told to start before the plugin is there waits for it."""

import gevent
import pytest
from locust.env import Environment
from locust.event import Events

from triton_users.locust_compat import start_gate
from triton_users.locust_compat.start_gate import hold_starts, on_test_start


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment with events of its own, as a process has them."""
    events = Events()
    monkeypatch.setattr(start_gate.locust, "events", events)
    return Environment(events=events)


def test_a_start_that_comes_first_waits_for_the_plugin(environment: Environment) -> None:
    started: list[Environment] = []
    hold_starts()
    firing = gevent.spawn(environment.events.test_start.fire, environment=environment)
    gevent.sleep(0)
    assert not firing.ready()
    on_test_start(environment, lambda environment: started.append(environment))
    firing.get(timeout=1)
    assert started == [environment]


def test_later_starts_come_once_each(environment: Environment) -> None:
    started: list[Environment] = []
    hold_starts()
    hold_starts()
    on_test_start(environment, lambda environment: started.append(environment))
    for _ in range(2):
        environment.events.test_start.fire(environment=environment)
    assert len(started) == 2


def test_without_our_options_the_plugin_listens_for_itself(environment: Environment) -> None:
    started: list[Environment] = []
    on_test_start(environment, lambda environment: started.append(environment))
    environment.events.test_start.fire(environment=environment)
    assert len(started) == 1


def test_a_plugin_that_never_comes_is_told_and_nothing_hangs(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(start_gate, "INSTALL_LIMIT_S", 0.01)
    hold_starts()
    environment.events.test_start.fire(environment=environment)
    assert "it counts nothing" in caplog.text
