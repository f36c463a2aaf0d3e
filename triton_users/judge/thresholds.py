"""Thresholds: limits of the user's own on what a run measured, read and applied. Pure functions of counts.

A threshold is written `[SCENARIO:]METRIC<LIMIT` or `[SCENARIO:]METRIC>=LIMIT`, several are separated by commas or line
ends: `SequenceValid:p99_ms<50, failure_ratio<0.01, ResNet:runs>=10`. The same text works as an option and in Locust's
config file. Without a scenario it is applied to all scenarios together. What cannot be measured does not pass.
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
class _Metric:
    """What a threshold can be set on."""

    meaning: str
    at_most: bool
    """True: less is better, so a limit is an upper one."""
    value: Callable[[ScenarioCounts, Row, float], float | None]
    """Of the scenario's counts, its requests and the run's duration in seconds; None when there is nothing to go by."""


def _quantile_ms(q: float) -> Callable[[ScenarioCounts, Row, float], float | None]:
    def value(_: ScenarioCounts, requests: Row, duration_s: float) -> float | None:
        answer_us = requests.latency.quantile(q)
        return None if answer_us is None else answer_us / 1e3

    return value


METRICS: Mapping[str, _Metric] = {
    "failure_ratio": _Metric(
        "failed runs, out of all runs", True, lambda counts, _, __: counts.failed / counts.runs if counts.runs else None
    ),
    "p50_ms": _Metric("median latency of an answered request, in ms", True, _quantile_ms(0.50)),
    "p95_ms": _Metric("95th percentile of the latency of an answered request, in ms", True, _quantile_ms(0.95)),
    "p99_ms": _Metric("99th percentile of the latency of an answered request, in ms", True, _quantile_ms(0.99)),
    "requests_per_s": _Metric(
        "requests that were answered, per second",
        False,
        lambda _, requests, s: requests.answered / s if s > 0 and requests.requests else None,
    ),
    "runs": _Metric("runs that came to an end (test count)", False, lambda counts, _, __: float(counts.runs)),
}

_THRESHOLD = re.compile(
    r"(?P<scenario>(?:[^:<>=]*(?=:))?):?(?P<metric>[^:<>=]+)(?P<operator>[<>]=?)(?P<limit>[^:<>=]+)"
)


@dataclass(frozen=True)
class Threshold:
    """One limit on one metric of one scenario, or of all together."""

    scenario: str
    """"" for all scenarios together."""
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


def parse_thresholds(text: str, scenarios: Iterable[str] = SCENARIOS) -> tuple[Threshold, ...]:
    """The thresholds written in `text`; `scenarios` are the names there are.

    Raises UsageError for one that cannot be read or cannot be meant.
    """
    known = tuple(scenarios)
    return tuple(_parse(part.strip(), known) for part in re.split(r"[,\n]", text) if part.strip())


def _parse(text: str, known: tuple[str, ...]) -> Threshold:
    match = _THRESHOLD.fullmatch(text)
    if match is None:
        raise UsageError(
            f"thresholds: {text!r} is not [SCENARIO:]METRIC<LIMIT or [SCENARIO:]METRIC>=LIMIT, "
            "for instance SequenceValid:p99_ms<50 or runs>=100"
        )
    scenario, metric, sign, number = (match[name].strip() for name in ("scenario", "metric", "operator", "limit"))
    if scenario and scenario not in known:
        raise UsageError(
            f"thresholds: {text!r}: there is no scenario {scenario!r}; it must be one of: {', '.join(known)}"
        )
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
    counts, requests = ScenarioCounts(), Row()
    for name in [threshold.scenario] if threshold.scenario else total.names():
        counts.add(total.scenarios.get(name, ScenarioCounts()))
        requests.add(total.requests_of(name))
    metric = METRICS[threshold.metric]
    value = metric.value(counts, requests, duration_s)
    passed = value is not None and _OPERATORS[threshold.operator](value, threshold.limit)
    undecided = running and not passed and (value is None or not metric.at_most)
    return Check(threshold, value, None if undecided else passed)


def four_digits(value: float) -> str:
    """A measured value for people: four significant digits, or all that stand before the point."""
    return f"{value:.0f}" if value >= 1e4 else f"{value:.4g}"


@dataclass(frozen=True)
class JudgingSettings:
    """What the verdict goes by beside its own rules; the limits of a client are `client_limited.Limits`."""

    thresholds: tuple[Threshold, ...] = option(
        "",
        "What must hold, comma separated: [SCENARIO:]METRIC<LIMIT or >=, for instance "
        f"SequenceValid:p99_ms<50,failure_ratio<0.01,ResNet:runs>=10. Metrics: {', '.join(METRICS)}.",
        read=parse_thresholds,
    )
    fail_on_bottleneck: bool = option(
        False, "Fail the run when the client was too slow for its latencies to be trusted."
    )
