"""A capacity search as it goes: makes each level's load, waits, looks, and asks `capacity.search` for the next one.

It knows no Locust and no workers: `Loads` makes the load and tells what is counted, `sleep` lets time pass.
"""

from __future__ import annotations

import logging
import math
import time
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from triton_users.arrivals.rate import MAX_RATE, Rate
from triton_users.arrivals.settings import ArrivalSettings
from triton_users.capacity.answer import Answer, tried
from triton_users.capacity.level import Level, Seen, fewest, judge_level, missing, took_us
from triton_users.capacity.saturation import saturated
from triton_users.capacity.search import Plan, next_level
from triton_users.capacity.settings import CapacitySettings
from triton_users.declaration import UsageError, read
from triton_users.ledger import Ledger

logger = logging.getLogger(__name__)

FIRST_RATE = 100.0
"""Arrivals a second of the first level where no rate is given: a server that answers at all is some steps away."""
LOWEST_RATE, HIGHEST_RATE = 0.1, MAX_RATE
MOST_USERS = 100_000.0
LOOKS = 10
"""So often a level is looked at in the time that it is measured for."""
LONGER = 3.0
"""A level is measured for at most so many times as long when its percentiles need more requests."""
SPARE = 1.1
"""Of the requests that a percentile needs with none outside its limit a level waits for so many times as many."""
READY_LIMIT_S = 60.0
"""How long users may take to start, in seconds."""
COOL_DOWN_LIMIT_S = 10.0
"""A request that has no answer this long after a level has none, in seconds; longer where limits are."""
PATIENCE = 2.0
"""It is so many times the highest limit on a latency."""
POLL_S = 0.2
"""How often a cool-down is looked at, in seconds."""
MAX_REPEATS = 5
"""Levels that could not be judged in a row: the workers come and go."""


def search_of(options: Namespace, *, shaped: bool) -> CapacitySettings:
    """What these options say of a search. Raises UsageError for what cannot be searched."""
    settings = read(CapacitySettings, options)
    settings.check()
    if not settings.searches:
        return settings
    if shaped:
        raise UsageError("find-capacity: a load shape says how much load there is; leave the shape or the search out")
    arrivals = read(ArrivalSettings, options)
    if settings.over_rate and arrivals.open and (arrivals.rate is None or not _is_one(arrivals.rate)):
        what = arrivals.arrivals.text if arrivals.rate is None else f"the rate {arrivals.rate.text}"
        raise UsageError(
            f"find-capacity: a search sets the rate itself, so {what} cannot be kept; give the rate to begin with, for "
            "instance --rate 100"
        )
    if not settings.over_rate and arrivals.open:
        raise UsageError(
            "capacity-over: in a search over users each sends one request after the other, so no arrival says when; "
            "leave --rate and --arrivals out, or give --capacity-over rate"
        )
    return settings


def lend_a_rate(settings: CapacitySettings, options: Namespace) -> bool:
    """Give a search over the rate its first one where the options have none; whether that was so."""
    if not settings.over_rate or read(ArrivalSettings, options).open:
        return False
    options.rate = f"{FIRST_RATE:g}"
    return True


def plan_of(settings: CapacitySettings, options: Namespace, users: int) -> Plan:
    """Where the search begins. `users`: those the run is to have."""
    if not settings.over_rate:
        return Plan(float(max(users, 1)), 1.0, MOST_USERS, whole=True)
    rate = read(ArrivalSettings, options).rate
    first = rate.phases[0].low if rate is not None else FIRST_RATE
    return Plan(min(max(first, LOWEST_RATE), HIGHEST_RATE), LOWEST_RATE, HIGHEST_RATE)


def _is_one(rate: Rate) -> bool:
    """Whether it is the same all the time."""
    return len(rate.phases) == 1 and rate.phases[0].low == rate.phases[0].high and rate.duration_s == math.inf


@dataclass(frozen=True)
class Sample:
    """What is known at one moment."""

    at_s: float
    """Seconds of the run."""
    epoch: str
    """Counts of two epochs have nothing to do with each other."""
    counts: Mapping[tuple[str, str], tuple[float, Ledger]]
    """Worker -> its clock, in seconds, and all that it has counted by then."""
    in_flight: float
    """Requests under way, and arrivals that wait for a user."""
    users: int


class Loads(Protocol):
    """Makes loads, of one kind, and tells what is counted."""

    def make(self, load: float) -> None:
        """Have this load made from now on."""
        ...

    def ready(self, load: float) -> bool:
        """Whether all that it takes is there."""
        ...

    def rest(self) -> None:
        """Have next to no load made from now on."""
        ...

    def sample(self) -> Sample: ...

    def limited(self, begun_s: float, ended_s: float) -> list[str]:
        """Where the client was too slow in this time of the run."""
        ...


