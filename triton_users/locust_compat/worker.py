"""A worker's runner: reports that are needed now, orders that come too late. Knows no message of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from locust.runners import WorkerRunner


def send_report_before_its_interval_is_over(runner: WorkerRunner) -> None:
    """Send the master a report now, with what listeners of `report_to_master` put into it.

    Locust reports every 3 s and when the master says quit. A worker that dies in its first seconds would be unknown to
    the master, and the last counts of a run would come after its end. Seen in 2.46 and 2.47. Can go when a worker sends
    a report at `test_start` and, before the master fires `test_stop`, at the end.
    """
    runner._send_stats()


def void_an_order_to_start_that_was_overtaken(runner: WorkerRunner, at: float) -> None:
    """Follow no order to start that the master gave before `at`, in seconds since 1970 by the master's clock.

    A master that ramps up sends its orders from greenlets of their own, so one can be sent after the order to stop; a
    worker compares it with earlier orders to start only. Seen in 2.46 and 2.47. Can go when an order to stop carries a
    time too.
    """
    runner.last_received_spawn_timestamp = at  # type: ignore[assignment]  # Locust begins with an int


def forget_statistics_not_yet_sent(runner: WorkerRunner) -> None:
    """Reset this worker's own statistics.

    When somebody presses Reset, Locust resets the master's statistics only: what the workers have not yet sent is
    counted after it. Seen in 2.46 and 2.47. Can go when a reset reaches the workers.
    """
    runner.stats.reset_all()


LINGER_MS = 3_000
"""How long a worker that ends waits until its last messages are on their way, in milliseconds; mostly under one."""


def wait_until_the_last_messages_are_sent(runner: WorkerRunner) -> None:
    """Close the connection to the master, when all that was given to it is sent; the last thing a worker does.

    Locust's worker exits with its messages in the hands of ZeroMQ's own thread, which the exit ends too: where that
    thread has had no CPU yet, the last report never leaves. ZeroMQ waits for it when a context is terminated, which
    pyzmq does not do at an exit. Seen in 2.46 and 2.47. Can go when a worker closes its connection before it
    exits.
    """
    socket = runner.client.socket
    context = socket.context
    socket.close(linger=LINGER_MS)
    context.term()


class NoUsersWhileStopping:
    """Lets a worker that is stopping start no users.

    A master may still ramp up when the run is stopped, or give this worker the users of one that stopped first. Those
    would be stopped by nobody, and be in no report. Seen in 2.46 and 2.47. Can go when a worker that stops refuses
    orders to start until its next `test_start`.
    """

    def __init__(self, runner: WorkerRunner) -> None:
        self._start: Callable[..., None] = runner.start_worker
        self.stopping = False
        runner.start_worker = self._start_unless_stopping  # type: ignore[method-assign]

    def _start_unless_stopping(self, user_classes_count: dict[str, int], **keywords: Any) -> None:
        if not self.stopping:
            self._start(user_classes_count, **keywords)


class LocustWorker:
    """A worker's runner as `run/` uses it."""

    def __init__(self, runner: WorkerRunner) -> None:
        self._runner = runner
        self._users = NoUsersWhileStopping(runner)

    def listen(self, message: str, listener: Callable[[Any], None], *, concurrent: bool = False) -> None:
        """Call `listener` with the data of each such message from the master.

        `concurrent`: in a greenlet of its own, so that other messages are heard meanwhile.
        """

        def heard(environment: object, msg: Any) -> None:  # named as Locust names them; 2.46 gives them by place
            listener(msg.data)

        self._runner.register_message(message, heard, concurrent=concurrent)

    def send(self, message: str, data: Mapping[str, Any] | None = None) -> None:
        """Send a message to the master."""
        self._runner.send_message(message, None if data is None else dict(data))

    def report(self) -> None:
        """Send a report now."""
        send_report_before_its_interval_is_over(self._runner)

    def accept_users(self, accept: bool) -> None:
        """Whether orders to start users are followed."""
        self._users.stopping = not accept

    def stop(self, at: float) -> None:
        """Stop all users; orders that the master gave before `at` are void."""
        void_an_order_to_start_that_was_overtaken(self._runner, at)
        self._runner.stop()

    def hang_up(self) -> None:
        """Send what is left to send, and nothing after it."""
        wait_until_the_last_messages_are_sent(self._runner)

    def forget_statistics(self) -> None:
        """Reset what Locust has counted here."""
        forget_statistics_not_yet_sent(self._runner)
