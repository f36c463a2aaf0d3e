"""Tells a busy server from a broken one, for a request that has waited long: by what the server says it did meanwhile.

A limit in seconds alone cannot: on a machine with ten times the load a healthy server takes ten times as long, and a
frozen one still never answers. So beyond the limit a request goes on waiting while there is evidence of work, and only
then. It knows the server's own statistics and the load of this machine; it judges no answer.
"""

from __future__ import annotations

import os

from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import Client, Session, Skip
from triton_users.scenarios.server_work import Work, work_of

PATIENCE = 4
"""How many times its limit a request may take, however busy the server shows itself; picked arbitrarily."""

PASSED_OVER = 5.0
"""A request that has waited this many times longer than others of its model took meanwhile was passed over or lost.
Queues that grow make it 2 or 3 on a healthy server."""
PASSED_OVER_BY = 10
"""How many others must have been answered for that to be said."""

STALL_S = 3.0
"""For so long any process may get no processor where there is too much to do: seen 1.5 s, at twelve times as much."""

LOOKS = 5
"""How often the server is asked during one limit."""


class Patience:
    """One request's wait for one model; `client` asks the server. To be looked at every `pause_s`."""

    def __init__(self, session: Session, client: Client, model: str, limit_s: float) -> None:
        self._session = session
        self._client = client
        self._model = model
        self.limit_s = limit_s
        self.longest_s = max(PATIENCE * limit_s, STALL_S + limit_s)
        """How long to wait at the most, however busy the server shows itself."""
        self.pause_s = limit_s / LOOKS
        self._since_s = self._moved_s = session.clock()
        self._first: Work | None = None
        self._last: Work | None = None
        self._answers = True

    @property
    def waited_s(self) -> float:
        return self._session.clock() - self._since_s

    @property
    def at_work(self) -> bool:
        """Whether the server was at work on other requests of the model when it was last looked at."""
        idle_s = self._session.clock() - self._moved_s
        allowed_s = max(2 * self.pause_s, PASSED_OVER * self._last.execution_s if self._last else 0.0)
        return self._answers and self._last != self._first and idle_s <= allowed_s

    def look(self) -> str:
        """Ask the server: why the wait shows it to be broken, or "" where to go on waiting is right.

        Raises Skip at the end of all patience with a server that was at work all the time: that proves nothing.
        """
        overloaded = overload(self._session.target.address)
        scale, stall_s = min(PATIENCE - 1, overloaded), STALL_S if overloaded > 1 else 0.0
        try:
            work = work_of(self._client, self._model, self.pause_s * scale)
            self._answers = True
        except InferenceServerException as error:
            self._answers = False
            return f"nor did the server tell its statistics: {error}" if self.waited_s >= self.limit_s else ""
        now_s = self._session.clock()
        if self._first is None or self._last is None:
            self._first = self._last = work
            self._moved_s = now_s
        elif work != self._last:
            self._last, self._moved_s = work, now_s
        if self.waited_s < self.limit_s:
            return ""
        idle_s = now_s - self._moved_s
        allowed_s = max(self.limit_s * scale, PASSED_OVER * work.execution_s)
        if idle_s >= max(min(allowed_s, (PATIENCE - 1) * self.limit_s) - self.pause_s, stall_s):
            return f"{self._model} did nothing for the last {idle_s:.1f} s, as the server's statistics say"
        others = work.ended - self._first.ended
        mean_s = (work.seconds - self._first.seconds) / others if others else 0.0
        if others >= PASSED_OVER_BY and self.waited_s > PASSED_OVER * mean_s:
            return f"meanwhile {self._model} ended {others} other requests, in {mean_s:.3f} s on average"
        if self.waited_s >= self.longest_s:
            raise Skip(
                f"{self._model} was at work on other requests for {self.longest_s:g} s, where the limit is "
                f"{self.limit_s:g} s, as the server's statistics say"
            )
        return ""


def overload(address: str) -> float:
    """By how much this machine's work exceeds its processors, where it is the server's machine too; never under 1.0."""
    host = address.rpartition(":")[0].strip("[]")
    if host not in ("localhost", "::1") and not host.startswith(("127.", "unix")):
        return 1.0
    return max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))
