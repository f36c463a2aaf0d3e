"""The master's runner: how a run ends, and workers that come and go."""

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event
from gevent.pool import Group
from locust.runners import STATE_RUNNING, STATE_SPAWNING, MasterRunner, WorkerRunner

from tests.locust_compat.conftest import until
from triton_users.locust_compat.listeners import listen_before_those_already_there
from triton_users.locust_compat.master import (
    LocustMaster,
    RampUp,
    count_nothing_of_a_report_from_before_a_reset,
    give_newcomers_no_users,
    keep_hearing_workers_while_their_loop_stops_the_run,
    seconds_since_a_worker_was_heard,
)

Start = Callable[[int, float], object]


@pytest.fixture
def start(master: MasterRunner) -> Iterator[Start]:
    """Starts users as the locust command does, in a greenlet of its own."""
    ramp_ups = Group()
    yield lambda users, rate: ramp_ups.spawn(master.start, users, rate)
    ramp_ups.kill()


def test_a_worker_that_joins_when_the_run_ends_gets_no_users(
    master: MasterRunner, worker: WorkerRunner, start: Start, connect: Callable[[], WorkerRunner]
) -> None:
    start(2, 2)
    until(lambda: worker.user_count == 2 and master.state == STATE_RUNNING)
    give_newcomers_no_users(master)
    late = connect()
    gevent.sleep(0.3)
    assert late.user_count == 0


def test_a_worker_that_joins_a_run_does_get_users(
    master: MasterRunner, worker: WorkerRunner, start: Start, connect: Callable[[], WorkerRunner]
) -> None:
    """The other half of the test above: without us it would get them at the end too."""
    start(2, 2)
    until(lambda: worker.user_count == 2 and master.state == STATE_RUNNING)
    late = connect()
    until(lambda: late.user_count == 1)


def test_a_ramp_up_ends_with_its_run(master: MasterRunner, worker: WorkerRunner, start: Start) -> None:
    made: list[RampUp] = []
    spawned: list[int] = []
    master.environment.events.test_start.add_listener(lambda **_: made.append(RampUp()))
    master.environment.events.spawning_complete.add_listener(lambda user_count: spawned.append(user_count))
    start(3, 1)
    until(lambda: master.state == STATE_SPAWNING and worker.user_count)
    made[0].end_with_its_run()
    master.stop()
    gevent.sleep(2.5)  # when it would have been over
    assert master.state != STATE_RUNNING
    assert not spawned


def test_workers_are_heard_while_the_loop_that_hears_them_stops_the_run(
    master: MasterRunner, worker: WorkerRunner, start: Start
) -> None:
    answered = Event()
    heard: list[bool] = []

    def wait_for_an_answer(**_: Any) -> None:
        with keep_hearing_workers_while_their_loop_stops_the_run(master):
            worker.send_message("answer")
            heard.append(answered.wait(5))

    master.register_message("answer", lambda **_: answered.set())
    master.environment.events.test_stopping.add_listener(wait_for_an_answer)
    start(1, 1)
    until(lambda: master.state == STATE_RUNNING)
    worker.environment.events.quitting.fire(environment=worker.environment)  # the last worker quits
    until(lambda: heard)
    assert heard == [True]


def test_it_is_known_how_long_a_worker_was_silent(master: MasterRunner, worker: WorkerRunner) -> None:
    until(lambda: (seconds_since_a_worker_was_heard(master, worker.client_id) or 0) <= 1)
    worker.greenlet.kill()
    until(lambda: (seconds_since_a_worker_was_heard(master, worker.client_id) or 0) >= 2)
    assert seconds_since_a_worker_was_heard(master, "somebody else") is None


def test_a_report_from_before_a_reset_counts_nothing(master: MasterRunner, worker: WorkerRunner) -> None:
    came: list[Any] = []

    def discount(data: dict[str, Any], **_: Any) -> None:
        came.append(sum(entry["num_requests"] for entry in data["stats"]))
        count_nothing_of_a_report_from_before_a_reset(data, master.stats)

    listen_before_those_already_there(master.environment.events.worker_report, discount)
    worker.environment.events.request.fire(
        request_type="grpc", name="m", response_time=1.0, response_length=1, exception=ValueError("no")
    )
    worker._send_stats()
    until(lambda: 1 in came)
    gevent.sleep(0)
    assert master.stats.total.num_requests == 0
    assert not master.stats.entries
    assert not master.stats.errors


def test_what_a_run_uses_of_a_master_works_together(master: MasterRunner, worker: WorkerRunner, start: Start) -> None:
    ours = LocustMaster(master)
    heard: list[Any] = []
    worker.register_message("order", lambda msg, **_: heard.append(msg.data))
    ours.listen("answer", heard.append)
    master.environment.events.test_start.add_listener(lambda **_: ours.begin_run())
    start(1, 1)
    until(lambda: master.state == STATE_RUNNING)
    ours.end_ramp_up()
    assert ours.workers() == [worker.client_id]
    ours.send("order", {"at": 1.0})
    with ours.hearing():
        until(lambda: heard == [{"at": 1.0}])
        worker.send_message("answer")
        until(lambda: heard[1:] == [worker.client_id])
    assert (ours.unheard_s(worker.client_id) or 0) < 5
