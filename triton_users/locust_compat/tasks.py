"""Tasks that are set after Locust has made its lists, and who picks them. Knows no task."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from locust import User
    from locust.env import Environment
    from locust.runners import Runner


def pick_with_a_generator_of_ones_own(user: User, next_task: Callable[[], Any]) -> None:
    """Have `user` ask `next_task` for each of its tasks; call it in the user's `on_start`.

    Locust picks with the global random generator, which everything else draws from too, so no seed can repeat a run;
    and a User, unlike a TaskSet, has no documented method to override. Seen in 2.46 and 2.47. Can go when a User can
    pick its own tasks.
    """
    taskset: Any = user._taskset_instance
    taskset.get_next_task = next_task


def tags_in_force(environment: Environment) -> tuple[Collection[str], Collection[str]]:
    """`--tags` and `--exclude-tags`, empty where not given.

    Locust applies them once in the life of an environment, before the first `test_start`: tasks that are set then are
    not filtered, and neither is a later run. Whoever sets tasks later has to apply them again. Seen in 2.46 and 2.47.
    Can go when tasks are filtered at each start, after `test_start`.
    """
    options = environment.parsed_options
    tags, excluded = environment.tags, environment.exclude_tags
    if tags is None:
        tags = getattr(options, "tags", None)
    if excluded is None:
        excluded = getattr(options, "exclude_tags", None)
    return tuple(tags or ()), tuple(excluded or ())


def users_that_run(runner: Runner | None) -> list[Any]:
    """The users that run now, none of which was told to stop at once.

    A runner counts its users but does not give them out. Its greenlets have them as their argument, until they end or
    are killed. Seen in 2.46 and 2.47. Can go when a runner lists its users.
    """
    greenlets: Any = runner.user_greenlets if runner is not None else ()
    return [greenlet.args[0] for greenlet in greenlets if greenlet.args]


def a_user_has_not_ended(runner: Runner | None) -> bool:
    """Whether there are users, those included that were killed and still wait for an answer.

    A runner counts those as well, but gevent has taken their user from them, so `users_that_run` lacks them. Seen in
    2.46 and 2.47. Can go with that.
    """
    greenlets: Any = runner.user_greenlets if runner is not None else ()
    return not all(greenlet.ready() for greenlet in greenlets)
