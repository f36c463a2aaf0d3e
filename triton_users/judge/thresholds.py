"""Thresholds: limits of the user's own on what a run measured, read and applied. Pure functions of counts.

A threshold is written `[NAME:]METRIC<LIMIT` or `[NAME:]METRIC>=LIMIT`, several are separated by commas or line ends:
`SequenceValid:p99_ms<50, failure_ratio<0.01, my_model:p99_ms<20`. The same text works as an option and in Locust's
config file. The name is a scenario's or else a model's; without one it is applied to everything together. A request
outside of any scenario is to `failure_ratio` what a run is in one. What cannot be measured does not pass.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from triton_users.declaration import UsageError, option
from triton_users.ledger import Ledger, Row, ScenarioCounts
from triton_users.settings import SCENARIOS

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class _Measured:
    """What a threshold is held against."""

    counts: ScenarioCounts
    """Of the scenario's runs, or of all scenarios'."""
    requests: Row
    """All requests it speaks of."""
    outside: Row
    """Those among them that belong to no run of a scenario that it speaks of."""
    duration_s: float


@dataclass(frozen=True)
class _Metric:
    """What a threshold can be set on."""

    meaning: str
    at_most: bool
    """True: less is better, so a limit is an upper one."""
    value: Callable[[_Measured], float | None]
    """None when there is nothing to go by."""


def _failure_ratio(of: _Measured) -> float | None:
    ended = of.counts.runs + of.outside.requests
    return (of.counts.failed + of.outside.failed) / ended if ended else None


def _quantile_ms(q: float) -> Callable[[_Measured], float | None]:
    def value(of: _Measured) -> float | None:
        answer_us = of.requests.latency.quantile(q)
        return None if answer_us is None else answer_us / 1e3

    return value


def _requests_per_s(of: _Measured) -> float | None:
    return of.requests.answered / of.duration_s if of.duration_s > 0 and of.requests.requests else None


METRICS: Mapping[str, _Metric] = {
    "failure_ratio": _Metric(
        "failed runs, out of all runs; outside of scenarios failed requests, out of all requests", True, _failure_ratio
    ),
    "p50_ms": _Metric("median latency of an answered request, in ms", True, _quantile_ms(0.50)),
    "p95_ms": _Metric("95th percentile of the latency of an answered request, in ms", True, _quantile_ms(0.95)),
    "p99_ms": _Metric("99th percentile of the latency of an answered request, in ms", True, _quantile_ms(0.99)),
    "requests_per_s": _Metric("requests that were answered, per second", False, _requests_per_s),
    "runs": _Metric("runs that came to an end (test count)", False, lambda of: float(of.counts.runs)),
}

_THRESHOLD = re.compile(
    r"(?P<scenario>(?:[^:<>=]*(?=:))?):?(?P<metric>[^:<>=]+)(?P<operator>[<>]=?)(?P<limit>[^:<>=]+)"
)


@dataclass(frozen=True)
class Threshold:
    """One limit on one metric of one scenario or model, or of everything together."""

    scenario: str
    """The scenario's name or the model's; "" for everything together."""
    metric: str
    operator: str
    limit: float

    def __str__(self) -> str:
        return f"{self.scenario + ':' if self.scenario else ''}{self.metric}{self.operator}{self.limit:g}"


@dataclass(frozen=True)
class Check:
    """A threshold, applied."""

    threshold: Threshold
    value: float | None
    """What was measured; None: there is no data, which does not pass."""
    passed: bool | None
    """None: not yet. The run goes on and may still come to hold it."""


def parse_thresholds(text: str) -> tuple[Threshold, ...]:
    """The thresholds written in `text`. Raises UsageError for one that cannot be read or cannot be meant."""
    return tuple(_parse(part.strip()) for part in re.split(r"[,\n]", text) if part.strip())


def check_names(thresholds: Iterable[Threshold], models: Iterable[str]) -> None:
    """Raise UsageError for a threshold whose name is neither a scenario's nor that of one of the server's `models`."""
    known = frozenset(models)
    for threshold in thresholds:
        name = threshold.scenario
        if not name or name in SCENARIOS:
            continue
        if name not in known:
            listed = f"; its models: {', '.join(sorted(known))}" if known else ""
            raise UsageError(
                f"thresholds: {str(threshold)!r}: there is no scenario {name!r}, and no such model on the server; the "
                f"scenarios: {', '.join(SCENARIOS)}{listed}"
            )
        if threshold.metric == "runs":
            raise UsageError(
                f"thresholds: {str(threshold)!r}: runs are counted for scenarios, and {name} is a model; "
                f"{name}:requests_per_s>=… says how much it must have answered"
            )


def _parse(text: str) -> Threshold:
    match = _THRESHOLD.fullmatch(text)
    if match is None:
        raise UsageError(
            f"thresholds: {text!r} is not [NAME:]METRIC<LIMIT or [NAME:]METRIC>=LIMIT, "
            "for instance SequenceValid:p99_ms<50 or runs>=100"
        )
    scenario, metric, sign, number = (match[name].strip() for name in ("scenario", "metric", "operator", "limit"))
    if metric not in METRICS:
        raise UsageError(
            f"thresholds: {text!r}: there is no metric {metric!r}; it must be one of: {', '.join(METRICS)}"
        )
    if METRICS[metric].at_most != sign.startswith("<"):
        right = f"{metric}{'<' if METRICS[metric].at_most else '>='}{number}"
        raise UsageError(f"thresholds: {text!r} would fail a run for being good; write {right}")
    try:
        percent = metric == "failure_ratio" and number.endswith("%")
        limit = float(number[:-1]) / 100 if percent else float(number)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise UsageError(f"thresholds: {text!r}: the limit is {number!r}; it must be a number of 0 or more")
    if metric == "failure_ratio" and limit > 1:
        raise UsageError(f"thresholds: {text!r}: a failure ratio is a number from 0 to 1, or a percentage such as 1%")
    return Threshold(scenario, metric, sign, limit)


def apply(
    thresholds: Iterable[Threshold], total: Ledger, duration_s: float, *, running: bool = False
) -> tuple[Check, ...]:
    """Measure each threshold's value and compare it; no data does not pass.

    While the run is `running`, a lower limit that is not reached and one without data are not decided yet.
    """
    return tuple(_check(threshold, total, duration_s, running) for threshold in thresholds)


def _check(threshold: Threshold, total: Ledger, duration_s: float, running: bool) -> Check:
    metric = METRICS[threshold.metric]
    value = metric.value(_measured(threshold.scenario, total, duration_s))
    passed = value is not None and _OPERATORS[threshold.operator](value, threshold.limit)
    undecided = running and not passed and (value is None or not metric.at_most)
    return Check(threshold, value, None if undecided else passed)


def _measured(name: str, total: Ledger, duration_s: float) -> _Measured:
    counts, requests, nothing = ScenarioCounts(), Row(), Row()
    if name in SCENARIOS or name in total.scenarios:
        return _Measured(total.scenarios.get(name, counts), total.requests_of(name), nothing, duration_s)
    if name:
        for (_, model), row in total.rows.items():
            if model == name:
                requests.add(row)
        return _Measured(counts, requests, requests, duration_s)
    for scenario in total.names():
        counts.add(total.scenarios.get(scenario, ScenarioCounts()))
        requests.add(total.requests_of(scenario))
    return _Measured(counts, requests, total.requests_of(""), duration_s)


def four_digits(value: float) -> str:
    """A measured value for people: four significant digits, or all that stand before the point."""
    return f"{value:.0f}" if value >= 1e4 else f"{value:.4g}"


@dataclass(frozen=True)
class JudgingSettings:
    """What the verdict goes by beside its own rules; the limits of a client are `client_limited.Limits`."""

    thresholds: tuple[Threshold, ...] = option(
        "",
        "What must hold, comma separated: [NAME:]METRIC<LIMIT or >=, for instance "
        "SequenceValid:p99_ms<50,failure_ratio<0.01,my_model:requests_per_s>=100. NAME is a scenario's or a model's. "
        f"Metrics: {', '.join(METRICS)}.",
        read=parse_thresholds,
    )
    fail_on_bottleneck: bool = option(
        False, "Fail the run when the client was too slow for its latencies to be trusted."
    )
