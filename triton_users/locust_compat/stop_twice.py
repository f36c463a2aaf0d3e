"""A runner that is told to stop while it stops. Knows no run of ours."""

from __future__ import annotations

from gevent.lock import RLock
from locust.runners import Runner

TURN_LIMIT_S = 10.0
"""How long a second stop waits for the first, in seconds; a healthy run's takes under one, and two where answers are
under way."""


def stop_once_at_a_time(runner: Runner) -> None:
    """Have a stop of a local runner or a worker wait for one that is under way; it has nothing left to do then.

    A signal to all processes (a terminal's Ctrl+C, the stop of a systemd unit) is an order to each worker, and makes
    the master give another. Locust follows both at once: the second stops users that are stopping, which with
    `--stop-timeout` prints a traceback that ends with "This should never happen", and fires `test_stop` while users
    are still at work. Seen in 2.46 and 2.47. Can go when `Runner.stop` waits for itself.
    """
    stop, turn = runner.stop, RLock()

    def stop_in_turn() -> None:
        mine = turn.acquire(timeout=TURN_LIMIT_S)
        try:
            stop()
        finally:
            if mine:
                turn.release()

    runner.stop = stop_in_turn  # type: ignore[method-assign]
