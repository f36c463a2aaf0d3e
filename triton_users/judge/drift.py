"""Whether a server gets slower while its load stays the same: one of three answers, with its evidence. Pure functions.

Windowed p50, p99 and rate of answers of each scenario, by the statistics of `slopes` on their logarithms: drift is a
share of what there was. Stretches with another number of users, and those in which the client was the limit, are left
out. A step is no drift: it must go on through the last half.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from triton_users.judge.client_limited import digits, hms
from triton_users.judge.slopes import BINS, FEWEST_BINS, slope, steepness
from triton_users.ledger.timeline import Buckets, Point

Answer = Literal["none seen", "drift", "too short to say"]

WARM_UP_S = 60.0
SHORTEST_S = 300.0
"""What must be left to be judged: a machine's minutes differ by themselves."""
FEWEST = {"p50 latency": 20, "p99 latency": 200, "rate of answers": 20}
"""What is judged, and how many requests a window must have for it."""

EACH_HALF = 0.2
"""The least share of a drift that each half of the time has in it; after a step one half has none."""

SAME_RATE = 0.1
"""Rates of an open loop that differ by less, as a share of the usual one, are the same load."""

Span = tuple[float, float]


@dataclass(frozen=True)
class Drift:
    """The answer for one measure of one scenario."""

    scenario: str
    """"" for requests outside of any."""
    what: str
    """One of FEWEST."""
    answer: Answer
    limit_percent: float
    from_s: float
    to_s: float
    """What of the run was judged."""
    percent: float
    """How much slower it was at the end than at the beginning; of a rate, how much longer each answer took."""
    low_percent: float
    high_percent: float
    left_out_s: float
    """For how long of that the client was the limit, or the load another."""

    def __str__(self) -> str:
        """One sentence."""
        name = f"{self.what} of {self.scenario or 'the requests'}"
        interval = f"{digits(self.low_percent)} to {digits(self.high_percent)} %, limit {self.limit_percent:g}"
        judged = f"from {hms(self.from_s)} to {hms(self.to_s)} at equal load"
        if self.answer == "drift":
            return f"drift: the {name} got slower by {digits(self.percent)} % ({interval}) {judged}"
        said = "no drift seen" if self.answer == "none seen" else "too short to say"
        return f"{name}: {said}: slower by {interval}, {judged}"


@dataclass(frozen=True)
class Window:
    """One scenario in a stretch of the run."""

    start_s: float
    end_s: float
    requests: float
    latency: Buckets

    def seconds(self, what: str) -> float | None:
        """The measure as a time that is longer where the server is slower; None where there are too few requests."""
        if self.requests < FEWEST[what]:
            return None
        if what == "rate of answers":
            return (self.end_s - self.start_s) / self.requests
        if self.latency.total < FEWEST[what]:
            return None
        us = self.latency.quantile_us(0.5 if what == "p50 latency" else 0.99)
        return None if us is None else max(us, 1.0) / 1e6


def judge_drift(
    points: Sequence[Point], limit_percent: float, left_out: Iterable[Span] = (), *, open_loop: bool = False
) -> list[Drift]:
    """What can be said of each scenario; nothing of those with too few requests, and nothing of a short run.

    `points`: the run's history. `left_out`: when the client, or its machine, was the limit. Equal load is the same
    number of users; of an `open_loop` it is the same rate, which then says nothing of the server itself.
    """
    judged, _, even = _equal_load(points, list(left_out), open_loop)
    left_out_s = _seconds(judged) - _seconds(even)
    if _seconds(even) < SHORTEST_S:
        return []
    measures = [what for what in FEWEST if not (open_loop and what == "rate of answers")]
    names = dict.fromkeys(name for point in even for name in point.scenarios)
    found = []
    for name in names:
        over = windows(even, name)
        found += [_drift(name, what, over, limit_percent, left_out_s) for what in measures]
    return [each for each in found if each is not None]


