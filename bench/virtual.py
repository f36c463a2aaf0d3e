"""Users and a server on a virtual clock, with the dispatcher that real runs have, and what queueing theory says of it.

Nothing here waits: an hour of a server's life takes a second. The tests of open loops and docs/open_loop.py use it.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from decimal import Decimal, getcontext
from itertools import count

from triton_users.arrivals.dispatcher import Arrival, Dispatcher
from triton_users.arrivals.rate import Rate
from triton_users.arrivals.schedule import Even, Renewal, Schedule
from triton_users.arrivals.timetable import Part, Timetable
from triton_users.ledger import ArrivalCounts


class Server:
    """Answers one request at a time, in their order; stalls for `stall_s` every `every_s`, first after half of that."""

    def __init__(self, service: Callable[[], float], stall_s: float = 0.0, every_s: float = math.inf) -> None:
        self._service = service
        self._stall_s, self._every_s = stall_s, every_s
        self._free_s = 0.0
        self._next_stall_s = every_s / 2

    def answered(self, at_s: float) -> float:
        """When a request that comes now is answered."""
        now_s, left_s = max(at_s, self._free_s), self._service()
        while now_s + left_s > self._next_stall_s:
            left_s -= max(0.0, self._next_stall_s - now_s)
            now_s = max(now_s, self._next_stall_s + self._stall_s)
            self._next_stall_s += self._every_s
        end_s = now_s + left_s
        self._free_s = end_s
        return end_s


class World:
    """A clock, and what happens when."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, when_s: float, happens: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), happens))

    def run(self, to_s: float) -> None:
        while self._events and self._events[0][0] <= to_s:
            self.now_s, _, happens = heapq.heappop(self._events)
            happens()


def poisson(per_s: float, seed: int) -> Schedule:
    return Renewal(Rate.of(per_s), 1.0, (seed, 0), by_lot=True)


def constant(per_s: float) -> Schedule:
    return Even(Rate.of(per_s))


class OpenRun:
    """Users that start when the dispatcher says so."""

    def __init__(self, schedule: Schedule, server: Server, users: int, wait_s: float = 1e9) -> None:
        self.world = World()
        self.counts = ArrivalCounts()
        self.waits_s: list[float] = []
        """From an arrival's time until it was answered, in their order of answers."""
        self.due_s: list[float] = []
        self._server = server
        self._armed = 0
        self._dispatcher: Dispatcher[int] = Dispatcher(
            Timetable([Part(0.0, schedule)]),
            self.counts,
            wait_s=wait_s,
            clock=lambda: self.world.now_s,
            alarm=self._alarm,
        )
        for user in range(users):
            self._free(user)

    def run(self, to_s: float) -> list[float]:
        """Latencies from the intended start, in seconds."""
        self.world.run(to_s)
        return self.waits_s

    def expire(self) -> None:
        self._dispatcher.expire()

    def _alarm(self, at_s: float) -> None:
        self._armed += 1
        armed = self._armed
        if at_s < math.inf:
            self.world.at(max(at_s, self.world.now_s), lambda: self._dispatcher.run() if armed == self._armed else None)

    def _begin(self, user: int, arrival: Arrival) -> None:
        def answered() -> None:
            self.waits_s.append(self.world.now_s - arrival.due_s)
            self.due_s.append(arrival.due_s)
            self._free(user)

        self.world.at(self._server.answered(self.world.now_s), answered)

    def _free(self, user: int) -> None:
        self._dispatcher.offer(user, lambda arrival: self._begin(user, arrival))


def closed_run(server: Server, users: int, think_s: float, to_s: float) -> list[float]:
    """Latencies of users that each send the next request `think_s` after the answer to the one before, in seconds."""
    world, waits_s = World(), list[float]()

    def send() -> None:
        sent_s = world.now_s

        def answered() -> None:
            waits_s.append(world.now_s - sent_s)
            world.at(world.now_s + think_s, send)

        world.at(server.answered(sent_s), answered)

    for user in range(users):
        world.at(user * think_s / users, send)
    world.run(to_s)
    return waits_s


def always(service_s: float) -> Callable[[], float]:
    return lambda: service_s


def exponential(service_s: float, seed: int) -> Callable[[], float]:
    draw = random.Random(f"service {seed}")
    return lambda: draw.expovariate(1 / service_s)


# ---- what theory says ------------------------------------------------------------------------------------------------


def mean_wait_s(load: float, service_s: float, *, even: bool) -> float:
    """Mean time in the queue of M/D/1 (`even`: all services take the same) or M/M/1 (Pollaczek and Khinchine)."""
    return load * service_s / (1 - load) / (2 if even else 1)


def wait_s(load: float, service_s: float, q: float, *, even: bool) -> float:
    """A quantile of the time in the queue, of M/D/1 (Erlang's series, solved by bisection) or M/M/1."""
    random_s = max(0.0, math.log(load / (1 - q)) * service_s / (1 - load))
    if not even:
        return random_s
    low, high = 0.0, random_s / service_s  # even services wait for less
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if _md1(load, middle) < q else (low, middle)
    return low * service_s


def _md1(load: float, waits: float) -> float:
    """The share of waits of at most so many services in M/D/1. The terms are large and of both signs: in decimals."""
    getcontext().prec = 60
    a, total, factorial = Decimal(load), Decimal(0), Decimal(1)
    for k in range(int(waits) + 1):
        factorial *= max(k, 1)
        rest = a * (Decimal(waits) - k)
        total += (-rest) ** k / factorial * rest.exp() if k else rest.exp()
    return float((1 - a) * total)


def stalled_s(q: float, *, per_s: float, service_s: float, stall_s: float, every_s: float) -> float:
    """A quantile of the latency of constant arrivals at a server that stalls.

    Who comes u seconds into the stall waits for the rest of it and for those that came before; the queue is gone when
    that has fallen to one service. So the latency falls evenly, and a share of the arrivals is above each value of it.
    """
    slope = 1 - per_s * service_s
    return max(service_s, stall_s + service_s - slope * (1 - q) * every_s)
