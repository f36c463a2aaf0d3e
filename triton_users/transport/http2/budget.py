"""How much fruitless work a peer may cause: a budget, earned by time and by useful traffic; knows no frames.

Every frame that asks for work and brings a call no further (PING, SETTINGS, an empty DATA, anything for a stream that
is gone) spends from it. An honest server stays far below; one that floods gets ENHANCE_YOUR_CALM.
"""

from __future__ import annotations

from typing import Final

from triton_users.transport.http2.faults import ConnectionFault, ErrorCode

#: Frames at once. Picked arbitrarily: about 30 ms of our time, and 170 kB of PING answers.
CAPACITY: Final = 10_000.0
#: Frames per second earned by time alone: at most about 0.3 % of a core.
EARNED_PER_S: Final = 1_000.0
#: What a new stream and a byte of DATA earn the peer. Picked so that a server may answer each request with several
#: WINDOW_UPDATE and PING frames, and go on for a while on a stream that we have reset.
EARNED_PER_STREAM: Final = 16.0
EARNED_PER_BYTE: Final = 1 / 1024


class Budget:
    """A token bucket, a token a frame, whose clock is whatever time `refill` is told, in seconds."""

    __slots__ = ("_filled_s", "earned", "left")

    def __init__(self) -> None:
        self.left = CAPACITY
        #: What useful traffic has earned since the last refill; who sees such traffic adds to it.
        self.earned = 0.0
        self._filled_s: float | None = None

    def refill(self, now_s: float) -> None:
        """Take what was earned, by useful traffic and by the time since the last refill."""
        earned, self.earned = self.earned, 0.0
        if self._filled_s is not None:
            earned += (now_s - self._filled_s) * EARNED_PER_S
        self._filled_s = now_s
        self.left = min(CAPACITY, self.left + earned)

    def spend(self, cost: float, what: str) -> None:
        """Pay for one frame; ENHANCE_YOUR_CALM when nothing is left."""
        self.left -= cost
        if self.left < 0:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"the peer floods; the last straw was {what}")
