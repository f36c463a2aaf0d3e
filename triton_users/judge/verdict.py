"""Whether a run passed: the rules that hold without any threshold. Pure functions of counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from triton_users.judge.thresholds import Check, four_digits
from triton_users.ledger import Ledger

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
