"""Tasks that are set after Locust has filtered them, and who picks them."""

import gevent
from locust import User, constant, tag, task

from tests.locust_compat.conftest import environment, until
from triton_users.locust_compat.tasks import (
    pick_with_a_generator_of_ones_own,
    tags_in_force,
    users_that_have_not_ended,
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
    assert users_that_have_not_ended(None) == []
    runner.start(2, 2)
    until(lambda: runner.user_count == 2)
    users = users_that_have_not_ended(runner)
    assert [type(user).__name__ for user in users] == ["Idle", "Idle"]
    ended = next(iter(runner.user_greenlets))
    ended.kill()
    runner.user_greenlets.add(ended)
    assert len(users_that_have_not_ended(runner)) == 1
    runner.quit()
