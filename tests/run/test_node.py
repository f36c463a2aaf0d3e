"""What a node counts of its users, and what the ticker makes of a poll that goes wrong."""

from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.monkey import get_original
from locust import User, task
from locust.env import Environment

from tests.run.fakes import FakeCommand, configuration, options
from triton_users.client.rpc_events import RequestFailure
from triton_users.events import add_hooks
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.traffic import ModelTraffic
from triton_users.report import RunInfo
from triton_users.run import reporting
from triton_users.run.node import Node


@pytest.fixture
def command() -> FakeCommand:
    return FakeCommand(options("reports"))


@pytest.fixture
def node(command: FakeCommand) -> Node:
    made = Node(command, "local")
    made.reset("an epoch")
    return made


def test_the_users_that_run_are_counted(node: Node, command: FakeCommand) -> None:
    command.running = [object(), object()]
    snapshot = node.snapshot(final=False)
    assert snapshot is not None
    assert snapshot["gauges"] == {"users": 2, "open_sequences": 0}


@pytest.fixture
def environment(node: Node) -> Environment:
    """Locust's, whose events the node listens to."""
    made = Environment()
    add_hooks(made)
    node.listen(made.events)
    return made


def test_a_request_over_another_client_is_counted_and_says_nothing_of_queue_times(
    node: Node, environment: Environment
) -> None:
    for exception in (None, ConnectionError("refused")):
        environment.events.request.fire(
            request_type="GET", name="/", response_time=1.0, response_length=1, exception=exception, context={}
        )
    row = node.recorder.ledger.rows["", "GET /"]
    assert (row.answered, row.errors) == (1, {"refused": 1})
    assert node.recorder.ledger.queue_times().total == 0


def test_requests_are_held_against_the_limits_of_their_model_failed_ones_included(
    command: FakeCommand, environment: Environment, node: Node
) -> None:
    node.start(replace(configuration(), goodput="m:latency_ms<10,first_response_ms<5"))
    answered = {"request_type": "grpc", "response_length": 1, "method": "ModelStreamInfer", "queue_time_ms": 0.0}
    for model, latency_ms, first_us, exception in (
        ("m", 9.0, 4_000, None),
        ("m", 9.0, 6_000, None),
        ("m", 11.0, 4_000, None),
        ("m", 1.0, 1_000, ConnectionError("refused")),
        ("other", 1.0, 1_000, None),
    ):
        environment.events.request.fire(
            name=model, model=model, response_time=latency_ms, exception=exception, context={},
            measures={"first_response": (first_us,)}, **answered,
        )  # fmt: skip
    rows = node.recorder.ledger.rows
    assert (rows["", "m"].judged, rows["", "m"].good) == (4, 1)
    assert (rows["", "other"].judged, rows["", "other"].good) == (0, 0)
    node.end()


def test_an_exception_of_a_user_s_own_task_is_counted_with_its_traceback(node: Node, environment: Environment) -> None:
    class Mine(User):
        @task
        def check(self) -> None:
            raise AssertionError("wrong answer 7")

    environment.catch_exceptions = False
    with pytest.raises(AssertionError):
        Mine(environment).run()
    assert node.recorder.ledger.exceptions == {"AssertionError: wrong answer #": 1}
    (failure,) = node.snapshot(final=False)["evidence"][""][1]  # type: ignore[index]
    assert failure["reason"] == "Mine raised AssertionError: wrong answer 7"
    assert "in check" in failure["record"]["traceback"]


def test_an_exception_that_a_scenario_s_run_failed_with_is_not_counted_twice(
    node: Node, environment: Environment
) -> None:
    error = KeyError("ours")
    user = SimpleNamespace(played_error=error)
    environment.events.user_error.fire(user_instance=user, exception=error, tb=None)
    assert not node.recorder.ledger.exceptions


def test_a_connection_made_again_is_counted_with_its_reason(node: Node) -> None:
    environment = Environment()
    add_hooks(environment)
    node.listen(environment.events)
    environment.events.reconnected.fire(reason="the server closed the connection")
    assert node.recorder.ledger.reconnects == {"the server closed the connection": 1}


def test_the_next_run_has_a_folder_of_its_own_and_the_former_one_is_removed(node: Node, command: FakeCommand) -> None:
    node.start(configuration("one"))
    first = command.run.scratch
    node.start(configuration("two"))
    assert not first.exists()
    assert command.run.scratch.is_dir()
    assert node.recorder.epoch == "two"
    node.end()
    node.end()
    assert not command.run.scratch.exists()


def test_a_poll_that_fails_is_logged_and_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reporting, "TICK_S", 0.001)
    again = Event()
    polls: list[Any] = []

    def poll() -> None:
        polls.append(None)
        if len(polls) == 1:
            raise IndexError("the first one")
        again.set()

    run = reporting.Reporting(RunInfo(datetime.now(timezone.utc), 1, {}), tmp_path, "an epoch", poll)
    try:
        assert again.wait(5)
    finally:
        run.finish("finished")
    assert "the first one" in caplog.text


def test_a_failed_connect_begins_an_outage_that_the_next_answer_ends(node: Node, environment: Environment) -> None:
    request = environment.events.request
    ours = {"request_type": "grpc", "name": "m", "model": "m", "method": "ModelInfer", "response_time": 1.0}
    refused = RequestFailure("StatusCode.UNAVAILABLE", "no way", "ConnectFailure('no way')")
    for exception in (RequestFailure("StatusCode.UNAVAILABLE", "queue is full"), refused):
        request.fire(**ours, response_length=0, exception=exception, queue_time_ms=0.0)
    assert node.recorder.outages.dump()[:2] == [True, "no way"]
    wanted_deadline = {"response_length": 0, "exception": None, "response": None, "queue_time_ms": 0.0}
    request.fire(**ours, **wanted_deadline)
    assert node.recorder.outages.dump()[0] is True
    request.fire(**ours, response_length=0, exception=None, response=object(), queue_time_ms=0.0)
    assert node.recorder.outages.dump()[0] is False


def test_a_wait_for_a_model_that_was_at_work_is_counted_and_says_nothing_against_it(
    node: Node, environment: Environment
) -> None:
    events: Any = environment.events
    for busy, waited_s in ((False, 2.0), (True, 60.0)):
        events.request_unanswered.fire(scenario="ResNet", model="m", method="ModelInfer", waited_s=waited_s, busy=busy)
    unanswered = node.recorder.ledger.rows["ResNet", "m"].unanswered
    assert (unanswered.total, unanswered.max_us) == (2, 2_000_000)


def test_a_worker_that_reads_a_large_file_is_not_silent_meanwhile(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    native_sleep = get_original("time", "sleep")
    heartbeats: list[None] = []

    def read_slowly(*_: Any) -> None:
        for _ in range(500):
            native_sleep(0.01)
            if heartbeats:
                return
        raise AssertionError("nobody else ran for 5 s")

    monkeypatch.setattr(ModelTraffic, "pool", read_slowly)
    gevent.spawn(heartbeats.append, None)
    model = ModelTraffic(ModelSpec("m", (), ()))
    node.start(replace(configuration(), models=(model,)))
    assert heartbeats
    node.end()
