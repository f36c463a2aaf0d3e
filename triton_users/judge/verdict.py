"""Whether a run passed: thresholds, read and applied, and the rules that hold without any. Pure functions of counts.

A threshold is written `[SCENARIO:]METRIC<LIMIT` or `[SCENARIO:]METRIC>=LIMIT`, several are separated by commas or line
ends: `SequenceValid:p99_ms<50, failure_ratio<0.01, ResNet:runs>=10`. The same text works as an option and in Locust's
config file. Without a scenario it is applied to all scenarios together. What cannot be measured does not pass.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from triton_users.ledger import Ledger, Row, ScenarioCounts
from triton_users.settings import UsageError

EXIT_PASSED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
"""The user asked for something that cannot be (settings.UsageError)."""

EXPECTED_RUNS = 10.0
"""A scenario nobody asked for by name must have run when its weight gave it this many runs on average, and two more for
each user, which may have been in the middle of one at the end. By chance one run in 20,000 then fails for it."""

UNANSWERED_S = 10.0
"""A request that has waited for less than this when its user stops says nothing about the server."""
UNANSWERED_RATIO = 3.0
"""One that has waited this much longer than the slowest answer of its kind says that the server hung."""

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


@dataclass(frozen=True)
class Verdict:
    """What the run came to."""

    checks: tuple[Check, ...]
    reasons: tuple[str, ...]
    """Why it failed, a sentence each; empty when it passed."""
    warnings: tuple[str, ...] = ()
    """What a person should know though it fails nothing."""
    scenarios: Mapping[str, str] = field(default_factory=dict)
    """Scenario -> the reasons among `reasons` that are its own, as one text."""

    @property
    def passed(self) -> bool:
        return not self.reasons

    @property
    def exit_code(self) -> int:
        return EXIT_PASSED if self.passed else EXIT_FAILED


def parse_thresholds(text: str, scenarios: Iterable[str]) -> tuple[Threshold, ...]:
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


def judge(
    total: Ledger,
    *,
    weights: Mapping[str, int],
    asked_by_name: Iterable[str] = (),
    allow_failure: Iterable[str] = (),
    users: int = 0,
    checks: tuple[Check, ...] = (),
    uncounted: Iterable[str] = (),
    bottlenecks: Iterable[str] = (),
    fail_on_bottleneck: bool = False,
    running: bool = False,
    first_failures: Mapping[str, str] | None = None,
    at_the_end: Iterable[str] = (),
) -> Verdict:
    """The verdict on everything that was counted.

    `weights`: the scenarios of this run (those that were left out are not among them), empty where a locustfile has
    none. `asked_by_name`: those the user named. `users`: the most that ran at a time. `uncounted`: why counts are
    missing (`Collector.refused`). `bottlenecks`: where the client was too slow (`client_limited.sentences`).
    `first_failures`: scenario -> when it first failed and why, to stand behind its counts. `at_the_end`: what
    was wrong with its end.

    It fails when a scenario outside `allow_failure` failed, when nothing ran, when requests at the end had waited for
    much longer than any answer took, when a scenario that was asked for by name did not run, when another one did not
    although its weight made that all but impossible, when a threshold does not hold, when counts could not be read,
    when something was wrong with its end, and, if wanted, when the client was the bottleneck. While the run is
    `running`, what has not run yet fails nothing.
    """
    at_fault: dict[str, list[str]] = {}
    reasons: list[str] = []
    warnings: list[str] = []
    allowed, asked = frozenset(allow_failure), tuple(asked_by_name)
    runs = {name: total.scenarios[name].runs for name in weights if name in total.scenarios}
    tried = {name: runs[name] + total.scenarios[name].skipped for name in runs}
    for name, counts in total.scenarios.items():
        if counts.failed:
            told = f"{name} failed {counts.failed} of {counts.runs} runs"
            first = f"; {first_failures[name]}" if first_failures and name in first_failures else ""
            if name in allowed:
                warnings.append(f"{told}; its failures are allowed{first}")
            else:
                at_fault[name] = [told + first]
    if not sum(runs.values()) and (weights or not any(row.requests for row in total.rows.values())):
        nothing = "no scenario came to an end" if weights else "not one request ended"
        (warnings if running else reasons).append(f"nothing ran{' yet' if running else ''}: {nothing}")
    else:
        not_yet = []
        for name in (*asked, *(name for name in weights if name not in asked)):
            if runs.get(name):
                continue
            expected = sum(tried.values()) * weights.get(name, 0) / (sum(weights.values()) or 1)
            skipped = f" ({tried[name]} skipped)" if tried.get(name) else ""
            if name not in asked and expected >= EXPECTED_RUNS + 2 * users:
                at_fault[name] = [f"{name} did not run{skipped}; by its weight it should have run {expected:.0f} times"]
            elif running:
                not_yet.append(f"{name}{skipped}")
            elif name in asked:
                at_fault[name] = [f"{name} was asked for by name but did not run{skipped}"]
            else:
                warnings.append(f"{name} did not run{skipped}; a longer run would have picked it")
        if not_yet:
            warnings.append(f"did not run yet: {', '.join(not_yet)}")
    for (scenario, model), row in total.rows.items():
        waited_s, slowest_s = row.unanswered.max_us / 1e6, row.latency.max_us / 1e6
        if waited_s > UNANSWERED_S:
            told = (
                f"{scenario or 'requests'} to {model}: {row.unanswered.total} without an answer when their users "
                f"stopped, the oldest for {waited_s:.1f} s"
            )
            if row.answered and waited_s > UNANSWERED_RATIO * slowest_s:
                told += f"; the slowest answer took {slowest_s:.1f} s"
                (at_fault.setdefault(scenario, []) if scenario else reasons).append(told)
            else:
                warnings.append(told)
    for check in checks:
        if check.passed is False:
            found = "there is no data" if check.value is None else f"it is {four_digits(check.value)}"
            own = at_fault.setdefault(check.threshold.scenario, []) if check.threshold.scenario else reasons
            own.append(f"threshold {check.threshold} does not hold: {found}")
    reasons += [f"counts are missing: {why}" for why in uncounted]
    reasons += at_the_end
    (reasons if fail_on_bottleneck else warnings).extend(bottlenecks)
    own_reasons = [reason for told in at_fault.values() for reason in told]
    scenarios = {name: "; ".join(told) for name, told in at_fault.items()}
    return Verdict(checks, (*own_reasons, *reasons), tuple(warnings), scenarios)
