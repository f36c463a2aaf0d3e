"""What a node counts of its users, and what the ticker makes of a poll that goes wrong."""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from gevent.event import Event
from locust.env import Environment

from tests.run.fakes import FakeCommand, configuration, options
from triton_users.events import add_hooks
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


def test_a_request_that_is_not_ours_is_not_counted(node: Node) -> None:
    environment = Environment()
    add_hooks(environment)
    node.listen(environment.events)
    environment.events.request.fire(
        request_type="GET", name="/", response_time=1.0, response_length=1, exception=None, context={}
    )
    assert not node.recorder.ledger.rows
    environment.events.request.fire(
        request_type="grpc", name="m", response_time=1.0, response_length=1, exception=None, context={},
        scenario="Timeout", model="m", method="ModelInfer",
    )  # fmt: skip
    assert list(node.recorder.ledger.rows) == [("Timeout", "m")]


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