def unsaid(points: Sequence[Point], left_out: Iterable[Span] = (), *, open_loop: bool = False) -> str:
    """Why `judge_drift`, of the same, has no answer at all."""
    judged, idle, even = _equal_load(points, list(left_out), open_loop)
    why = [f"there were {hms(_seconds(judged))} of load after its first minute"]
    if busy_s := _seconds(judged) - _seconds(idle):
        why.append(f"the client, or its machine, was the limit for {hms(busy_s)} of them")
    if other_s := _seconds(idle) - _seconds(even):
        why.append(f"the load was not the usual one for {hms(other_s)}")
    short = _seconds(even) < SHORTEST_S
    needed = f"{hms(SHORTEST_S)} are needed" if short else "there were too few requests for a percentile of each part"
    return f"whether the server gets slower: cannot say: {', '.join(why)}; {needed}"


def _equal_load(
    points: Sequence[Point], busy: Sequence[Span], open_loop: bool
) -> tuple[list[Point], list[Point], list[Point]]:
    """What of the run could be judged; of that, when the client was not the limit; of that, at the usual load."""
    loaded = [point for point in points if point.gauges.get("users")]
    begun_s = loaded[0].start_s + WARM_UP_S if loaded else math.inf
    judged = [point for point in points if point.start_s >= begun_s]
    idle = [point for point in judged if not any(a < point.end_s and point.start_s < b for a, b in busy)]
    if open_loop:
        usual = _usual_rate(judged)
        return judged, idle, [point for point in idle if abs(_rate(point) - usual) <= SAME_RATE * usual]
    users = _usual_users(loaded)
    return judged, idle, [point for point in idle if point.gauges.get("users") == users]


def _seconds(points: Iterable[Point]) -> float:
    return sum(point.span_s for point in points)


def windows(points: Sequence[Point], scenario: str) -> list[Window]:
    """The points in at most BINS windows of about the same length."""
    longest_s = sum(point.span_s for point in points) / BINS
    made: list[Window] = []
    gathered: list[Point] = []
    for point in points:
        gathered.append(point)
        if sum(each.span_s for each in gathered) >= longest_s:
            made.append(_window(gathered, scenario))
            gathered = []
    return made


def _window(points: Sequence[Point], scenario: str) -> Window:
    requests, latency, spans_s = 0.0, Buckets(), 0.0
    for point in points:
        spans_s += point.span_s
        if part := point.scenarios.get(scenario):
            requests, latency = requests + part.requests, latency.plus(part.latency)
    middle_s = (points[0].start_s + points[-1].end_s) / 2  # what was left out between them does not make it longer
    return Window(middle_s - spans_s / 2, middle_s + spans_s / 2, requests, latency)


def _usual_users(points: Sequence[Point]) -> int:
    """How many users there were for the longest; 0 where there were none."""
    spans: Counter[int] = Counter()
    for point in points:
        spans[point.gauges["users"]] += max(1, round(point.span_s))
    return spans.most_common(1)[0][0] if spans else 0


def _rate(point: Point) -> float:
    return sum(part.requests for part in point.scenarios.values()) / point.span_s


def _usual_rate(points: Sequence[Point]) -> float:
    return median(map(_rate, points)) if points else 0.0


def _drift(scenario: str, what: str, over: Sequence[Window], limit_percent: float, left_out_s: float) -> Drift | None:
    measured = [((each.start_s + each.end_s) / 2, seconds) for each in over if (seconds := each.seconds(what))]
    if len(measured) < FEWEST_BINS:
        return None
    at = [at_s for at_s, _ in measured]
    logs = [math.log(seconds) for _, seconds in measured]
    whole = slope(at, logs)
    if whole is None:
        return None
    total = whole.times(at[-1] - at[0])
    limit, half = math.log1p(limit_percent / 100), len(at) // 2
    halves = ((at[:half], logs[:half]), (at[half:], logs[half:]))
    goes_on = all((steepness(x, y) or 0.0) * (x[-1] - x[0]) > EACH_HALF * total.value for x, y in halves)
    answer: Answer = "too short to say"
    if total.low > limit and goes_on:
        answer = "drift"
    elif total.high < limit:
        answer = "none seen"
    return Drift(
        scenario=scenario,
        what=what,
        answer=answer,
        limit_percent=limit_percent,
        from_s=over[0].start_s,
        to_s=over[-1].end_s,
        percent=_percent(total.value),
        low_percent=_percent(total.low),
        high_percent=_percent(total.high),
        left_out_s=left_out_s,
    )


def _percent(log: float) -> float:
    return 100 * math.expm1(min(log, 20.0))
