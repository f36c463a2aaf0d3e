"""Whether a run got worse with time: the leak and drift verdicts of all that was sampled. Pure functions.

Judged once, at the end: it takes a tenth of a second for each process.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from triton_users.declaration import option
from triton_users.judge.client_limited import digits, windows_of
from triton_users.judge.drift import Drift, Span, judge_drift, unsaid
from triton_users.judge.leaks import KEEPS_MIB, Leak, Memory, Requests, judge_memory
from triton_users.ledger import Ledger, WorkerState
from triton_users.ledger.timeline import Point
from triton_users.witness.series import Key, Samples

MAX_PROCESSES = 40
"""Processes that are judged, the largest first: a server with a hundred stubs must not take a minute to judge."""

SERVER, STUB, ANY = Key("server_memory", "MiB"), "stub_memory", "memory"
"""What memory is called in the samples: of the embedded server itself, of its stubs, of any server by its metrics."""


@dataclass(frozen=True)
class TrendLimits:
    """What a run must not get worse by while it lasts. A 0 turns a limit off."""

    leak_mib_per_hour: float = option(
        10.0,
        "Memory that the server, one of its Python stubs or a worker of ours may gain in an hour, on and on. A leak "
        "fails the run; a short run says that it is too short to say. 0: off.",
        unit="MiB/hour",
        low=0,
        high=1_000_000,
        prefix="max_",
        label="limit of leaks",
    )
    drift_percent: float = option(
        25.0,
        "How much slower the server may get from the beginning of a run to its end at equal load (p50, p99, rate of "
        "answers). Runs under six minutes are not judged. 0: off.",
        unit="percent",
        low=0,
        high=100_000,
        prefix="max_",
        label="limit of drift",
    )


@dataclass(frozen=True)
class Trends:
    """All answers of a run."""

    leaks: Sequence[Leak] = ()
    drifts: Sequence[Drift] = ()
    drift_unsaid: str = ""
    """Why there are no `drifts` though they were asked for."""

    def reasons(self) -> list[str]:
        """A sentence for each leak and drift, the steepest first."""
        leaks = [each for each in self.leaks if each.answer == "leak"]
        leaks.sort(key=lambda each: -each.per_hour_mib.value if each.per_hour_mib else 0.0)
        drifts = sorted((each for each in self.drifts if each.answer == "drift"), key=lambda each: -each.percent)
        return [str(each) for each in (*leaks, *drifts)]

    def in_short(self) -> str:
        """How far it is known that nothing got worse, where no answer says that something did; "": nobody asked."""
        parts = []
        if self.leaks:
            seen = sum(each.answer == "none seen" for each in self.leaks)
            of = (
                ""
                if seen == len(self.leaks)
                else f" in {seen} of {len(self.leaks)} processes, of the others not enough"
            )
            parts.append(f"no leak was seen{of}" if seen else "too short to say whether memory leaks")
        if self.drifts or self.drift_unsaid:
            seen = sum(each.answer == "none seen" for each in self.drifts)
            of = (
                ""
                if seen == len(self.drifts)
                else f" by {seen} of {len(self.drifts)} measures, of the others not enough"
            )
            parts.append(f"it did not get slower{of}" if seen else "it cannot be said whether it gets slower")
        return "; ".join(parts)

    def dump(self) -> dict[str, Any]:
        """Plain values for the report, each answer with its sentence."""
        return {
            "memory": [{**asdict(each), "models": list(each.models), "text": str(each)} for each in self.leaks],
            "drift": [{**asdict(each), "text": str(each)} for each in self.drifts],
            "drift_unsaid": self.drift_unsaid,
        }


BESIDE = 1.5
"""What all request states of an embedded server take, as a share of its pool for streams: single requests have one too,
with as many states as were under way at once, and the allocator leaves gaps. In a soak it was 1.1 after 70 minutes."""


@dataclass(frozen=True)
class Pool:
    """States of ended requests that the embedded server keeps for reuse, and fills in its first minutes or hours.

    Each keeps what the largest request took that it has had.
    """

    states: int
    state_mib: float
    """What each may take."""
    largest_mib: float = 0.0
    """The largest request that other programs send on our behalf."""

    @property
    def mib(self) -> float:
        """What it may keep in all."""
        return BESIDE * self.states * self.state_mib

    def __str__(self) -> str:
        return f"its pool of {self.states} request states of up to {digits(self.state_mib)} MiB"

    def filled_by(self, total: Ledger, workers: Iterable[WorkerState]) -> Pool:
        """The same after the requests of a run, of which those to one model are taken to be alike."""
        sent = {model: row.sent / row.requests / 2**20 for (_, model), row in total.rows.items() if row.requests}
        unknown = {model for state in workers for model in state.sent_elsewhere} - sent.keys()
        return replace(self, state_mib=max(self.state_mib, *sent.values(), self.largest_mib if unknown else 0.0))


def trends(
    limits: TrendLimits,
    samples: Samples,
    workers: Iterable[WorkerState],
    points: Sequence[Point],
    *,
    pool: Pool | None = None,
    left_out: Iterable[Span] = (),
    open_loop: bool = False,
) -> Trends:
    """The verdicts on a run that has ended.

    `pool`: of an embedded server. `points`: the run's history. `left_out`: when the client was the limit.
    """
    leaks: list[Leak] = []
    if limits.leak_mib_per_hour:
        requests = answered(samples, points)
        memories = sorted(
            [*server_memories(samples, pool), *worker_memories(workers)], key=lambda each: -max(each.mib, default=0.0)
        )
        leaks = [judge_memory(each, requests, limits.leak_mib_per_hour) for each in memories[:MAX_PROCESSES]]
    drifts, why = [], ""
    if limits.drift_percent:
        busy = list(left_out)
        drifts = judge_drift(points, limits.drift_percent, busy, open_loop=open_loop)
        why = "" if drifts else unsaid(points, busy, open_loop=open_loop)
    return Trends(leaks, drifts, why)


def server_memories(samples: Samples, pool: Pool | None = None) -> list[Memory]:
    """The memory of the server's processes, as far as it was sampled."""
    found: list[Memory] = []
    columns = samples.columns()
    keeps = f"that any process may take and keep, {pool} among them" if pool else Memory.keeps
    for key, column in columns.items():
        if key == SERVER:
            found.append(_memory("the server", samples.times, column, KEEPS_MIB + (pool.mib if pool else 0), keeps))
        elif key.name == STUB:
            name = f"the stub of {key.of}" if key.of else "the server's other processes"
            found.append(_memory(name, samples.times, column, model=key.of))
        elif key.name == ANY and SERVER not in columns:
            found.append(_memory(f"the server {key.of}".rstrip(), samples.times, column))
    return found


