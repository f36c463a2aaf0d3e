"""What a run needs of the locust command around it."""

from typing import Any

import gevent
from locust import LoadTestShape
from locust.runners import MasterRunner, WorkerRunner

from tests.locust_compat.conftest import environment, until
from triton_users.locust_compat.command import LocustCommand, run_time_in_force


class Shape(LoadTestShape):  # type: ignore[misc]  # untyped
    def tick(self) -> None:
        return None


def test_what_is_sent_with_the_orders_is_there_when_a_run_starts(master: MasterRunner, worker: WorkerRunner) -> None:
    sent, came = LocustCommand(master.environment), LocustCommand(worker.environment)
    at_the_start: list[Any] = []
    worker.environment.events.test_start.add_listener(lambda **_: at_the_start.append(came.came_with_the_order()))
    master.environment.events.test_start.add_listener(lambda **_: sent.send_with_orders({"epoch": "one", "ids": [1]}))
    assert came.came_with_the_order() is None
    gevent.spawn(master.start, 1, 1)
    until(lambda: at_the_start)
    assert at_the_start == [{"epoch": "one", "ids": [1]}]


def test_a_load_shape_makes_the_run_time_nothing_unless_it_uses_it() -> None:
    made = environment()
    made.parsed_options.run_time = 5  # type: ignore[union-attr]
    assert run_time_in_force(made) == 5
    made.shape_class = Shape()
    assert run_time_in_force(made) is None
    made.shape_class.use_common_options = True
    assert run_time_in_force(made) == 5


def test_a_local_command_has_no_workers_and_a_master_counts_them(master: MasterRunner, worker: WorkerRunner) -> None:
    local = environment()
    local.create_local_runner()
    assert (LocustCommand(local).distributed, LocustCommand(local).worker_count) == (False, 0)
    assert LocustCommand(local).worker_index == 0
    assert (LocustCommand(master.environment).distributed, LocustCommand(master.environment).worker_count) == (True, 1)


def test_the_host_of_the_command_becomes_that_of_all_users() -> None:
    made = environment()
    command = LocustCommand(made)
    assert command.host == ""
    command.host = "grpc://127.0.0.1:1"
    runner = made.create_local_runner()
    runner.start(1, 1)
    until(lambda: runner.user_count)
    assert made.user_classes[0].host == "grpc://127.0.0.1:1"
    runner.quit()


def test_users_find_the_run_in_their_environment_and_the_exit_code_is_locusts() -> None:
    made = environment()
    command = LocustCommand(made)
    command.give_to_users("a run")
    command.exit_with(7)
    assert made.triton_run == "a run"  # type: ignore[attr-defined]
    assert made.process_exit_code == 7


def test_quitting_returns_at_once_and_stopping_when_test_stop_was_fired() -> None:
    made = environment()
    runner = made.create_local_runner()
    stopped: list[bool] = []
    made.events.test_stop.add_listener(lambda **_: stopped.append(True))
    runner.start(1, 1)
    until(lambda: runner.user_count)
    LocustCommand(made).quit()
    assert not stopped
    LocustCommand(made).stop()
    assert stopped
