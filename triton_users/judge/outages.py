"""When the server was gone, from what all workers saw of their connects. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from triton_users.judge.client_limited import hms
from triton_users.ledger import WorkerState

SHORTEST_S = 1.0
"""A shorter outage, in seconds, is not reported: one user whose own server is away among others that get answers
makes many of them."""
APART_S = 3.0
"""Outages of several workers no further apart than this are one: their clocks and their pauses between two attempts
differ."""
BEFORE_S = 5.0
AFTER_S = 30.0
"""A failure from so long before an outage, in seconds, until so long after it may be its consequence: a request under
way ends with it, and a sequence that lost a request ends at its own limit."""
MAX_TOLD = 5
"""Outages that one sentence names."""


@dataclass(frozen=True)
class Outage:
    """A stretch of time in which workers could not reach the server."""

    from_s: float
    """Seconds into the run."""
    to_s: float
    """When the first request after it was answered; infinity: none was."""
    workers: tuple[str, ...]
    why: str

    def explains(self, at_s: float) -> bool:
        """Whether a failure at that time may be its consequence."""
        return self.from_s - BEFORE_S <= at_s <= self.to_s + AFTER_S

    def __str__(self) -> str:
        if math.isinf(self.to_s):
            return f"from {hms(self.from_s)} on"
        return f"from {hms(self.from_s)} to {hms(self.to_s)}"


def outages(workers: Iterable[WorkerState]) -> list[Outage]:
    """The outages of all workers, those at the same time as one, in order of time."""
    seen = sorted(_of(workers), key=lambda outage: outage.from_s)
    found: list[Outage] = []
    for outage in seen:
        if found and outage.from_s <= found[-1].to_s + APART_S:
            last = found[-1]
            names = tuple(dict.fromkeys([*last.workers, *outage.workers]))
            found[-1] = Outage(last.from_s, max(last.to_s, outage.to_s), names, last.why)
        else:
            found.append(outage)
    return found


def _of(workers: Iterable[WorkerState]) -> Iterable[Outage]:
    for state in workers:
        goes_on, why, spans = state.outages or (False, "", [])
        for number, (from_s, to_s) in enumerate(spans, start=1):
            last = goes_on and number == len(spans)
            if to_s - from_s >= SHORTEST_S:
                end_s = math.inf if last else to_s + state.began_s
                yield Outage(from_s + state.began_s, end_s, (state.worker,), why)


def sentence(found: Sequence[Outage], workers: int) -> str:
    """What is said of them; "" when there were none. `workers`: how many there are."""
    if not found:
        return ""
    times = " and ".join(map(str, found[:MAX_TOLD]))
    more = f" and {len(found) - MAX_TOLD} more times" if len(found) > MAX_TOLD else ""
    cut_off = sorted({name for outage in found for name in outage.workers})
    if len(cut_off) < workers:
        who = f"{len(cut_off)} of {workers} workers ({', '.join(cut_off[:MAX_TOLD])}) could not reach the server"
    else:
        who = "the server was gone"
    return f"{who} {times}{more}: {found[0].why}"
