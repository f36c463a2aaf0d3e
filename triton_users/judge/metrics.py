"""What a threshold can be set on: metrics by name, and measures that percentiles can be of. Pure functions of counts.

To add a measure, add its line to MEASURES: from it alone come `NAME_p99_ms<...`, its messages and its documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from triton_users.declaration import UsageError
from triton_users.judge import samples
from triton_users.ledger import Histogram, Row, ScenarioCounts
from triton_users.ledger.histogram import middle_us


@dataclass(frozen=True)
class Measured:
    """What a metric is taken from."""

    counts: ScenarioCounts
    """Of the scenario's runs, or of all scenarios'."""
    requests: Row
    """All requests it speaks of."""
    outside: Row
    """Those among them that belong to no run of a scenario that it speaks of."""
    duration_s: float


@dataclass(frozen=True)
class Measure:
    """Something that each request, or each response, has a value of."""

    meaning: str
    values: str
    """What there is one value of: "requests" or "responses"."""
    of: Callable[[Row], Histogram | None]
    """None: nothing in this row has one."""
    is_time: bool = True
    """Microseconds, shown as ms; else a count."""

    @property
    def suffix(self) -> str:
        """What ends the names of its metrics."""
        return "_ms" if self.is_time else ""


def _named(name: str) -> Callable[[Row], Histogram | None]:
    return lambda row: row.measures.get(name)


MEASURES: Mapping[str, Measure] = {
    "": Measure("latency of an answered request", "requests", lambda row: row.latency),
    "first_response": Measure("time to the first response of a request", "requests", _named("first_response")),
    "inter_response": Measure("time from one response of a request to the next", "responses", _named("inter_response")),
    "responses": Measure("responses to a request", "requests", _named("responses"), is_time=False),
    "service": Measure("time from when a request was really sent to its answer", "requests", _named("service")),
    "issue_delay": Measure(
        "time from when a request should have been sent until it was", "requests", _named("issue_delay")
    ),
}
"""Prefix in a metric's name -> the measure; without one it is the latency."""


@dataclass(frozen=True)
class Sample:
    """The values behind a percentile that is said to keep a limit."""

    values: int
    outside: int
    """Those that do not keep the limit."""
    needed: int
    """How many values it takes to say so when so many do not keep it; 0: there are enough."""
    of: str
    """What there is one value of."""


@dataclass(frozen=True)
class Metric:
    """What a threshold can be set on."""

    at_most: bool | None
    """True: less is better, so a limit is an upper one; None: there may be one of either kind."""
    value: Callable[[Measured], float | None]
    """None when there is nothing to go by."""
    sample: Callable[[Measured, Callable[[float], bool], bool], Sample] | None = None
    """Of what is measured, whether a value keeps the limit, and whether that is an upper one; None: it is no percentile
    and needs no number of requests."""


def _failure_ratio(of: Measured) -> float | None:
    """Failed runs, out of all runs; outside of scenarios failed requests, out of all requests."""
    ended = of.counts.runs + of.outside.requests
    return (of.counts.failed + of.outside.failed) / ended if ended else None


def _requests_per_s(of: Measured) -> float | None:
    """Requests that were answered, per second."""
    return of.requests.answered / of.duration_s if of.duration_s > 0 and of.requests.requests else None


def _goodput(of: Measured) -> float | None:
    """Requests that kept all limits of `--goodput`, out of all that were held against them."""
    return of.requests.good / of.requests.judged if of.requests.judged else None


METRICS: Mapping[str, Metric] = {
    "failure_ratio": Metric(True, _failure_ratio),
    "requests_per_s": Metric(False, _requests_per_s),
    "goodput": Metric(False, _goodput),
    "runs": Metric(False, lambda of: float(of.counts.runs)),
}
"""Those that are no percentile."""

RATIOS = ("failure_ratio", "goodput")
"""Those that are a part of a whole."""

NAMES = "failure_ratio, goodput, requests_per_s, runs, pNN_ms (any percentile: p50_ms, p99.9_ms), max_ms"
"""All metrics, in a few words."""
PREFIXES = ", ".join(f"{name}_" for name in MEASURES if name)

_PERCENTILE = re.compile(r"(?:(?P<measure>\w+)_)??(?:p(?P<percent>\d{1,3}(?:\.\d{1,6})?)|max)(?P<suffix>_ms)?")


def metric(name: str) -> Metric:
    """The metric of this name. Raises UsageError when there is none, with what may have been meant."""
    if name in METRICS:
        return METRICS[name]
    match = _PERCENTILE.fullmatch(name)
    prefix = (match["measure"] or "") if match else ""
    if match is None or prefix not in MEASURES:
        raise UsageError(
            f"there is no metric {name!r}; it must be one of: {NAMES}; before pNN or max may stand: {PREFIXES}"
        )
    measure, percent = MEASURES[prefix], match["percent"]
    if (match["suffix"] or "") != measure.suffix:
        kind = "a time in ms" if measure.is_time else "a count"
        right = name.removesuffix("_ms") + measure.suffix
        raise UsageError(f"there is no metric {name!r}: {measure.meaning} is {kind}; write {right}")
    if percent is None:
        return Metric(True if measure.is_time else None, _largest(measure))
    if not 0 < float(percent) < 100:
        raise UsageError(f"there is no metric {name!r}: a percentile is over 0 and under 100; the largest value is max")
    return _percentile(measure, float(percent))


def _scale(measure: Measure) -> float:
    return 1e3 if measure.is_time else 1.0


def _largest(measure: Measure) -> Callable[[Measured], float | None]:
    def value(of: Measured) -> float | None:
        histogram = measure.of(of.requests)
        return histogram.max_us / _scale(measure) if histogram is not None and histogram.counts else None

    return value


def _percentile(measure: Measure, percent: float) -> Metric:
    def value(of: Measured) -> float | None:
        histogram = measure.of(of.requests)
        found = None if histogram is None else histogram.quantile(percent / 100)
        return None if found is None else found / _scale(measure)

    def sample(of: Measured, keeps: Callable[[float], bool], at_most: bool) -> Sample:
        histogram = measure.of(of.requests) or Histogram()
        largest, scale, values = histogram.max_us, _scale(measure), histogram.total
        outside = sum(count for key, count in histogram if not keeps(min(middle_us(key), largest) / scale))
        allowed = (100 - percent if at_most else percent) / 100
        few = not samples.enough(values, outside, allowed)
        return Sample(values, outside, samples.needed(outside, allowed) if few else 0, measure.values)

    return Metric(True if measure.is_time else None, value, sample)
