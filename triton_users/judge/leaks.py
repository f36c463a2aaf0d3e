"""Whether a process keeps memory that it should give back: one of three answers, with its evidence. Pure functions.

A leak is growth that goes on. Growth that ends is none: caches, arenas and pools fill, and a server keeps what its
largest request took. So the beginning is left out, the growth must go on through the last part of what is judged and
not slow down there, and it must be more than what such a process is known to take and keep (`Memory.keeps_mib`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from triton_users.judge.client_limited import digits, hms
from triton_users.judge.slopes import BINS, Floats, Slope, binned, slope, steepness, uneven

Answer = Literal["none seen", "leak", "too short to say"]

WARM_UP_S = 60.0
WARM_UP_SHARE = 0.25
"""What is left out at the beginning: the longer of the two."""
SHORTEST_S = 120.0
"""What must be left to be judged."""
KEEPS_MIB = 64.0
"""What any process may take in its first hours and keep: arenas of its allocator, which reserves 64 MiB for each and
touches a part of it, caches, compiled code. Growth within it is no leak yet."""
FOLLOWS_MIB = 64.0
"""What of a process's memory may follow its load where the series does not show it: buffers of its requests."""
NOTICEABLE_MIB = 4.0
"""A process can hide less in what its allocator has free: a run in which a leak as large as the limit would not have
come to this does not show that there is none."""
SLOWING = 0.5
"""Growth whose second half is less than this share of its first is on its way to its end."""
ALIKE = 1.25
"""A model whose request counts leave residuals at most this many times the best model's explains the growth as well."""


@dataclass(frozen=True)
class Memory:
    """One process's memory over the run."""

    name: str
    """What sentences call it: "the server", "worker 1"."""
    times_s: Sequence[float]
    """Seconds of the run, ascending."""
    mib: Sequence[float]
    keeps_mib: float = KEEPS_MIB
    """What it may take and keep in all."""
    keeps: str = "that any process may take and keep"
    """What that is, behind its size; sentences have it where it is more than that."""
    model: str = ""
    """The only model that runs in it, where that is known (a stub of the Python backend)."""


@dataclass(frozen=True)
class Requests:
    """How many requests each model had answered by then."""

    times_s: Sequence[float] = ()
    answered: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Model -> its count at each time."""

    def at(self, model: str, times_s: Floats) -> Floats:
        """The model's count at other times."""
        found: Floats = np.interp(times_s, self.times_s, self.answered[model])
        return found

    def total_at(self, times_s: Floats) -> Floats:
        """All models' counts together."""
        total = np.zeros_like(times_s)
        for model in self.answered:
            total += self.at(model, times_s)
        return total


@dataclass(frozen=True)
class Leak:
    """The answer for one process."""

    name: str
    answer: Answer
    limit_mib_per_hour: float
    from_s: float = 0.0
    to_s: float = 0.0
    """What of the run was judged."""
    grown_mib: float = 0.0
    """By how much it grew in that time."""
    per_hour_mib: Slope | None = None
    per_request_kib: Slope | None = None
    models: tuple[str, ...] = ()
    """Whose request counts explain the growth; only of a leak."""
    why: str = ""
    """What stands against a clear answer."""
    taken_mib: float = 0.0
    """What it took since the load began."""
    keeps_mib: float = KEEPS_MIB
    """What of that it may keep."""
    keeps: str = ""
    """What that is, where it is more than any process may."""

    def __str__(self) -> str:
        """One sentence."""
        may = f"; it took {digits(max(0.0, self.taken_mib))} MiB since the load began, of the {self.keeps}"
        return self._answered() + (may if self.keeps else "")

    def _answered(self) -> str:
        if self.per_hour_mib is None:
            return f"memory of {self.name}: too short to say: {self.why}"
        rate = self.per_hour_mib
        interval = f"{digits(rate.low)} to {digits(rate.high)} MiB an hour, limit {self.limit_mib_per_hour:g}"
        judged = f"from {hms(self.from_s)} to {hms(self.to_s)}"
        if self.answer == "none seen":
            return f"memory of {self.name}: no leak seen: {interval}, {judged}"
        if self.answer == "too short to say":
            return f"memory of {self.name}: too short to say: {interval}, {judged}; {self.why}"
        each = f", {digits(self.per_request_kib.value)} KiB a request" if self.per_request_kib else ""
        return (
            f"leak: the memory of {self.name} grows by {digits(rate.value)} MiB an hour ({interval}){each}, "
            f"{judged}, {digits(self.grown_mib)} MiB in that time; {self._explained()}"
        )

    def _explained(self) -> str:
        if not self.models:
            return "no model's requests explain it"
        if len(self.models) == 1:
            return f"the requests to {self.models[0]} explain it"
        return f"the requests to each of {', '.join(self.models)} would explain it"


