"""Thresholds: limits of the user's own on what a run measured, read and applied. Pure functions of counts.

A threshold is written `[NAME:]METRIC<LIMIT` or `[NAME:]METRIC>=LIMIT`, several are separated by commas or line ends:
`SequenceValid:p99.9_ms<50, failure_ratio<0.1%, my_model:first_response_p99_ms<20`. The same text works as an option and
in Locust's config file. The name is a scenario's or else a model's; without one it is applied to everything together. A
request outside of any scenario is to `failure_ratio` what a run is in one. What cannot be measured does not pass; a
percentile that too few values stand behind holds in what was seen and no further, which each check says.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from triton_users.declaration import UsageError, option
from triton_users.judge.metrics import NAMES, PREFIXES, RATIOS, Measured, Sample, metric
from triton_users.ledger import Ledger, Row, ScenarioCounts
from triton_users.settings import SCENARIOS

_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
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

    def holds(self, value: float) -> bool:
        """Whether `value` keeps the limit."""
        return _OPERATORS[self.operator](value, self.limit)

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
    sample: Sample | None = None
    """What stands behind a percentile that keeps its limit."""

    @property
    def few(self) -> bool:
        """Whether it held in what was seen, of which there was too little to say that it holds."""
        return self.sample is not None and self.sample.needed > 0

    @property
    def shown(self) -> str:
        """The value in words."""
        return "no data" if self.value is None else four_digits(self.value)

    @property
    def result(self) -> str:
        """What it came to, in words."""
        if self.passed is None:
            return "not yet"
        return "too few to say" if self.few else "pass" if self.passed else "fail"

    @property
    def finding(self) -> str:
        """What keeps it from having passed, as the end of a sentence about it; "" when nothing does."""
        sample, yet = self.sample, " yet" if self.passed is None else ""
        if sample is not None and sample.needed:
            return (
                f"not enough {sample.of} to say{yet}: it is {self.shown}, with {sample.outside:,} of {sample.values:,} "
                f"{sample.of} outside the limit; with so many outside it takes {sample.needed:,} {sample.of} or more"
            )
        if self.passed:
            return ""
        found = "there is no data" if self.value is None else f"it is {self.shown}"
        return f"does not hold{yet}: {found}"


def parse_thresholds(text: str) -> tuple[Threshold, ...]:
    """The thresholds written in `text`. Raises UsageError for one that cannot be read or cannot be meant."""
    return tuple(_parse(part.strip()) for part in re.split(r"[,\n]", text) if part.strip())


def check_names(
    thresholds: Iterable[Threshold],
    models: Iterable[str],
    scenarios: Collection[str] = SCENARIOS,
    option: str = "thresholds",
) -> None:
    """Raise UsageError for a threshold whose name is neither a scenario's nor that of one of the server's `models`.

    `option`: where they were written.
    """
    known = frozenset(models)
    for threshold in thresholds:
        name = threshold.scenario
        if not name or name in scenarios:
            continue
        if name not in known:
            listed = f"; its models: {', '.join(sorted(known))}" if known else ""
            raise UsageError(
                f"{option}: {str(threshold)!r}: there is no scenario {name!r}, and no such model on the server; the "
                f"scenarios: {', '.join(scenarios)}{listed}"
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
    scenario, name, sign, number = (match[part].strip() for part in ("scenario", "metric", "operator", "limit"))
    try:
        at_most = metric(name).at_most
    except UsageError as error:
        raise UsageError(f"thresholds: {text!r}: {error}") from None
    if at_most is not None and at_most != sign.startswith("<"):
        raise UsageError(
            f"thresholds: {text!r} would fail a run for being good; write {name}{'<' if at_most else '>='}{number}"
        )
    percent = name in RATIOS and number.endswith("%")
    limit = limit_of(f"thresholds: {text!r}", number[:-1] if percent else number) / (100 if percent else 1)
    if name in RATIOS and limit > 1:
        words = name.replace("_", " ")
        raise UsageError(f"thresholds: {text!r}: a {words} is a number from 0 to 1, or a percentage such as 1%")
    return Threshold(scenario, name, sign, limit)


def limit_of(where: str, text: str) -> float:
    """The number of a limit. Raises UsageError, which begins with `where`, when it is none of 0 or more."""
    try:
        limit = float(text)
    except ValueError:
        limit = math.nan
    if not 0 <= limit < math.inf:
        raise UsageError(f"{where}: the limit is {text!r}; it must be a number of 0 or more")
    return limit


def apply(
    thresholds: Iterable[Threshold],
    total: Ledger,
    duration_s: float,
    *,
    running: bool = False,
    fail_when_too_few: bool = False,
) -> tuple[Check, ...]:
    """Measure each threshold's value and compare it; no data does not pass.

    While the run is `running`, a lower limit that is not reached, one without data and one with too few requests behind
    it are not decided yet. `fail_when_too_few`: at its end, the last of these does not pass.
    """
    chosen = tuple(thresholds)
    measured = {name: _measured(name, total, duration_s) for name in {each.scenario for each in chosen}}
    return tuple(_check(each, measured[each.scenario], running, fail_when_too_few) for each in chosen)


def _check(threshold: Threshold, measured: Measured, running: bool, fail_when_too_few: bool) -> Check:
    of = metric(threshold.metric)
    value = of.value(measured)
    if value is None or not threshold.holds(value):
        undecided = running and (value is None or threshold.operator.startswith(">"))
        return Check(threshold, value, None if undecided else False)
    if of.sample is None:
        return Check(threshold, value, True)
    sample = of.sample(measured, threshold.holds, threshold.operator.startswith("<"))
    if not sample.needed:
        return Check(threshold, value, True, sample)
    return Check(threshold, value, None if running else not fail_when_too_few, sample)


def _measured(name: str, total: Ledger, duration_s: float) -> Measured:
    counts, requests, nothing = ScenarioCounts(), Row(), Row()
    if name in SCENARIOS or name in total.scenarios:
        return Measured(total.scenarios.get(name, counts), total.requests_of(name), nothing, duration_s)
    if name:
        for (_, model), row in total.rows.items():
            if model == name:
                requests.add(row)
        return Measured(counts, requests, requests, duration_s)
    for scenario in total.names():
        counts.add(total.scenarios.get(scenario, ScenarioCounts()))
        requests.add(total.requests_of(scenario))
    return Measured(counts, requests, total.requests_of(""), duration_s)


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
        f"Metrics: {NAMES}; percentiles and max of another measure than the latency: {PREFIXES} before it, "
        "for instance first_response_p99_ms<200.",
        read=parse_thresholds,
    )
    allow_restarts: bool = option(
        False,
        "A server that is started again, a model that is away for a while and a Python process of one that dies are "
        "only told, and what fails while the server is gone fails nothing.",
    )
    fail_on_other_traffic: bool = option(
        False, "Fail the run when the server computed requests that were not sent from here."
    )
    fail_on_bottleneck: bool = option(
        False, "Fail the run when the client was too slow for its latencies to be trusted."
    )
    fail_on_too_few_requests: bool = option(
        False, "Fail the run when too few requests stand behind a percentile of a threshold to say that it holds."
    )
