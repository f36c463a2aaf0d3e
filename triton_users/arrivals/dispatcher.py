"""Who of the users takes which arrival, and what became of it. Knows no Locust and no greenlets; its clock is given.

Users that are free wait in turn; an arrival that is due goes to the one that has waited longest. When none is free it
waits itself, in its place in the timetable, with its clock running: the next user that becomes free takes the oldest
one. One that has waited longer than it may is missed: it is counted and never issued.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from triton_users.arrivals.timetable import Timetable
from triton_users.ledger import ArrivalCounts

User = TypeVar("User")


class Arrival(NamedTuple):
    """One that is due, or was."""

    due_s: float
    """When, in seconds of the cluster."""
    number: int
    """Its place in its schedule, from 0."""
    model: str = ""
    """What a trace says it is for; "" where it says nothing."""
    input: str = ""


class Dispatcher(Generic[User]):
    """One worker's. `offer`, `withdraw` and `run` are on the hot path."""

    def __init__(
        self,
        timetable: Timetable,
        counts: ArrivalCounts,
        *,
        wait_s: float,
        clock: Callable[[], float],
        start: Callable[[User, Arrival], None],
        alarm: Callable[[float], None],
        named: Callable[[int], tuple[str, str]] | None = None,
        can: Callable[[User, str], bool] = lambda _user, _model: True,
    ) -> None:
        """`wait_s`: how long an arrival may wait for a user. `clock`: seconds of the cluster, as the timetable's.

        `start` is called by `run` with a user that takes an arrival; it may call `offer` again. `alarm` has `run` be
        called at a time, which replaces the one before; infinity: not at all. `named`: model and input of an arrival,
        by its number, where a trace says them; then `can` says whether a user takes those of a model.
        """
        self.timetable = timetable
        self._counts = counts
        self._wait_s = wait_s
        self._clock = clock
        self._start = start
        self._alarm = alarm
        self._named = named
        self._can = can
        self._idle: dict[User, None] = {}
        self._aside: deque[Arrival] = deque()
        """Arrivals that are due but for none of the users that were free then; only where a trace names models."""
        self._armed_s = math.inf

    @property
    def idle(self) -> int:
        """How many users are free."""
        return len(self._idle)

    def backlog(self) -> bool:
        """Whether an arrival waits for a user."""
        return bool(self._aside) or self.timetable.next_s <= self._clock()

    def offer(self, user: User) -> Arrival | None:
        """This user is free: the arrival that it takes, which has waited for one.

        None: it waits in turn, and `start` is called with it in time.
        """
        now_s = self._clock()
        if self._aside or self.timetable.next_s <= now_s:
            found = self._oldest_for(user, now_s)
            if found is not None:
                self._counts.issue(int((now_s - found.due_s) * 1e6), free=bool(self._idle))
                return found
        self._idle[user] = None
        self._arm()
        return None

    def withdraw(self, user: User) -> None:
        """This user takes no arrival any more, if it still waited for one."""
        self._idle.pop(user, None)

    def run(self) -> None:
        """Give what is due to users that are free, and set the alarm for the next one."""
        self._armed_s = -math.inf  # nobody sets it meanwhile
        idle, timetable, oldest_s = self._idle, self.timetable, self._clock() - self._wait_s
        if timetable.next_s < oldest_s:
            self._counts.missed_slow += timetable.skip_until(oldest_s) if idle else 0
        while idle:
            now_s = self._clock()
            if timetable.next_s > now_s:
                break
            arrival = self._take()
            user = self._first_for(arrival)
            if user is None:
                self._aside.append(arrival)
                continue
            del idle[user]
            self._counts.issue(int((now_s - arrival.due_s) * 1e6), free=True)
            self._start(user, arrival)
        self._arm(force=True)

    def expire(self) -> None:
        """Count as missed what has waited for too long. `offer` does so too: this is for when no user comes."""
        oldest_s = self._clock() - self._wait_s
        while self._aside and self._aside[0].due_s < oldest_s:
            self._aside.popleft()
            self._counts.missed_busy += 1
        if self.timetable.next_s < oldest_s:
            missed = self.timetable.skip_until(oldest_s)
            if self._idle:
                self._counts.missed_slow += missed
            else:
                self._counts.missed_busy += missed

    def changed(self) -> None:
        """The timetable is another one from now on."""
        self._arm(force=True)

    def stop(self) -> None:
        """Nothing arrives any more, nor do those take a user that wait for one."""
        self.timetable.clear()
        self._aside.clear()
        self._arm(force=True)

    def _oldest_for(self, user: User, now_s: float) -> Arrival | None:
        self.expire()
        for place, arrival in enumerate(self._aside):
            if self._can(user, arrival.model):
                del self._aside[place]
                return arrival
        while self.timetable.next_s <= now_s:
            arrival = self._take()
            if self._named is None or self._can(user, arrival.model):
                return arrival
            self._aside.append(arrival)
        return None

    def _take(self) -> Arrival:
        due_s, number = self.timetable.take()
        return Arrival(due_s, number) if self._named is None else Arrival(due_s, number, *self._named(number))

    def _first_for(self, arrival: Arrival) -> User | None:
        if not arrival.model:
            return next(iter(self._idle))
        return next((user for user in self._idle if self._can(user, arrival.model)), None)

    def _arm(self, *, force: bool = False) -> None:
        """Set the alarm, unless it is set for this time already."""
        at_s = self.timetable.next_s if self._idle else math.inf
        if force or at_s < self._armed_s:
            self._armed_s = at_s
            self._alarm(at_s)