@dataclass(frozen=True)
class _Stretch:
    """A part of the run, brought down to a few points."""

    at: Floats
    """Seconds of the run."""
    mib: Floats
    counts: Floats
    """Requests answered until then."""
    load: Floats
    """Requests a second."""

    def growth(self) -> Slope | None:
        """MiB an hour that the load does not explain.

        Where the load was uneven: the narrowest of what four ways say. Growth goes with time or with requests. What
        follows the load is taken out, or, since little is left to go by where that rose or fell all the time, allowed
        for.
        """
        hours = (self.at - self.at[0]) / 3600
        raw, load = slope(hours, self.mib), self.load
        if raw is None or not uneven(load):
            return raw
        swing = float(self.load.max() - self.load.min()) / float(np.median(self.load) or 1)
        follows = FOLLOWS_MIB * swing / float(hours[-1])
        ways: list[Slope] = []
        served = self.counts[-1] - self.counts[0]
        for x in (hours, (self.counts - self.counts[0]) * (hours[-1] / served) if served else hours):
            allowed, levelled = slope(x, self.mib), slope(x, self.mib, load)
            ways += [Slope(each.value, each.low - follows, each.high + follows) for each in [allowed] if each]
            ways += [levelled] if levelled else []
        return min(ways, key=lambda way: way.high - way.low)

    @property
    def slowing(self) -> bool:
        """Whether the growth's second half is much slower than its first, by time and by requests."""
        half = len(self.at) // 2
        shares = []
        for x in (self.at, self.counts):
            early, late = steepness(x[:half], self.mib[:half]), steepness(x[half:], self.mib[half:])
            if early is not None and late is not None and early > 0:
                shares.append(late / early)
        return bool(shares) and max(shares) < SLOWING


