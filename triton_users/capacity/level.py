"""What one level of a capacity search came to: did its limits hold, and if not, was it the server? Pure functions.

A level that does not hold says something about the server only when the client could make its load. So whatever else is
found, a client that was too slow, or too few users for the rate, is what the level came to then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from triton_users.capacity.saturation import saturated
from triton_users.declaration import UsageError
from triton_users.judge.metrics import metric
from triton_users.judge.thresholds import Check, Threshold, apply, parse_thresholds
from triton_users.ledger import Histogram, Ledger

Outcome = Literal["held", "failed", "too high", "too few to say", "client-limited", "users busy", "not judged"]
"""`too high`: requests piled up. `users busy`: arrivals waited for users while the server kept the limits. `not
judged`: workers came or went, the counts were reset, or the rate was not made."""

MISSED_SHARE = 0.01
"""More arrivals than this that were never issued are a rate that was not kept."""

NO_FAILURES = Threshold("", "failure_ratio", "<=", 0.0)
"""What holds as well where no limit speaks of failures: else a server that refuses most requests keeps them all."""


SHORT_SHARE, SHORT_SPREADS = 0.05, 4.0
"""Fewer arrivals by more than this share, and so many times what random ones differ by, were not the rate."""

LOADS = ("requests_per_s", "runs")
"""Metrics that say how much was done."""

_LATENCY = re.compile(r"(p[0-9.]+|max)_ms")


@dataclass(frozen=True)
class Seen:
    """What was seen of a level."""

    load: float
    """Arrivals a second, or users."""
    begun_s: float
    """When it was measured, in seconds of the run."""
    ended_s: float
    counted: Ledger
    """What was counted in this time."""
    duration_s: float
    """For how long, as the workers' own clocks say."""
    is_rate: bool = True
    users: int = 0
    in_flight: Sequence[float] = ()
    """Requests under way, at equal distances in time; with those that waited for a user."""
    took_us: Sequence[float] = ()
    """How long answers took, or where there are streams their first response, at the same times."""
    left: int = 0
    """Requests that had no answer though no more were sent for a while."""
    waited_s: float = 0.0
    """How long that while was."""
    limited: Sequence[str] = ()
    """Where the client was too slow meanwhile, a sentence each."""
    changed: str = ""
    """Why it is not to be judged; "" when it is."""


@dataclass(frozen=True)
class Level:
    """What a level came to."""

    seen: Seen
    outcome: Outcome
    why: str
    """In words; "" when it held."""
    checks: tuple[Check, ...] = ()

    @property
    def load(self) -> float:
        return self.seen.load

    @property
    def held(self) -> bool:
        return self.outcome == "held"

    @property
    def of_server(self) -> bool:
        """Whether it says of the server that it does not take this load."""
        return self.outcome in ("failed", "too high")


def parse_limits(text: str) -> tuple[Threshold, ...]:
    """What must hold on a level. Raises UsageError for what cannot be read, or holds the better under load."""
    try:
        limits = parse_thresholds(text)
    except UsageError as error:
        raise UsageError(str(error).replace("thresholds: ", "find-capacity: ", 1)) from None
    for limit in limits:
        if limit.metric in LOADS:
            raise UsageError(
                f"find-capacity: {str(limit)!r}: {limit.metric} grows with the load, and the load is what is searched; "
                "say what must hold, for instance p99_ms<50,failure_ratio<0.1%"
            )
    if limits and not any(limit.metric == "failure_ratio" for limit in limits):
        return (*limits, NO_FAILURES)
    return limits


def judge_level(seen: Seen, limits: Iterable[Threshold]) -> Level:
    """What a level came to."""
    if seen.changed:
        return Level(seen, "not judged", seen.changed)
    checks = apply(limits, seen.counted, seen.duration_s)
    outcome, why = _of_server(seen, checks)
    if outcome in ("held", "too few to say") and (not_made := _not_made(seen)):
        return Level(seen, "not judged", not_made, checks)
    if outcome in ("failed", "too high"):
        if seen.limited:
            return Level(seen, "client-limited", f"{'; '.join(seen.limited)}; {why}", checks)
        if late := _late(seen, checks):
            return Level(seen, late, f"{_whose(late, seen)}; {why}", checks)
    return Level(seen, outcome, why, checks)


def missing(seen: Seen, limits: Iterable[Threshold]) -> int:
    """How many more values it takes to say of each percentile that it keeps its limit; 0: none, or it does not."""
    if _nothing_came(seen):
        return fewest(limits)
    checks = apply(limits, seen.counted, seen.duration_s)
    if any(check.passed is False for check in checks):
        return 0
    behind = [check.sample for check in checks if check.sample is not None and check.sample.needed]
    return max((sample.needed - sample.values for sample in behind), default=0)


