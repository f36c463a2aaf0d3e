"""Tasks that start when something arrives instead of when the one before has ended. Knows no arrival."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from locust import TaskSet, User
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

_own_execute_next_task: Callable[[TaskSet], None] = TaskSet.execute_next_task
_own_stop: Callable[[User, bool], bool] = User.stop
_own_wait: Callable[[TaskSet], None] = TaskSet.wait


def start_tasks_on_arrival(
    arrive: Callable[[User], Callable[..., Any] | None],
    leave: Callable[[User], None],
    concerns: Callable[[User], bool] = lambda _: True,
) -> None:
    """From here on each task of the users that this concerns waits for `arrive`, and none waits after it has ended.

    `arrive` is called in the user's greenlet and returns when something has arrived for it: a task in place of the one
    that was picked, or None for that one. While it waits the user can be stopped at once, as one in its `wait_time`:
    `leave` is called first, since one that is being killed must not be given anything.

    Locust's users are a closed loop: what is between two tasks is `wait_time`, which knows the end of the task before
    only, and no event says that a user is free. Seen in 2.46 and 2.47. Can go when there is a place of one's own
    between two tasks.
    """

    def execute_next_task(self: Any) -> None:  # a TaskSet, on which `triton_task_ended` is until the wait that follows
        user, queue = self.user, self._task_queue
        if not concerns(user):
            _own_execute_next_task(self)
            return
        try:
            if not (isinstance(queue[0], type) and issubclass(queue[0], TaskSet)):
                user._state = LOCUST_STATE_WAITING
                instead = arrive(user)
                if user._state == LOCUST_STATE_STOPPING:
                    raise StopUser
                user._state = LOCUST_STATE_RUNNING
                if instead is not None:
                    queue[0] = instead
            _own_execute_next_task(self)
        finally:
            self.triton_task_ended = True

    def wait(self: Any) -> None:
        if not getattr(self, "triton_task_ended", False):
            _own_wait(self)  # a task that waits in the middle of its work
            return
        self.triton_task_ended = False
        if self.user._state == LOCUST_STATE_STOPPING:
            raise StopUser

    def stop(self: User, force: bool = False) -> bool:
        leave(self)
        return _own_stop(self, force)

    User.stop = stop  # type: ignore[method-assign]
    TaskSet.execute_next_task = execute_next_task  # type: ignore[method-assign]
    TaskSet.wait = wait  # type: ignore[method-assign]


def start_tasks_one_after_the_other() -> None:
    """As Locust itself does. Safe to call at any time."""
    User.stop = _own_stop  # type: ignore[assignment, method-assign]
    TaskSet.execute_next_task = _own_execute_next_task  # type: ignore[method-assign]
    TaskSet.wait = _own_wait  # type: ignore[method-assign]


def tasks_by_name(user_class: type[User]) -> dict[str, Callable[..., Any]]:
    """A class's tasks, by the names of their functions."""
    tasks: Iterable[Any] = user_class.tasks
    return {task.__name__: task for task in tasks}
