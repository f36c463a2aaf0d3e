"""A worker's runner: reports that are needed now, orders that come too late."""

from collections.abc import Callable
from typing import Any

import pytest
from locust.rpc.protocol import Message
from locust.runners import MasterRunner, WorkerRunner

from tests.locust_compat.conftest import until
from triton_users.locust_compat.worker import (
    LocustWorker,
    NoUsersWhileStopping,
    forget_statistics_not_yet_sent,
    send_report_before_its_interval_is_over,
    void_an_order_to_start_that_was_overtaken,
    wait_until_the_last_messages_are_sent,
)

USERS = {"Idle": 1}


def test_a_report_is_sent_at_once_with_what_listeners_put_in(master: MasterRunner, worker: WorkerRunner) -> None:
    came: list[Any] = []
    master.environment.events.worker_report.add_listener(lambda data, **_: came.append(data.get("ours")))
    until(lambda: came)  # the one that a worker sends when it has connected
    worker.environment.events.report_to_master.add_listener(lambda data, **_: data.update(ours=7))
    send_report_before_its_interval_is_over(worker)
    until(lambda: came[-1] == 7, limit_s=1.0)


def test_an_order_to_start_that_was_overtaken_starts_nobody(worker: WorkerRunner) -> None:
    order = {"user_classes_count": USERS, "host": "", "stop_timeout": 0, "parsed_options": {}}
    until(lambda: hasattr(worker, "last_received_spawn_timestamp"))
    void_an_order_to_start_that_was_overtaken(worker, 1000.2)
    worker.handle_message(Message("spawn", {**order, "timestamp": 1000.1}, worker.client_id))
    assert worker.spawning_greenlet is None
    worker.handle_message(Message("spawn", {**order, "timestamp": 1000.3}, worker.client_id))
    until(lambda: worker.user_count == 1)


def test_a_worker_that_is_stopping_starts_no_users(worker: WorkerRunner) -> None:
    users = NoUsersWhileStopping(worker)
    users.stopping = True
    worker.start_worker(USERS)
    assert worker.user_count == 0
    users.stopping = False
    worker.start_worker(USERS)
    assert worker.user_count == 1


def test_statistics_that_were_not_sent_are_forgotten(worker: WorkerRunner) -> None:
    worker.environment.events.request.fire(request_type="grpc", name="m", response_time=1.0, response_length=1)
    assert worker.stats.total.num_requests == 1
    forget_statistics_not_yet_sent(worker)
    assert worker.stats.total.num_requests == 0


@pytest.mark.parametrize("concurrent", [False, True])
def test_messages_go_both_ways(master: MasterRunner, connect: Callable[[], WorkerRunner], concurrent: bool) -> None:
    heard: list[Any] = []
    master.register_message("up", lambda msg, **_: heard.append((msg.node_id, msg.data)))
    runner = connect()
    worker = LocustWorker(runner)
    worker.listen("down", heard.append, concurrent=concurrent)
    master.send_message("down", {"epoch": "one"})
    until(lambda: heard == [{"epoch": "one"}])
    worker.send("up")
    until(lambda: heard[1:] == [(runner.client_id, None)])


def test_the_last_message_is_sent_before_a_worker_hangs_up(master: MasterRunner, worker: WorkerRunner) -> None:
    heard: list[Any] = []
    master.register_message("last", lambda msg, **_: heard.append(msg.data))
    worker.greenlet.kill()  # as Locust does before it says `quit`
    worker.send_message("last", {"bytes": "x" * 1_000_000})
    context = worker.client.socket.context
    wait_until_the_last_messages_are_sent(worker)
    assert context.closed
    until(lambda: heard)
