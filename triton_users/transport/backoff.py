"""When a failed connection may be tried again, and why it failed; knows no clock and no sockets.

Source: https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md.
"""

from __future__ import annotations

import random
from typing import Final

from triton_users.transport.errors import ConnectFailure
from triton_users.transport.options import ChannelOptions

#: Growth of the pause, and its jitter.
FACTOR: Final = 1.6
JITTER: Final = 0.2


class Backoff:
    """The pauses between failed attempts: longer each time, short again after one that succeeded."""

    __slots__ = ("_initial_s", "_max_s", "failure", "failures", "pause_s", "retry_s")

    def __init__(self, options: ChannelOptions) -> None:
        self._initial_s = options.backoff_initial_s
        self._max_s = options.backoff_max_s
        #: The pause after the next failure, without jitter.
        self.pause_s = self._initial_s
        #: When the next attempt may be made, by the clock that `failed` is told.
        self.retry_s = 0.0
        #: Attempts that have failed so far, and why the last one did.
        self.failures = 0
        self.failure: ConnectFailure | None = None

    def failed(self, failure: ConnectFailure, now_s: float) -> None:
        """An attempt has failed."""
        self.failures += 1
        self.failure = failure
        self.retry_s = now_s + self.pause_s * random.uniform(1 - JITTER, 1 + JITTER)
        self.pause_s = min(self.pause_s * FACTOR, self._max_s)

    def succeeded(self) -> None:
        """A connection has been made."""
        self.pause_s = self._initial_s
        self.retry_s = 0.0
