"""Who of the users takes which arrival, and what became of it. Knows no Locust and no greenlets; its clock is given.

Users that are free wait in turn; an arrival that is due goes to the one that has waited longest, or to one like it that
becomes free just then. When none is free it waits itself, in its place in the timetable, with its clock running: the
next user that becomes free takes the oldest one. One that has waited longer than it may is missed: it is counted and
never issued.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from triton_users.arrivals.timetable import Timetable
from triton_users.ledger import ArrivalCounts

User = TypeVar("User")

TOGETHER_S = 0.0004
"""Where arrivals are due more often than twice in such a time, in seconds, those of one such time go together, at its
end: to wake up for each costs as much as a third of a request, which a worker that is this busy has better use for. It
is well within what still counts as in time (`ledger.arrivals.PROMPT_US`)."""

IN_A_ROW = 16
"""Arrivals that users take where they became free before `run` is called again: it lets all else go on."""


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
        alarm: Callable[[float], None],
        named: Callable[[int], tuple[str, str]] | None = None,
        can: Callable[[User, str], bool] = lambda _user, _model: True,
    ) -> None:
        """`wait_s`: how long an arrival may wait for a user. `clock`: seconds of the cluster, as the timetable's.

        `alarm` has `run` be called at a time, which replaces the one before: as soon as can be where that has passed,
        never where it is infinity. `named`: model and input of an arrival, by its number, where a trace says them; then
        `can` says whether a user takes those of a model.
        """
        self.timetable = timetable
        self._counts = counts
        self._wait_s = wait_s
        self._clock = clock
        self._alarm = alarm
        self._named = named
        self._can = can
        self._idle: OrderedDict[User, Callable[[Arrival], object]] = OrderedDict()
        self._free_s = math.inf
        """Since when some user has been free; infinity: none is."""
        self._aside: deque[Arrival] = deque()
        """Arrivals that are due but for none of the users that were free then; only where a trace names models."""
        self._fresh: list[User] = []
        """Users that became free since: they may be for one of them."""
        self._not_before_s = -math.inf
        """The end of the time whose arrivals go together."""
        self._in_a_row = 0
        """Arrivals that were taken since `run` was called."""
        self._armed_s: float | None = math.inf
        """What the alarm is set to; None while `run` is at work, which sets it at its end."""

    @property
    def idle(self) -> int:
        """How many users are free."""
        return len(self._idle)

    def take_due(self, user: User) -> Arrival | None:
        """The arrival that this user, which is free now, may begin with at once; None: it has to be offered.

        That saves the way through the hub and back, a sixth of what a request costs, and a worker that is late has none
        of that to spare. Of users of several classes those that are free the soonest would get most of the arrivals,
        so it must be like the one whose turn it is.
        """
        timetable, now_s = self.timetable, self._clock()
        late_s = TOGETHER_S if self._goes_together() else 0.0
        if (
            not now_s - self._wait_s <= timetable.next_s <= now_s - late_s
            or self._named is not None
            or self._in_a_row >= IN_A_ROW
            or (self._idle and type(next(iter(self._idle))) is not type(user))
        ):
            return None
        self._in_a_row += 1
        arrival = self._take()
        self._counts.issue(int((now_s - arrival.due_s) * 1e6), free=arrival.due_s >= self._free_s)
        return arrival

    def offer(self, user: User, start: Callable[[Arrival], object]) -> None:
        """This user is free: `run` will call `start` with the arrival it takes, where it may offer itself again."""
        if not self._idle:
            self._free_s = self._clock()
            self._not_before_s = -math.inf  # what is due has waited for this one
        self._idle[user] = start
        if self._aside:
            self._fresh.append(user)
        self._arm()

    def withdraw(self, user: User) -> None:
        """This user takes no arrival any more, if it still waited for one."""
        if self._idle.pop(user, None) is not None and not self._idle:
            self._free_s = math.inf

    def run(self) -> None:
        """Give what is due to users that are free, and set the alarm for the next one.

        Each takes one at most: a user that is free again at once must not keep all else from going on.
        """
        self._armed_s = None
        self._in_a_row = 0
        idle, timetable, clock = self._idle, self.timetable, self._clock
        together_s = TOGETHER_S if self._goes_together() else 0.0
        now_s = clock()
        if self._aside or timetable.next_s < now_s - self._wait_s:
            self.expire()
            self._give_from_aside()
            now_s = clock()
        for _ in range(len(idle)):
            if timetable.next_s > now_s or not idle:
                break
            arrival = self._take()
            user = self._first_for(arrival.model) if arrival.model else next(iter(idle))
            if user is None:
                self._aside.append(arrival)
            else:
                self._give(user, arrival, now_s)
                now_s = clock()
        self._armed_s = math.nan
        self._not_before_s = now_s + together_s if together_s and timetable.next_s > now_s else -math.inf
        self._arm()

    def expire(self) -> None:
        """Count as missed what has waited for too long. `run` does so too: this is for when no user comes."""
        oldest_s = self._clock() - self._wait_s
        while self._aside and self._aside[0].due_s < oldest_s:
            self._aside.popleft()
            self._counts.missed_busy += 1
        self._counts.missed_busy += self.timetable.skip_until(min(oldest_s, self._free_s))
        self._counts.missed_slow += self.timetable.skip_until(oldest_s)

    def changed(self) -> None:
        """The timetable is another one from now on."""
        self._arm()

    def stop(self) -> None:
        """Nothing arrives any more, nor do those take a user that wait for one."""
        self.timetable.clear()
        self._aside.clear()
        self._fresh.clear()
        self._arm()

    def _give(self, user: User, arrival: Arrival, now_s: float) -> None:
        start = self._idle.pop(user)
        self._counts.issue(int((now_s - arrival.due_s) * 1e6), free=arrival.due_s >= self._free_s)
        if not self._idle:
            self._free_s = math.inf
        start(arrival)

    def _give_from_aside(self) -> None:
        """To users that were busy when these were laid aside."""
        fresh, self._fresh = self._fresh, []
        for user in fresh:
            for place, arrival in enumerate(self._aside):
                if user in self._idle and self._can(user, arrival.model):
                    del self._aside[place]
                    self._give(user, arrival, self._clock())
                    break

    def _take(self) -> Arrival:
        due_s, number = self.timetable.take()
        return Arrival(due_s, number) if self._named is None else Arrival(due_s, number, *self._named(number))

    def _goes_together(self) -> bool:
        return self.timetable.spacing_s < TOGETHER_S / 2

    def _first_for(self, model: str) -> User | None:
        return next((user for user in self._idle if self._can(user, model)), None)

    def _arm(self) -> None:
        """Set the alarm, unless it is set for this time already."""
        at_s = math.inf if not self._idle else -math.inf if self._fresh else self.timetable.next_s
        if self._armed_s is not None and at_s != self._armed_s:
            self._armed_s = at_s
            self._alarm(max(at_s, self._not_before_s))
