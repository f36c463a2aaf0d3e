"""Whether a run passed: the rules that hold without any threshold. Pure functions of counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from triton_users.judge.alerts import About, in_order
from triton_users.judge.thresholds import Check
from triton_users.ledger import Ledger, Row

EXIT_PASSED = 0
EXIT_FAILED = 1

EXPECTED_RUNS = 10.0
"""A scenario nobody asked for by name must have run when its weight gave it this many runs on average, and two more for
each user, which may have been in the middle of one at the end. By chance one run in 20,000 then fails for it."""

UNANSWERED_S = 10.0
"""A request that has waited for less than this when its user stops says nothing about the server."""
UNANSWERED_RATIO = 3.0
"""One that has waited this much longer than the slowest answer of its kind says that the server hung."""

OTHERS_TOOLS = ("PerfAnalyzer",)
"""Scenarios that run a program of others. They may be allowed to fail for reasons of load, not to fail always."""
NEVER_WORKED = 3
"""So many failed runs of such a program, and not one that passed, say that it does not work here: one or two may have
met a busy moment. Picked arbitrarily."""

MAX_KINDS = 5
"""Rows, and kinds of exceptions, outside of any scenario that have a sentence of their own."""


@dataclass(frozen=True)
class Said:
    """What others found that belongs to no scenario, a sentence each."""

    about: About
    sentences: Iterable[str]
    fails: bool = True
    """Whether it fails the run; else it is a warning."""


@dataclass(frozen=True)
class Verdict:
    """What the run came to."""

    checks: tuple[Check, ...]
    reasons: tuple[str, ...]
    """Why it failed, a sentence each; empty when it passed."""
    warnings: tuple[str, ...] = ()
    """What a person should know though it fails nothing."""
    scenarios: Mapping[str, str] = field(default_factory=dict)
    """Scenario -> the reasons among `reasons` that are its own, as one text; "" for what belongs to no scenario."""
    about: Mapping[str, About] = field(default_factory=dict)
    """Sentence -> what it is about, where it is not about answers."""

    @property
    def passed(self) -> bool:
        return not self.reasons

    @property
    def exit_code(self) -> int:
        return EXIT_PASSED if self.passed else EXIT_FAILED


@dataclass
class _Findings:
    """A verdict in the making."""

    failures: dict[str, list[str]] = field(default_factory=dict)
    """Scenario -> sentences of its runs that failed; "" -> of what failed outside of any."""
    counts: dict[str, str] = field(default_factory=dict)
    """The same in a few words, for one sentence about several."""
    at_fault: dict[str, list[str]] = field(default_factory=dict)
    """Scenario -> other reasons of its own."""
    reasons: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    about: dict[str, About] = field(default_factory=dict)

    def say(self, said: Said) -> None:
        for line in said.sentences:
            self.about[line] = said.about
            (self.reasons if said.fails else self.warnings).append(line)

    def are_about(self, about: About, known: set[str]) -> None:
        """All sentences but those that were known before are about this."""
        self.about.update(dict.fromkeys(self.sentences() - known, about))

    def sentences(self) -> set[str]:
        return {*self.reasons, *self.warnings, *(line for lines in self.own().values() for line in lines)}

    def blame(self, scenario: str, reason: str) -> None:
        self.at_fault.setdefault(scenario, []).append(reason)

    def fail(self, scenario: str, reasons: list[str], count: str) -> None:
        self.failures[scenario], self.counts[scenario] = reasons, count

    def own(self) -> dict[str, list[str]]:
        """Scenario -> all reasons of its own."""
        names = dict.fromkeys([*self.failures, *self.at_fault])
        return {name: [*self.failures.get(name, ()), *self.at_fault.get(name, ())] for name in names}


def judge(
    total: Ledger,
    *,
    weights: Mapping[str, int],
    asked_by_name: Iterable[str] = (),
    allow_failure: Iterable[str] = (),
    users: int = 0,
    checks: tuple[Check, ...] = (),
    said: Iterable[Said] = (),
    running: bool = False,
    first_failures: Mapping[str, str] | None = None,
    gone: str = "",
    consequences: Iterable[str] = (),
    overloaded: bool = False,
    allow_restarts: bool = False,
) -> Verdict:
    """The verdict on everything that was counted.

    `weights`: the scenarios of this run (those that were left out are not among them), empty where a locustfile has
    none. `asked_by_name`: those the user named. `users`: the most that ran at a time. `said`: what others found.
    `first_failures`: scenario -> when it first failed and why, to stand behind its counts. `gone`: when the server
    could not be reached (`outages.sentence`), which is then the first reason, and `consequences` the scenarios whose
    failures come of that, which are one reason together; where restarts are allowed that fails nothing.
    `overloaded`: it made more load than the server takes, on purpose, so that requests that failed are only reported.

    It fails when a scenario failed that is not allowed to, or in a way that it is not allowed to, when a request or the
    users' code failed outside of any scenario, when nothing ran, when requests at the end had waited for
    much longer than any answer took, when a scenario that was asked for by name did not run, when another one did not
    although its weight made that all but impossible, when a threshold does not hold, or when others found what fails
    it.
    While the run is `running`, what has not run yet fails nothing.
    """
    found, first = _Findings(), first_failures or {}
    _failed_runs(found, total, frozenset(allow_failure), first, overloaded)
    _outside(found, total, first, overloaded)
    known = found.sentences()
    _did_not_run(found, total, weights, tuple(asked_by_name), users, running)
    found.are_about("believable", known)
    known = found.sentences()
    _unanswered(found, total)
    found.are_about("stable", known)
    for check in checks:
        line, name = f"threshold {check.threshold}{': ' if check.few else ' '}{check.finding}", check.threshold.scenario
        if check.passed is False or (check.passed and check.few):
            found.about[line] = _ABOUT.get(check.threshold.metric, "fast")
        if check.passed is False:
            if name in weights or name in total.scenarios:
                found.blame(name, line)
            else:
                found.reasons.append(line)
        elif check.passed and check.few:
            found.warnings.append(line)
    for each in said:
        found.say(each)
    scenarios = {name: "; ".join(lines) for name, lines in found.own().items()}
    first_of_all = [gone + _of_that_failed(found, consequences)] if gone else []
    found.about.update(dict.fromkeys(first_of_all, "stable"))
    if allow_restarts:
        scenarios = {name: line for name, line in scenarios.items() if name in found.own()}
        found.warnings[:0], first_of_all = first_of_all, []
    own_reasons = [reason for lines in found.own().values() for reason in lines]
    reasons = (*first_of_all, *in_order((*own_reasons, *found.reasons), found.about))
    return Verdict(checks, reasons, in_order(found.warnings, found.about), scenarios, found.about)


_ABOUT: Mapping[str, About] = {"failure_ratio": "right", "runs": "believable"}
"""Metric of a threshold -> what it is about; the others are about how fast it is."""


def _of_that_failed(found: _Findings, consequences: Iterable[str]) -> str:
    """What failed of one cause, as the end of its sentence instead of sentences of their own."""
    followed = sorted(name for name in consequences if name in found.failures)
    for name in followed:
        del found.failures[name]
    return f"; of that failed {', '.join(found.counts[name] for name in followed)}" if followed else ""


def _failed_runs(
    found: _Findings, total: Ledger, allowed: frozenset[str], first: Mapping[str, str], overloaded: bool
) -> None:
    for name, counts in total.scenarios.items():
        if not counts.failed:
            continue
        line = f"{name} failed {counts.failed} of {counts.runs} runs"
        behind = f"; {first[name]}" if name in first else ""
        if overloaded and not counts.unexcused and counts.failed <= total.requests_of(name).failed:
            found.warnings.append(f"{line} since requests failed, which is what the levels are judged by{behind}")
        elif name not in allowed:
            found.fail(name, [line + behind], f"{name} ({counts.failed} of {counts.runs} runs)")
        elif counts.unexcused:
            found.blame(name, f"{line}, {counts.unexcused} of them in a way that is never allowed{behind}")
        elif name in OTHERS_TOOLS and not counts.passed and counts.failed >= NEVER_WORKED:
            found.blame(name, f"{line}: it never once worked, which is not what it is allowed to fail for{behind}")
        else:
            found.warnings.append(f"{line}; its failures are allowed{behind}")


def _outside(found: _Findings, total: Ledger, first: Mapping[str, str], overloaded: bool) -> None:
    """What failed outside of any scenario: requests of the users' own, and exceptions of their code."""
    rows = {model: row for model, row in total.rows_of("").items() if row.failed}
    requests = [_failed_requests(model, row) for model, row in sorted(rows.items(), key=lambda item: -item[1].failed)]
    errors = {text for row in rows.values() for text in row.errors}
    raised = {text: n for text, n in total.exceptions.items() if text.partition(": ")[2] not in errors}
    code = [f"users' code raised {text} ({n} times)" for text, n in sorted(raised.items(), key=lambda item: -item[1])]
    failed = sum(row.failed for row in rows.values())
    if overloaded:
        found.warnings += _some(requests)
        requests, failed = [], 0
    if lines := _some([*requests, *code]):
        lines[0] += f"; {first['']}" if "" in first else ""
        found.fail("", lines, f"{failed} requests outside of any scenario" if failed else "users' own code")