@dataclass
class CapacitySearch:
    """One search. `run` returns when it has come to an end."""

    settings: CapacitySettings
    plan: Plan
    loads: Loads
    text: str
    """The limits, as the user wrote them."""
    told: Callable[[Answer], None]
    """Called with what is known, after each level."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    levels: list[Level] = field(default_factory=list)
    stopped: str = ""
    _end_s: float = 0.0

    def run(self) -> None:
        self._end_s = self.clock() + self.settings.capacity_time_limit_s
        repeats = 0
        while (load := next_level(self.plan, tried(self.levels))) is not None:
            if self.clock() + self.settings.capacity_warm_up_s + self.settings.capacity_level_s > self._end_s:
                self.stopped = f"its time limit is {self.settings.capacity_time_limit_s:g} s"
                break
            level = self._measure(load)
            self.levels.append(level)
            logger.info("%s %s", self.answer().amount(load), f"{level.outcome}: {level.why}" if level.why else "held")
            self.told(self.answer())
            repeats = repeats + 1 if level.outcome == "not judged" else 0
            if repeats >= MAX_REPEATS:
                self.stopped = f"{repeats} levels in a row could not be judged: {level.why}"
                break
        self.told(self.answer())

    def broke_off(self, why: str) -> None:
        """It goes on no more: what is known is what was measured by now."""
        self.stopped = self.stopped or why
        self.told(self.answer())

    def answer(self) -> Answer:
        """What is known so far."""
        settings = self.settings
        return Answer(
            self.plan, self.text, settings.over_rate, tuple(self.levels), self.stopped, settings.capacity_at_least
        )

    def _measure(self, load: float) -> Level:
        settings, limits = self.settings, self.settings.find_capacity
        self.loads.make(load)
        not_ready = self._wait(lambda: self.loads.ready(load), READY_LIMIT_S)
        self.sleep(settings.capacity_warm_up_s)
        first = last = self.loads.sample()
        begun_s, longest_s = self.clock(), self._longest_s(load)
        in_flight, took = [first.in_flight], list[float]()
        while True:
            self.sleep(settings.capacity_level_s / LOOKS)
            sample = self.loads.sample()
            in_flight.append(sample.in_flight)
            took.append(self._took_us(last, sample, took))
            last = sample
            elapsed_s = self.clock() - begun_s
            if settings.over_rate and saturated(in_flight[1:], took, load):
                break
            if elapsed_s >= longest_s or self.clock() >= self._end_s:
                break
            if elapsed_s >= settings.capacity_level_s and not missing(self._seen(load, first, last), limits):
                break
        left, waited_s = self._cool_down(limits_ms=[each.limit for each in limits if each.metric.endswith("_ms")])
        seen = self._seen(
            load,
            first,
            last,
            in_flight=in_flight[1:] if settings.over_rate else (),
            took_us=took if settings.over_rate else (),
            left=left,
            waited_s=waited_s,
            changed=f"its users did not start within {READY_LIMIT_S:.0f} s" if not_ready else "",
        )
        return judge_level(seen, limits)

    def _longest_s(self, load: float) -> float:
        """How long a level may be measured. One of few requests takes as long as its percentiles need."""
        longest_s = LONGER * self.settings.capacity_level_s
        return (
            max(longest_s, SPARE * fewest(self.settings.find_capacity) / load) if self.settings.over_rate else longest_s
        )

    def _cool_down(self, limits_ms: Sequence[float]) -> tuple[int, float]:
        """Let what is under way end: how many requests have not after how many seconds."""
        if not self.settings.over_rate:
            return 0, 0.0  # with fewer users there is less under way at once
        self.loads.rest()
        begun_s, limit_s = self.clock(), max(COOL_DOWN_LIMIT_S, PATIENCE * max(limits_ms, default=0.0) / 1e3)
        left = self._wait(lambda: self.loads.sample().in_flight < 1, limit_s)
        return (int(self.loads.sample().in_flight) if left else 0), self.clock() - begun_s

    def _wait(self, until: Callable[[], bool], limit_s: float) -> bool:
        """Wait until it is so; whether it was not in time."""
        limit_s += self.clock()
        while not until():
            if self.clock() >= limit_s:
                return True
            self.sleep(POLL_S)
        return False

    def _took_us(self, before: Sample, now: Sample, took: Sequence[float]) -> float:
        """How long answers took between these; where there was none, longer than before by this time."""
        found = took_us(counted(before, now)[0])
        return (took[-1] if took else 0.0) + 1e6 * (now.at_s - before.at_s) if found is None else found

    def _seen(
        self,
        load: float,
        first: Sample,
        last: Sample,
        *,
        in_flight: Sequence[float] = (),
        took_us: Sequence[float] = (),
        left: int = 0,
        waited_s: float = 0.0,
        changed: str = "",
    ) -> Seen:
        if first.epoch != last.epoch:
            changed = "the counts were reset meanwhile"
        elif first.counts.keys() != last.counts.keys():
            changed = "workers came or went meanwhile"
        ledger, duration_s = (Ledger(), 0.0) if changed else counted(first, last)
        return Seen(
            load,
            first.at_s,
            last.at_s,
            ledger,
            duration_s,
            is_rate=self.settings.over_rate,
            users=last.users,
            in_flight=in_flight,
            took_us=took_us,
            left=left,
            waited_s=waited_s,
            limited=tuple(self.loads.limited(first.at_s, last.at_s)),
            changed=changed,
        )


def counted(first: Sample, last: Sample) -> tuple[Ledger, float]:
    """What was counted between two samples of the same workers, and for how long, by their own clocks on average."""
    together, spans = Ledger(), list[float]()
    for worker, (at_s, ledger) in last.counts.items():
        began_s, before = first.counts.get(worker, (0.0, Ledger()))
        together.add(ledger.since(before))
        spans.append(at_s - began_s)
    return together, sum(spans) / len(spans) if spans else 0.0