def worker_memories(workers: Iterable[WorkerState]) -> list[Memory]:
    """The memory of our own processes."""
    found = []
    for state in workers:
        windows = windows_of(state)
        times, mib = [window.end_s for window in windows], [window.rss_mib for window in windows]
        found.append(Memory(f"worker {state.worker}", times, mib))
    return found


def answered(samples: Samples, points: Sequence[Point]) -> Requests:
    """How many requests each model had answered by when, as the server counts; without that each scenario, as we do."""
    counts: dict[str, Sequence[float]] = {}
    for key, column in samples.columns().items():
        if key.name == "success" and key.of:
            counts[key.of] = _steady(column)
    if counts:
        return Requests(samples.times, counts)
    scenarios = dict.fromkeys(name for point in points for name in point.scenarios)
    for name in scenarios:
        total, column_of = 0.0, []
        for point in points:
            total += point.scenarios[name].requests if name in point.scenarios else 0.0
            column_of.append(total)
        counts[name] = column_of
    return Requests([point.end_s for point in points], counts)


def _steady(column: Sequence[float]) -> list[float]:
    """A counter with its last value where there is none, and none that goes back: a server that began anew adds up."""
    known, lost, values = 0.0, 0.0, []
    for value in column:
        if not math.isnan(value):
            if lost + value < known:
                lost = known
            known = lost + value
        values.append(known)
    return values


def _memory(
    name: str,
    times: Sequence[float],
    column: Sequence[float],
    keeps_mib: float = KEEPS_MIB,
    keeps: str = Memory.keeps,
    model: str = "",
) -> Memory:
    there = [(t, v) for t, v in zip(times, column, strict=True) if not math.isnan(v)]
    return Memory(name, [t for t, _ in there], [v for _, v in there], keeps_mib, keeps, model)
