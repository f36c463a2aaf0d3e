"""What passes between a worker and its master as a run ends."""

from typing import Any
from unittest.mock import Mock

from locust.env import Environment

from triton_users.run.snapshots import WorkerSide


def test_a_worker_that_is_stopping_starts_no_more_users() -> None:
    environment = Environment()
    environment.runner = runner = Mock()
    start_worker: Any = runner.start_worker
    WorkerSide(environment, snapshot=Mock(), reset=Mock()).started()
    runner.start_worker({"User": 1})
    environment.events.test_stopping.fire(environment=environment)
    runner.start_worker({"User": 2})  # those of a worker that stopped first: the master makes up for it
    start_worker.assert_called_once_with({"User": 1})


def test_a_new_run_starts_users_again() -> None:
    environment = Environment()
    environment.runner = runner = Mock()
    start_worker: Any = runner.start_worker
    side = WorkerSide(environment, snapshot=Mock(), reset=Mock())
    environment.events.test_stopping.fire(environment=environment)
    side.started()
    runner.start_worker({"User": 1})
    start_worker.assert_called_once_with({"User": 1})
