"""What a threshold can be set on: metrics by name, and percentiles of any measure. Pure functions of counts.

Each of `ledger.MEASURES` can be named before a percentile: a new one there is one here as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from triton_users.declaration import UsageError
from triton_users.judge import samples
from triton_users.ledger import Histogram, Row, ScenarioCounts
from triton_users.ledger.histogram import middle_us
from triton_users.ledger.measures import MEASURES, Measure

LATENCY = Measure("Latency", "from a request's sending, or when it was due, to its end")
"""What a percentile is of that names no measure."""


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
    percent: float | None = None
    """Which percentile it is, if it is one."""

    def fewest(self, *, is_upper: bool) -> int:
        """The fewest values that can say that it keeps a limit: with none outside."""
        return 1 if self.percent is None else samples.needed(0, _allowed(self.percent, is_upper))


def _allowed(percent: float, is_upper: bool) -> float:
    """The share of values that may be outside a limit on this percentile."""
    return (100 - percent if is_upper else percent) / 100


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
PREFIXES = ", ".join(f"{name}_" for name in MEASURES)

_PERCENTILE = re.compile(r"(?:(?P<measure>\w+)_)??(?:p(?P<percent>\d{1,3}(?:\.\d{1,6})?)|max)(?P<suffix>_ms)?")


def metric(name: str) -> Metric:
    """The metric of this name. Raises UsageError when there is none, with what may have been meant."""
    if name in METRICS:
        return METRICS[name]
    match = _PERCENTILE.fullmatch(name)
    measure = None if match is None else MEASURES.get(match["measure"]) if match["measure"] else LATENCY
    if match is None or measure is None:
        raise UsageError(
            f"there is no metric {name!r}; it must be one of: {NAMES}; before pNN or max may stand: {PREFIXES}"
        )
    percent, right = match["percent"], measure.field(name.removesuffix("_ms"))
    if name != right:
        kind = "a time in ms" if measure.is_time else "a count"
        raise UsageError(f"there is no metric {name!r}: {measure.title.lower()} is {kind}; write {right}")
    at_most, scale = (True, 1e3) if measure.is_time else (None, 1.0)
    if percent is None:
        return Metric(at_most, _largest(match["measure"], scale))
    if not 0 < float(percent) < 100:
        raise UsageError(f"there is no metric {name!r}: a percentile is over 0 and under 100; the largest value is max")
    return _percentile(match["measure"], float(percent), at_most, scale)


def _histogram(of: Measured, measure: str | None) -> Histogram:
    """The values of a measure, None for the latency; empty where no request has one."""
    return of.requests.measures.get(measure, Histogram()) if measure else of.requests.latency


def _largest(measure: str | None, scale: float) -> Callable[[Measured], float | None]:
    def value(of: Measured) -> float | None:
        histogram = _histogram(of, measure)
        return histogram.max_us / scale if histogram.counts else None

    return value


def _percentile(measure: str | None, percent: float, at_most: bool | None, scale: float) -> Metric:
    def value(of: Measured) -> float | None:
        found = _histogram(of, measure).quantile(percent / 100)
        return None if found is None else found / scale

    def sample(of: Measured, keeps: Callable[[float], bool], is_upper: bool) -> Sample:
        histogram = _histogram(of, measure)
        largest, values = histogram.max_us, histogram.total
        outside = sum(count for key, count in histogram if not keeps(min(middle_us(key), largest) / scale))
        allowed = _allowed(percent, is_upper)
        few = not samples.enough(values, outside, allowed)
        needed = samples.needed(outside, allowed) if few else 0
        return Sample(values, outside, needed, "responses" if measure == "inter_response" else "requests")

    return Metric(at_most, value, sample, percent)
