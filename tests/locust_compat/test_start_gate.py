"""A worker that is told to start before the plugin is there waits for it."""

from argparse import Namespace

import gevent
import pytest
from locust.env import Environment
from locust.event import Events
from locust.runners import STATE_INIT, WorkerRunner

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


@pytest.mark.parametrize("headless", [True, False])
def test_where_the_plugin_never_comes_nothing_starts_and_nothing_is_a_traceback(
    environment: Environment, headless: bool, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    ended: list[str] = []
    made = Environment(events=environment.events, parsed_options=Namespace(headless=headless))
    runner = made.create_local_runner()
    runner.quit = lambda: ended.append("quit")  # type: ignore[method-assign]
    hold_starts_that_come_before_init()
    runner.start(1, 1)
    assert runner.spawning_greenlet is not None
    runner.spawning_greenlet.join(5)
    gevent.sleep(0)
    assert "does not install it" in caplog.text
    assert (made.process_exit_code, runner.state) == (2, STATE_INIT)
    assert ended == (["quit"] if headless else [])
    assert "Traceback" not in capfd.readouterr().err + caplog.text
    runner.greenlet.kill()
