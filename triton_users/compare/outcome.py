"""What a comparison comes to: refusals, failures on each side, a difference for each measure. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from triton_users.compare.measures import MEASURES, Measure, Report, stretches, values
from triton_users.compare.ratios import (
    Difference,
    confidence_of,
    fewest_rounds,
    judged,
    more_often,
    paired,
    unpaired,
)

EXIT_NO_REGRESSION, EXIT_REGRESSION, EXIT_REFUSED = 0, 1, 2

CHANCE = 0.01
"""A scenario that fails on both sides fails more often on B when chance alone does that less often than this."""

_MAY_DIFFER = ("seed", "perf_analyzer", "triton")
"""Settings that do not change what is asked of a server."""


class Refused(Exception):
    """The two cannot be compared; the message says why."""


@dataclass(frozen=True)
class Compared:
    """One measure of both sides."""

    name: str
    unit: str
    a: float
    b: float
    difference: Difference


@dataclass(frozen=True)
class Outcome:
    """The verdict."""

    a: str
    b: str
    measures: Sequence[Compared]
    correctness: Sequence[str]
    """What is wrong on B and not on A, a sentence each: a regression."""
    notes: Sequence[str]
    margin: float
    rounds: int
    """Pairs of rounds; 0 for two saved reports."""
    answers: Mapping[str, Any]
    """Of requests sent to both: "compared", "different", "models"."""

    @property
    def regressions(self) -> list[str]:
        worse = [each for each in self.measures if each.difference.answer == "worse"]
        return [*self.correctness, *(f"{each.name}: {sentence(each)}" for each in worse)]

    @property
    def too_few(self) -> bool:
        """Whether nothing can be said of any measure."""
        return all(each.difference.ratio is None for each in self.measures)

    @property
    def exit_code(self) -> int:
        return EXIT_REGRESSION if self.regressions else EXIT_REFUSED if self.too_few else EXIT_NO_REGRESSION

    def dump(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "schema": 1,
            "a": self.a,
            "b": self.b,
            "exit_code": self.exit_code,
            "margin": self.margin,
            "rounds": self.rounds,
            "regressions": self.regressions,
            "correctness": list(self.correctness),
            "measures": [{**asdict(each), "text": sentence(each)} for each in self.measures],
            "answers": dict(self.answers),
            "notes": list(self.notes),
        }


def sentence(each: Compared) -> str:
    """One measure in words."""
    ratio = each.difference.ratio
    if ratio is None:
        return each.difference.answer
    said = f"{each.difference.answer}: B has {ratio.value:.3f} times A's ({ratio.low:.3f} to {ratio.high:.3f})"
    if each.difference.answer == "no difference shown":
        said += f"; a difference of {100 * each.difference.smallest:.1f} % could have been shown"
    return said


def compare_rounds(
    names: tuple[str, str],
    a: Sequence[Report],
    b: Sequence[Report],
    margin: float,
    answers: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> Outcome:
    """Rounds that were played in turn: the first of A and the first of B are a pair, and so on. Refused as below."""
    for one, other in zip(a, b, strict=True):
        check_alike(one, other)
    found = [(measure, values(measure, a), values(measure, b)) for measure in MEASURES]
    both = [(measure, x, y) for measure, x, y in found if len(x) == len(y) == len(a)]
    notes = [
        *notes,
        *(
            f"{measure.name} is not compared: {len(x)} of {len(a)} rounds of A have it, and {len(y)} of {len(b)} of B"
            for measure, x, y in found
            if (x or y) and not len(x) == len(y) == len(a)
        ),
    ]
    if len(a) < fewest_rounds(len(both)):
        notes.append(f"{len(both)} measures need {fewest_rounds(len(both))} pairs of rounds; there are {len(a)}")
    compared = [
        _compared(measure, x, y, judged(ratio, margin, less_is_better=measure.less_is_better))
        for measure, x, y in both
        for ratio in [paired(x, y, confidence_of(len(both)), measure.between_starts)]
    ]
    known = answers or {"compared": 0, "different": [], "models": []}
    wrong = [*_correctness(a, b), *(f"answers differ: {each}" for each in known["different"])]
    return Outcome(*names, compared, wrong, [*notes, *known.get("notes", ())], margin, len(a), known)


def compare_reports(names: tuple[str, str], a: Report, b: Report, margin: float) -> Outcome:
    """Two runs that are over. Refused as below."""
    check_alike(a, b)
    for name, report in zip(names, (a, b), strict=True):
        if limited := client_limits(report):
            raise Refused(f"the client was the limit in {name}: {limited}")
    found = [(measure, stretches(measure, a), stretches(measure, b)) for measure in MEASURES]
    both = [(measure, x, y) for measure, x, y in found if x and y]
    if not both:
        raise Refused("they are too short: each needs 10 points after its warm-up, which are 65 s of run time")
    compared = [
        _compared(measure, x, y, judged(ratio, margin, less_is_better=measure.less_is_better))
        for measure, x, y in both
        for ratio in [unpaired(x, y, confidence_of(len(both)))]
    ]
    note = (
        "two saved reports are not paired: the intervals are wider, and what was different on the machine between them "
        "cannot be told from a difference of the servers"
    )
    return Outcome(
        *names, compared, _correctness([a], [b]), [note], margin, 0, {"compared": 0, "different": [], "models": []}
    )


def check_alike(a: Report, b: Report) -> None:
    """Raise Refused unless both runs asked the same of their servers."""
    if a["schema"] != b["schema"]:
        raise Refused(f"their reports have different forms (schema {a['schema']} and {b['schema']})")
    for report in (a, b):
        if report["state"] != "finished":
            raise Refused(f"a run that began at {report['started']} did not come to its end: it is {report['state']}")
    for what, (x, y) in {
        "models": tuple(sorted(report["server"].get("models", ())) for report in (a, b)),
        "scenarios": tuple(_weights(report) for report in (a, b)),
        "settings": tuple(_settings(report) for report in (a, b)),
        "numbers of CPUs": tuple(report["client"]["cpus"] for report in (a, b)),
        "numbers of users": tuple(_users(report) for report in (a, b)),
    }.items():
        if x != y:
            raise Refused(f"their {what} differ: {_only(x, y)} and {_only(y, x)}")


def client_limits(report: Report) -> str:
    """Where the client was the limit in this run, in words; "" where it was not."""
    findings = report["selfcheck"]["findings"]
    return str(findings[0]["text"]) if findings else ""


def _compared(measure: Measure, a: Sequence[float], b: Sequence[float], difference: Difference) -> Compared:
    return Compared(measure.name, measure.unit, sorted(a)[len(a) // 2], sorted(b)[len(b) // 2], difference)


def _correctness(a: Sequence[Report], b: Sequence[Report]) -> list[str]:
    """The scenarios that fail on B and not on A, or on B more often than chance would."""
    found = []
    counts = [_failures(side) for side in (a, b)]
    for name in sorted(counts[1]):
        (failed_a, runs_a), (failed_b, runs_b) = counts[0].get(name, (0, 0)), counts[1][name]
        if failed_b and (not failed_a or more_often(failed_a, runs_a, failed_b, runs_b) < CHANCE):
            found.append(
                f"{name or 'requests outside of any scenario'}: {failed_b} of {runs_b} failed on B, "
                f"{failed_a} of {runs_a} on A"
            )
    return found


def _failures(reports: Sequence[Report]) -> dict[str, tuple[int, int]]:
    """Scenario -> failed runs that are not allowed to, and all runs."""
    found: dict[str, tuple[int, int]] = {}
    for report in reports:
        for each in report["scenarios"]:
            failed, runs = found.get(each["name"], (0, 0))
            new = each["unexcused"] if each["allowed_to_fail"] else each["failed"]
            found[each["name"]] = (failed + new, runs + (each["runs"] or each["requests"]))
    return found


def _weights(report: Report) -> list[str]:
    return sorted(f"{each['name']} {each['weight']}" for each in report["scenarios"] if each["weight"])


def _settings(report: Report) -> list[str]:
    return sorted(f"{name} {value}" for name, value in report["settings"].items() if name not in _MAY_DIFFER)


def _users(report: Report) -> int:
    return max((point["users"] or 0 for point in report["timeline"]), default=0)


def _only(x: Any, y: Any) -> str:
    """What is in x and not in y, for people."""
    if not isinstance(x, list):
        return str(x)
    only = [each for each in x if each not in y]
    return ", ".join(only[:3]) or "none of these"