def fewest(limits: Iterable[Threshold]) -> int:
    """The fewest requests that can say that all these limits hold: with none of them outside."""
    return max((metric(each.metric).fewest(is_upper=each.operator.startswith("<")) for each in limits), default=1)


def took_us(counted: Ledger) -> float | None:
    """How long answers took on average, or where there are streams their first response; None when there was none."""
    first, whole = Histogram(), Histogram()
    for row in counted.rows.values():
        first.add(row.measures.get("first_response", Histogram()))
        whole.add(row.latency)
    return first.mean_us() if first.counts else whole.mean_us()


def _of_server(seen: Seen, checks: Sequence[Check]) -> tuple[Outcome, str]:
    broken = [f"{check.threshold} {check.finding}" for check in checks if check.passed is False]
    if _nothing_came(seen) and not _not_made(seen):
        return "too few to say", f"no arrival was due in {seen.duration_s:.0f} s"
    if saturated(seen.in_flight, seen.took_us, seen.load):
        first, last = seen.in_flight[0], seen.in_flight[-1]
        grew = f"requests under way grew from {first:.0f} to {last:.0f}, and how long they take grew with them"
        return "too high", "; ".join([grew, *broken])
    if broken:
        return "failed", "; ".join(broken)
    if seen.left:
        return "failed", f"{seen.left:,} requests had no answer {seen.waited_s:.0f} s after the level had ended"
    if not_kept := _not_kept(seen):
        return "failed", not_kept
    few = [f"{check.threshold}: {check.finding}" for check in checks if check.few]
    return ("too few to say", "; ".join(few)) if few else ("held", "")


def _nothing_came(seen: Seen) -> bool:
    """Whether there was nothing to answer: at a low rate seconds go by without an arrival."""
    return seen.is_rate and not seen.counted.arrivals.ended and not any(seen.in_flight)


def _not_made(seen: Seen) -> str:
    """Why this is not the load that was to be measured: fewer arrivals became due on the workers."""
    due, ended = seen.load * seen.duration_s, seen.counted.arrivals.ended
    if not seen.is_rate or ended >= (1 - SHORT_SHARE) * due - SHORT_SPREADS * math.sqrt(due):
        return ""
    return f"{ended / max(seen.duration_s, 1e-9):,.4g} arrivals a second came, not {seen.load:,.6g}"


def _not_kept(seen: Seen) -> str:
    """Why the rate was not the one that was to be measured. Arrivals that were issued late are in the latencies."""
    arrivals = seen.counted.arrivals
    if not seen.is_rate or arrivals.missed <= MISSED_SHARE * arrivals.ended:
        return ""
    return f"the rate was not kept: {arrivals.missed:,} of {arrivals.ended:,} arrivals were never issued"


def _late(seen: Seen, checks: Sequence[Check]) -> Literal["client-limited", "users busy"] | None:
    """What the arrivals waited for, when that is why limits do not hold: from its real start all that was sent did."""
    arrivals = seen.counted.arrivals
    slow, busy = arrivals.late + arrivals.missed_slow, arrivals.waited + arrivals.missed_busy
    if not seen.is_rate or slow + busy <= MISSED_SHARE * arrivals.ended:
        return None
    limits = [check.threshold for check in checks]
    sent = [_service(limit) for limit in limits]
    if sent == limits or any(check.passed is False for check in apply(sent, seen.counted, seen.duration_s)):
        return "client-limited" if arrivals.missed_slow > MISSED_SHARE * arrivals.ended else None
    return "client-limited" if slow >= busy else "users busy"


def _whose(late: Outcome, seen: Seen) -> str:
    """Whose fault it was that arrivals were late, in words."""
    arrivals = seen.counted.arrivals
    if late == "client-limited":
        slow = arrivals.late + arrivals.missed_slow
        return f"it issued {slow:,} of {arrivals.ended:,} arrivals late or never though users were free"
    busy = arrivals.waited + arrivals.missed_busy
    return (
        f"{busy:,} of {arrivals.ended:,} arrivals waited for one of the {seen.users:,} users, while what was sent kept "
        "the limits: give more users (-u)"
    )


def _service(threshold: Threshold) -> Threshold:
    """The same limit on the time from when a request was really sent, where it is one on the latency."""
    timed = _LATENCY.fullmatch(threshold.metric)
    return replace(threshold, metric=f"service_{threshold.metric}") if timed else threshold
