"""Tasks that start on arrival, on the real classes of Locust."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.queue import Queue
from locust import SequentialTaskSet, TaskSet, User, constant, task

from tests.locust_compat.conftest import environment, until
from triton_users.locust_compat.open_loop import (
    start_tasks_on_arrival,
    start_tasks_one_after_the_other,
    tasks_by_name,
)


class Door:
    """What arrives: "" for the task that was picked, else the name of another one."""

    def __init__(self) -> None:
        self.arrivals: Queue[str] = Queue()
        self.waiting = 0
        self.left: list[User] = []

    def arrive(self, user: User) -> Callable[..., Any] | None:
        self.waiting += 1
        try:
            name = self.arrivals.get()
        finally:
            self.waiting -= 1
        return tasks_by_name(type(user))[name] if name else None


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    start_tasks_on_arrival(made.arrive, made.left.append, lambda user: not hasattr(user, "closed"))
    yield made
    start_tasks_one_after_the_other()


def test_locust_s_users_still_know_no_arrivals() -> None:
    """When one of these fails, see whether `start_tasks_on_arrival` can go, or has to be another one."""
    start_tasks_one_after_the_other()
    assert TaskSet.execute_next_task.__module__ == TaskSet.wait.__module__ == "locust.user.task"
    assert User.stop.__module__ == "locust.user.users"


def test_a_task_starts_when_something_arrives_and_its_wait_time_does_not_count(door: Door) -> None:
    done: list[str] = []

    class Visitor(User):
        wait_time = constant(1_000)

        @task
        def visit(self) -> None:
            done.append("visit")

    runner = environment(Visitor).create_local_runner()
    runner.start(2, 2)
    until(lambda: door.waiting == 2)
    assert done == []
    for _ in range(3):
        door.arrivals.put("")
    until(lambda: done == ["visit"] * 3 and door.waiting == 2)
    runner.quit()
    assert door.waiting == 0
    assert len(door.left) == 2


def test_what_arrives_may_name_another_task(door: Door) -> None:
    done: list[str] = []

    class Visitor(User):
        @task(1_000)
        def visit(self) -> None:
            done.append("visit")

        @task(1)
        def leave(self) -> None:
            done.append("leave")

    runner = environment(Visitor).create_local_runner()
    runner.start(1, 1)
    for name in ("leave", "", "leave"):
        door.arrivals.put(name)
    until(lambda: len(done) == 3)
    runner.quit()
    assert done[::2] == ["leave", "leave"]


def test_a_task_that_waits_in_the_middle_of_its_work_does_wait(door: Door) -> None:
    slept: list[float] = []

    class Visitor(User):
        wait_time = constant(0.05)

        @task
        def visit(self) -> None:
            before = gevent.get_hub().loop.now()
            self.wait()
            slept.append(gevent.get_hub().loop.now() - before)

    runner = environment(Visitor).create_local_runner()
    runner.start(1, 1)
    door.arrivals.put("")
    until(lambda: slept)
    runner.quit()
    assert slept[0] >= 0.04


def test_the_tasks_of_a_task_set_wait_each_and_the_set_itself_does_not(door: Door) -> None:
    done: list[str] = []

    class Visitor(User):
        @task
        class Walk(SequentialTaskSet):
            @task
            def one(self) -> None:
                done.append("one")

            @task
            def two(self) -> None:
                done.append("two")
                self.interrupt()

    runner = environment(Visitor).create_local_runner()
    runner.start(1, 1)
    for _ in range(4):
        door.arrivals.put("")
    until(lambda: len(done) == 4 and door.waiting == 1)
    runner.quit()
    assert done == ["one", "two", "one", "two"]


def test_a_task_that_raises_takes_the_next_arrival(door: Door) -> None:
    tries: list[int] = []

    class Visitor(User):
        wait_time = constant(1_000)

        @task
        def visit(self) -> None:
            tries.append(1)
            raise ValueError("no")

    runner = environment(Visitor).create_local_runner()
    runner.start(1, 1)
    door.arrivals.put("")
    door.arrivals.put("")
    until(lambda: len(tries) == 2 and door.waiting == 1)
    runner.quit()


def test_users_that_it_does_not_concern_and_later_runs_are_as_ever(door: Door) -> None:
    done: list[str] = []

    class Closed(User):
        closed = True
        wait_time = constant(0.01)

        @task
        def work(self) -> None:
            done.append("work")

    runner = environment(Closed).create_local_runner()
    runner.start(1, 1)
    until(lambda: len(done) > 3)
    runner.quit()
    start_tasks_one_after_the_other()

    class Later(User):
        wait_time = constant(0.01)

        @task
        def work(self) -> None:
            done.append("later")

    runner = environment(Later).create_local_runner()
    runner.start(1, 1)
    until(lambda: done.count("later") > 3)
    runner.quit()
    assert door.waiting == 0