def _some(lines: list[str]) -> list[str]:
    """These lines, in a bounded number."""
    if len(lines) <= MAX_KINDS:
        return lines
    return [*lines[:MAX_KINDS], f"{len(lines) - MAX_KINDS} more kinds of failures outside of any scenario"]


def _failed_requests(model: str, row: Row) -> str:
    text, number = max(row.errors.items(), key=lambda item: item[1])
    most = "" if number == row.failed else f" ({number} of them)"
    return f"requests to {model}: {row.failed} of {row.requests} failed: {text}{most}"


def _did_not_run(
    found: _Findings, total: Ledger, weights: Mapping[str, int], asked: tuple[str, ...], users: int, running: bool
) -> None:
    runs = {name: total.scenarios[name].runs for name in weights if name in total.scenarios}
    tried = {name: runs[name] + total.scenarios[name].skipped for name in runs}
    if not sum(runs.values()) and (weights or not any(row.requests for row in total.rows.values())):
        nothing = "no scenario came to an end" if weights else "not one request ended"
        line = f"nothing ran{' yet' if running else ''}: {nothing}"
        (found.warnings if running else found.reasons).append(line)
        return
    not_yet = []
    for name in (*asked, *(name for name in weights if name not in asked)):
        if runs.get(name):
            continue
        expected = sum(tried.values()) * weights.get(name, 0) / (sum(weights.values()) or 1)
        skipped = f" ({tried[name]} skipped)" if tried.get(name) else ""
        due = expected >= EXPECTED_RUNS + 2 * users
        if name not in asked and due and tried.get(name, 0) < expected / 2:
            found.blame(name, f"{name} did not run{skipped}; by its weight it should have run {expected:.0f} times")
        elif running:
            not_yet.append(f"{name}{skipped}")
        elif name in asked:
            found.blame(name, f"{name} was asked for by name but did not run{skipped}")
        elif skipped:
            found.warnings.append(f"{name} proved nothing: each of its runs was skipped{_mostly(total, name)}")
        else:
            found.warnings.append(f"{name} did not run{skipped}; a longer run would have picked it")
    if not_yet:
        found.warnings.append(f"did not run yet: {', '.join(not_yet)}")


def _mostly(total: Ledger, scenario: str) -> str:
    """Why most of its skipped runs were."""
    skips = total.scenarios[scenario].skips
    reason, number = max(skips.items(), key=lambda item: item[1])
    return f" ({sum(skips.values())}, {number} of them: {reason})"


def _unanswered(found: _Findings, total: Ledger) -> None:
    for (scenario, model), row in total.rows.items():
        waited_s, slowest_s = row.unanswered.max_us / 1e6, row.latency.max_us / 1e6
        if waited_s <= UNANSWERED_S:
            continue
        line = (
            f"{scenario or 'requests'} to {model}: {row.unanswered.total} without an answer when their users "
            f"stopped, the oldest for {waited_s:.1f} s"
        )
        if row.answered and waited_s > UNANSWERED_RATIO * slowest_s:
            found.blame(scenario, f"{line}; the slowest answer took {slowest_s:.1f} s")
        else:
            found.warnings.append(line)