def _brought_down(times: Floats, mib: Floats, requests: Requests, from_s: float) -> _Stretch:
    """The run from `from_s` on, in as many points as there are two samples for."""
    to_s = math.nextafter(float(times[-1]), math.inf)
    edges = np.linspace(from_s, to_s, max(1, min(BINS, int((times >= from_s).sum()) // 2)) + 1)
    at, medians = (edges[:-1] + edges[1:]) / 2, binned(times, mib, edges)
    rates, there = np.diff(requests.total_at(edges)) / np.diff(edges), ~np.isnan(medians)
    return _Stretch(at[there], medians[there], requests.total_at(at[there]), rates[there])


def judge_memory(memory: Memory, requests: Requests, limit_mib_per_hour: float) -> Leak:
    """Whether this process leaks more than the limit."""
    times = np.asarray(memory.times_s, float)
    mib = np.asarray(memory.mib, float)
    if len(times) < 2:
        return _unknown(memory, limit_mib_per_hour, "it was not sampled")
    begun_s = _load_began_s(requests, float(times[0]))
    from_s, to_s = begun_s + max(WARM_UP_S, WARM_UP_SHARE * (times[-1] - begun_s)), float(times[-1])
    if to_s - from_s < SHORTEST_S:
        return _unknown(memory, limit_mib_per_hour, f"it was under load for {hms(max(0.0, to_s - begun_s))} only")
    judged, last = (_brought_down(times, mib, requests, since_s) for since_s in (from_s, (from_s + to_s) / 2))
    whole, late = judged.growth(), last.growth()
    if whole is None or late is None:
        return _unknown(memory, limit_mib_per_hour, f"there are {len(last.at)} samples in its last part")
    per_request = slope(judged.counts, judged.mib)
    grown = float(np.median(judged.mib[-3:]) - np.median(judged.mib[:3]))
    before = float(np.median(judged.mib[:3]) - np.median(mib[times >= begun_s][:3]))
    left_mib = max(KEEPS_MIB, memory.keeps_mib - max(0.0, before))
    hours, keeps = (to_s - from_s) / 3600, f"{memory.keeps_mib:,.0f} MiB {memory.keeps}"
    known = keeps if memory.keeps != Memory.keeps else ""
    answer, why = _answer(
        whole, late, limit_mib_per_hour, grown, hours, judged, left_mib, "what it may keep" if known else f"the {keeps}"
    )
    return Leak(
        name=memory.name,
        answer=answer,
        limit_mib_per_hour=limit_mib_per_hour,
        from_s=from_s,
        to_s=to_s,
        grown_mib=grown,
        per_hour_mib=whole if answer != "none seen" or whole.high < limit_mib_per_hour else late,
        per_request_kib=None if per_request is None else per_request.times(1024),
        models=_explaining(memory, requests, judged) if answer == "leak" else (),
        why=why,
        taken_mib=before + grown,
        keeps_mib=memory.keeps_mib,
        keeps=known,
    )


def _answer(
    whole: Slope,
    late: Slope,
    limit: float,
    grown: float,
    hours: float,
    judged: _Stretch,
    left_mib: float,
    keeps: str,
) -> tuple[Answer, str]:
    if late.low > limit and whole.low > limit:
        if grown <= left_mib:
            took = digits(max(0.0, grown))
            return "too short to say", f"the {took} MiB that it took in that time may be the rest of {keeps}"
        if judged.slowing:
            return "too short to say", f"it took {digits(grown)} MiB in that time, and the growth slows down"
        return "leak", ""
    if late.high < limit or whole.high < limit:
        if limit * hours < NOTICEABLE_MIB:
            return "too short to say", f"a leak of that limit would be {digits(limit * hours)} MiB in this time"
        return "none seen", ""
    if whole.value > limit and judged.slowing:
        return "too short to say", f"it took {digits(grown)} MiB in that time, and the growth slows down"
    if whole.low > limit:
        return "too short to say", f"in its second half it was {digits(late.low)} to {digits(late.high)}"
    return "too short to say", "the limit is within that"


def _explaining(memory: Memory, requests: Requests, judged: _Stretch) -> tuple[str, ...]:
    """The models whose request counts, each alone, follow the growth best; the best first."""
    if memory.model:
        return (memory.model,)
    left: dict[str, float] = {}
    for model in requests.answered:
        counts = requests.at(model, judged.at)
        found = steepness(counts, judged.mib)
        if found is not None and found > 0:
            residuals = judged.mib - found * counts
            left[model] = float(np.median(np.abs(residuals - np.median(residuals))))
    if not left:
        return ()
    most = ALIKE * min(left.values()) + 1e-9
    return tuple(sorted((model for model, residual in left.items() if residual <= most), key=left.__getitem__))


def _load_began_s(requests: Requests, first_s: float) -> float:
    """When the first request was answered; `first_s` where nothing was counted."""
    for time_s, *counts in zip(requests.times_s, *requests.answered.values(), strict=True):
        if any(count > 0 for count in counts):
            return max(first_s, float(time_s))
    return first_s


def _unknown(memory: Memory, limit: float, why: str) -> Leak:
    return Leak(memory.name, "too short to say", limit, why=why)
