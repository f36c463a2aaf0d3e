"""What the master knows of an open loop: when it began, its rates, whose shares these are. Sends nothing, has no users.

What changes holds from a moment a little later on, the same for all workers, who hear of it before: so each arrival is
of one schedule and of one worker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from triton_users.arrivals.rate import Rate, parse_rate
from triton_users.arrivals.settings import Arrivals, ArrivalSettings, parse_kind
from triton_users.arrivals.timetable import Part, Share, Timetable
from triton_users.arrivals.trace import TraceFile, read_trace
from triton_users.run.models import in_a_thread
from triton_users.settings import UsageError
from triton_users.system.timer import clock_id

LEAD_S = 1.0
"""How much later than it is sent a change holds, in seconds: a message takes milliseconds, a busy worker some more."""

Order = Mapping[str, Any]
"""What workers are sent, plain values: see `Pace.order`."""


_newest: list[tuple[Any, TraceFile]] = []
"""The trace that was read last, with what it was read from: a start that is checked and begun reads it once."""


def trace_of(settings: ArrivalSettings) -> TraceFile | None:
    """The trace that these settings name, read while other greenlets run. Raises UsageError when it cannot be."""
    path: Path | None = settings.arrivals.trace
    if path is None:
        _newest.clear()
        return None
    try:
        found = path.stat()
    except OSError:
        return read_trace(path, settings.trace_speed)  # which says what is wrong
    key = path.absolute(), found.st_mtime_ns, found.st_size, settings.trace_speed
    if not _newest or _newest[0][0] != key:
        _newest[:] = [(key, in_a_thread(read_trace, path, settings.trace_speed))]
    return _newest[0][1]


class Pace:
    """One run's. Its clock begins when its users are there."""

    def __init__(self, settings: ArrivalSettings, seed: int, clock: Callable[[], float]) -> None:
        """`clock`: seconds, monotonic. Raises UsageError when the trace cannot be read."""
        self._settings = settings
        self._seed = seed
        self._clock = clock
        self._trace = trace_of(settings)
        self._zero_s = math.inf
        self._rates: list[tuple[float, int, Rate | None]] = []
        """From when on, the how manieth it is, and the rate; None: the trace's."""
        self._shares: list[tuple[float, tuple[str, ...]]] = []
        self._all = Timetable()
        self._intended = 0

    @property
    def begun(self) -> bool:
        return self._zero_s < math.inf

    @property
    def zero_s(self) -> float:
        """When its clock shows 0, by the clock it was given."""
        return self._zero_s

    @property
    def rate(self) -> str:
        """The newest rate as it was written; "" for a trace."""
        newest = self._rates[-1][2] if self._rates else self._settings.rate
        return newest.text if newest is not None else ""

    @property
    def named(self) -> Sequence[tuple[str, str]]:
        """Each pair of model and input in the trace, "" for what a line leaves open."""
        return self._trace.names if self._trace is not None else ()

    @property
    def digest(self) -> str:
        """Of the trace; "" where there is none."""
        return self._trace.digest if self._trace is not None else ""

    def now_s(self) -> float:
        """Seconds of the cluster; negative before its clock begins."""
        return self._clock() - self._zero_s

    def begin(self, workers: Sequence[str]) -> None:
        """The users are there."""
        self._zero_s = self._clock() + LEAD_S
        self._shares = [(0.0, tuple(workers))]
        self._add(0.0, self._settings.rate)

    def set_rate(self, text: str) -> None:
        """Another rate holds from now on, as a new schedule with phases of its own. Raises UsageError for none."""
        rate = parse_rate(text)
        if rate is None:
            raise UsageError("rate: write one; a run that has begun with a rate cannot go on without")
        if self._trace is not None:
            raise UsageError(f"rate: this run replays {self._settings.arrivals.text}, which says when arrivals are due")
        if not self.begun:
            raise UsageError("rate: the run's users are not there yet; change it when they are")
        self._add(self.now_s() + LEAD_S, rate)

    def workers_are(self, workers: Sequence[str]) -> bool:
        """These take a share; returns whether that is a change."""
        if not workers or set(workers) == set(self._shares[-1][1]):
            return False
        from_s = self.now_s() + LEAD_S
        self._shares = [*_in_force(self._shares, self.now_s()), (from_s, tuple(sorted(workers)))]
        return True

    def order(self) -> Order:
        """What a worker must know, to be sent at once."""
        return {
            "elapsed_s": self.now_s(),
            "zero_s": self._zero_s,
            "clock": clock_id(),
            "rates": [[from_s, number, rate.text if rate is not None else ""] for from_s, number, rate in self._rates],
            "shares": [[from_s, list(workers)] for from_s, workers in self._shares],
            "kind": self._settings.arrivals.text,
            "seed": self._seed,
        }

    def intended(self) -> int:
        """How many arrivals are due by now since the last call."""
        return self._all.skip_until(self.now_s()) if self.begun else 0

    def over(self) -> bool:
        """Whether no arrival comes any more."""
        return self.begun and self._all.next_s == math.inf

    def _add(self, from_s: float, rate: Rate | None) -> None:
        number = self._rates[-1][1] + 1 if self._rates else 0
        self._rates = [*_in_force(self._rates, self.now_s()), (from_s, number, rate)]
        parts = parts_of(self.order(), self._trace)
        self._all.change(max(0.0, self.now_s()), parts)


def _in_force(changes: list[Any], now_s: float) -> list[Any]:
    """The newest that holds by now, for what comes after it; one that would have come yet is replaced."""
    return [change for change in changes if change[0] <= now_s][-1:]


def parts_of(order: Order, trace: TraceFile | None) -> list[Part]:
    """The schedules of an order."""
    kind = parse_kind(order["kind"])
    made = []
    for from_s, number, text in order["rates"]:
        arrivals = Arrivals(kind, parse_rate(text), (int(order["seed"]), int(number)), trace)
        made.append(Part(float(from_s), arrivals.schedule()))
    return made


def shares_of(order: Order, worker: str) -> list[Share]:
    """This worker's shares of an order."""
    return [
        Share(float(from_s), workers.index(worker) if worker in workers else -1, len(workers))
        for from_s, workers in order["shares"]
    ]
