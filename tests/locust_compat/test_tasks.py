"""Tasks that are set after Locust has filtered them, and who picks them."""

import gevent
from gevent.event import Event
from locust import User, constant, tag, task

from tests.locust_compat.conftest import environment, until
from triton_users.locust_compat.tasks import (
    a_user_has_not_ended,
    pick_with_a_generator_of_ones_own,
    tags_in_force,
    users_that_run,
)


def test_a_user_picks_its_tasks_as_we_say() -> None:
    done: list[str] = []

    class Picky(User):
        wait_time = constant(0.01)

        def on_start(self) -> None:
            pick_with_a_generator_of_ones_own(self, lambda: Picky.second)

        @task(1000)
        def first(self) -> None:
            done.append("first")

        @task
        def second(self) -> None:
            done.append("second")

    runner = environment(Picky).create_local_runner()
    runner.start(1, 1)
    until(lambda: len(done) >= 3)
    runner.quit()
    assert set(done) == {"second"}


def test_locust_still_filters_tasks_once_and_before_test_start() -> None:
    """When this fails, see whether `tags_in_force` can go."""

    class Tagged(User):
        @tag("wanted")
        @task
        def wanted(self) -> None:
            gevent.sleep(0.01)

        @tag("unwanted")
        @task
        def unwanted(self) -> None:
            gevent.sleep(0.01)

    made = environment(Tagged)
    made.parsed_options.tags = ["wanted"]  # type: ignore[union-attr]
    at_the_start: list[int] = []

    def set_them_again(**_: object) -> None:
        at_the_start.append(len(Tagged.tasks))
        Tagged.tasks = [Tagged.wanted, Tagged.unwanted]

    made.events.test_start.add_listener(set_them_again)
    runner = made.create_local_runner()
    for _ in range(2):
        runner.start(1, 1)
        until(lambda: runner.user_count)
        runner.stop()
    runner.quit()
    assert at_the_start == [1, 2]
    assert len(Tagged.tasks) == 2


def test_tags_come_from_the_command_line_unless_the_environment_has_its_own() -> None:
    made = environment()
    assert tags_in_force(made) == ((), ())
    made.parsed_options.tags, made.parsed_options.exclude_tags = ["a"], ["b"]  # type: ignore[union-attr]
    assert tags_in_force(made) == (("a",), ("b",))
    made.tags, made.exclude_tags = ["c"], []
    assert tags_in_force(made) == (("c",), ())


def test_the_users_that_run_are_listed_and_those_that_have_ended_are_not() -> None:
    runner = environment().create_local_runner()
    assert users_that_run(None) == []
    runner.start(2, 2)
    until(lambda: runner.user_count == 2)
    users = users_that_run(runner)
    assert [type(user).__name__ for user in users] == ["Idle", "Idle"]
    ended = next(iter(runner.user_greenlets))
    ended.kill()
    runner.user_greenlets.add(ended)
    assert len(users_that_run(runner)) == 1
    runner.quit()


def test_a_user_that_was_killed_and_waits_for_an_answer_runs_no_more_but_has_not_ended() -> None:
    answered = Event()

    class Asking(User):
        @task
        def ask(self) -> None:
            try:
                gevent.sleep(60)
            finally:
                answered.wait(10)

    assert not a_user_has_not_ended(None)
    runner = environment(Asking).create_local_runner()
    assert not a_user_has_not_ended(runner)
    runner.start(1, 1)
    until(lambda: bool(users_that_run(runner)))
    (user,) = users_that_run(runner)
    assert a_user_has_not_ended(runner)
    gevent.sleep(0)  # its task has begun
    user.group.killone(user.greenlet, block=False)
    gevent.sleep(0.01)
    assert users_that_run(runner) == []
    assert a_user_has_not_ended(runner)
    answered.set()
    until(lambda: not a_user_has_not_ended(runner))
    runner.quit()
