"""What a run needs of the locust command around it. Knows Locust's environment, nothing of runs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

import gevent
from locust.env import Environment
from locust.runners import MasterRunner

from triton_users.locust_compat.start_gate import refuse_to_start_without_a_traceback
from triton_users.locust_compat.tasks import a_user_has_not_ended, tags_in_force, users_that_run

SPAWN_RATE = 100.0
"""Users a second that are started when their number changes. Above this Locust warns."""

CARRIED = "triton_run"
"""The name of the option that carries a run to the workers."""


def run_time_in_force(environment: Environment) -> float | None:
    """After how many seconds the run ends by itself; None where nothing or a load shape says when.

    Locust leaves `--run-time` in the options also where a load shape ignores it. Seen in 2.46 and 2.47. Can go when
    the environment says what a run's time is.
    """
    shape = environment.shape_class
    options: Any = environment.parsed_options
    return options.run_time if shape is None or shape.use_common_options else None


def carry_with_the_options(options: Namespace, packed: Mapping[str, Any]) -> None:
    """Have the workers get `packed`, plain values, with each order to start.

    Locust has messages of one's own, but none that a worker gets for sure before `test_start`, whenever it joins. The
    options do: Locust sends those that are not its own with each order, whatever they are. Seen in 2.46 and 2.47. Can
    go when something else of ours travels with the order to start.
    """
    setattr(options, CARRIED, packed)


class LocustCommand:
    """The locust command as `run/` uses it."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    @property
    def options(self) -> Namespace:
        options: Any = self._environment.parsed_options
        return options  # type: ignore[no-any-return]  # the locust command always has them

    @property
    def host(self) -> str:
        """The server that Locust gives to all users; "" where each class has its own."""
        return self._environment.host or ""

    @host.setter
    def host(self, host: str) -> None:
        self._environment.host = self.options.host = host

    @property
    def user_classes(self) -> list[Any]:
        return self._environment.user_classes

    @property
    def tags(self) -> tuple[Collection[str], Collection[str]]:
        """Those of `--tags`, those of `--exclude-tags`."""
        return tags_in_force(self._environment)

    @property
    def shaped(self) -> bool:
        """Whether a load shape says how many users there are."""
        return self._environment.shape_class is not None

    @property
    def run_time_s(self) -> float | None:
        return run_time_in_force(self._environment)

    @property
    def stop_timeout_s(self) -> float:
        """`--stop-timeout`: how long users may take to end what they are at."""
        return self._environment.stop_timeout or 0.0

    @property
    def distributed(self) -> bool:
        """Whether this is a master."""
        return isinstance(self._environment.runner, MasterRunner)

    @property
    def worker_count(self) -> int:
        """How many workers there are; 0 in a local run."""
        runner = self._environment.runner
        return runner.worker_count if isinstance(runner, MasterRunner) else 0

    @property
    def worker_index(self) -> int:
        """This worker's number; 0 in a local run."""
        return getattr(self._environment.runner, "worker_index", 0)

    def users(self) -> list[Any]:
        """The users that run here now, none of which was told to stop at once."""
        return users_that_run(self._environment.runner)

    @property
    def has_users(self) -> bool:
        """Whether a user has not ended here; one that was told to stop may still wait for an answer."""
        return a_user_has_not_ended(self._environment.runner)

    @property
    def target_users(self) -> int:
        """How many users this run is to have, of all workers together."""
        runner: Any = self._environment.runner
        users: int = runner.target_user_count
        return users

    def set_users(self, users: int) -> None:
        """Have the run that goes on have so many users, soon."""
        runner: Any = self._environment.runner
        runner.start(users, SPAWN_RATE)

    def end_run(self) -> None:
        """End the run that goes on soon, and a headless command with it. Returns at once."""
        runner: Any = self._environment.runner
        gevent.spawn(runner.quit if self._environment.web_ui is None else runner.stop)

    def exit_with(self, code: int) -> None:
        """Settle the command's exit code."""
        self._environment.process_exit_code = code

    def stop(self) -> None:
        """End the run that goes on, and the runner. Returns when `test_stop` has been fired."""
        runner: Any = self._environment.runner
        runner.quit()

    def quit(self) -> None:
        """End the command soon; a web UI goes on. Returns at once."""
        runner: Any = self._environment.runner
        gevent.spawn(runner.quit)

    def refuse_to_start(self, why: str) -> NoReturn:
        """End the start of a run that is under way, and a headless command with it."""
        refuse_to_start_without_a_traceback(self._environment, why)

    def give_to_users(self, run: object) -> None:
        """Let the users of this process find the run, as their environment's `triton_run`."""
        self._environment.triton_run = run  # type: ignore[attr-defined]  # ours

    def send_with_orders(self, packed: Mapping[str, Any]) -> None:
        """Have the workers get these plain values with each order to start."""
        carry_with_the_options(self.options, packed)

    def came_with_the_order(self) -> Mapping[str, Any] | None:
        """What the master sent with its order to start; None where it sent nothing."""
        packed: Mapping[str, Any] | None = getattr(self.options, CARRIED, None)
        return packed
