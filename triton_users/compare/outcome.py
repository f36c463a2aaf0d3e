"""What a comparison comes to: refusals, failures on each side, a difference for each measure. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from triton_users.compare.alike import Refused, check_alike, client_limits
from triton_users.compare.measures import CAPACITY, MEASURES, Measure, Report, measures_of, stretches, values
from triton_users.compare.ratios import (
    Difference,
    Ratio,
    between,
    confidence_of,
    fewest_rounds,
    judged,
    more_often,
    paired,
    unpaired,
)
from triton_users.judge.thresholds import four_digits

EXIT_NO_REGRESSION, EXIT_REGRESSION, EXIT_REFUSED = 0, 1, 2

CHANCE = 0.01
"""A scenario that fails on both sides fails more often on B when chance alone does that less often than this."""

UNPAIRED = (
    "two saved reports are not paired: the intervals are wider, and what was different on the machine between them "
    "cannot be told from a difference of the servers"
)
NO_ANSWERS: Mapping[str, Any] = {"compared": 0, "different": [], "models": []}


@dataclass(frozen=True)
class Compared:
    """One measure of both sides."""

    name: str
    unit: str
    a: float
    b: float
    difference: Difference
    pairs: Sequence[tuple[float, float]] = ()
    """A's value and B's of each pair of rounds."""


@dataclass(frozen=True)
class Failures:
    """One scenario's runs that failed and are not allowed to, of all its runs, on each side."""

    name: str
    failed_a: int = 0
    runs_a: int = 0
    failed_b: int = 0
    runs_b: int = 0

    @property
    def worse(self) -> bool:
        """Whether it fails on B and not on A, or on B more often than chance would."""
        chance = more_often(self.failed_a, self.runs_a, self.failed_b, self.runs_b)
        return bool(self.failed_b and (not self.failed_a or chance < CHANCE))

    def __str__(self) -> str:
        return (
            f"{self.name or 'requests outside of any scenario'}: {self.failed_b} of {self.runs_b} failed on B, "
            f"{self.failed_a} of {self.runs_a} on A"
        )

    def dump(self) -> dict[str, Any]:
        """Plain values."""
        a, b = {"failed": self.failed_a, "runs": self.runs_a}, {"failed": self.failed_b, "runs": self.runs_b}
        return {"name": self.name, "a": a, "b": b, "worse": self.worse}


@dataclass(frozen=True)
class Side:
    """What was compared: its name as a person gave it, and what its server said of itself."""

    name: str
    version: str
    address: str


@dataclass(frozen=True)
class Outcome:
    """The verdict."""

    a: Side
    b: Side
    measures: Sequence[Compared]
    scenarios: Sequence[Failures]
    notes: Sequence[str]
    margin: float
    rounds: int
    """Pairs of rounds; 0 for two saved reports."""
    answers: Mapping[str, Any]
    """Of requests sent to both: "compared", "different" (sentences), "models"."""

    @property
    def correctness(self) -> list[str]:
        """What is wrong on B and not on A, a sentence each: a regression."""
        differ = [f"answers differ: {each}" for each in self.answers["different"]]
        return [*(str(each) for each in self.scenarios if each.worse), *differ]

    @property
    def regressions(self) -> list[str]:
        worse = [each for each in self.measures if each.difference.answer == "worse"]
        return [*self.correctness, *(f"{each.name} is {sentence(each)}" for each in worse)]

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
            "a": asdict(self.a),
            "b": asdict(self.b),
            "exit_code": self.exit_code,
            "margin": self.margin,
            "rounds": self.rounds,
            "regressions": self.regressions,
            "correctness": self.correctness,
            "scenarios": [each.dump() for each in self.scenarios],
            "measures": [{**asdict(each), "text": sentence(each)} for each in self.measures],
            "answers": dict(self.answers),
            "notes": list(self.notes),
        }


def sentence(each: Compared) -> str:
    """One measure in words."""
    ratio = each.difference.ratio
    if ratio is None:
        return each.difference.answer
    a, b = (f"{four_digits(value)} {each.unit}".strip() for value in (each.a, each.b))
    said = f"{each.difference.answer}, {a} on A and {b} on B: {ratio}"
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
    found = [(measure, values(measure, a), values(measure, b)) for measure in measures_of(a[0])]
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
        _compared(measure, x, y, ratio, margin, list(zip(x, y, strict=True)))
        for measure, x, y in both
        for ratio in [paired(x, y, confidence_of(len(both)), measure.between_starts)]
    ]
    known = answers or NO_ANSWERS
    notes += known.get("notes", ())
    sides = _side(names[0], a[0]), _side(names[1], b[0])
    return Outcome(*sides, compared, _failures(a, b), notes, margin, len(a), known)


def compare_reports(names: tuple[str, str], a: Report, b: Report, margin: float) -> Outcome:
    """Two runs that are over. Refused as below."""
    check_alike(a, b)
    for name, report in zip(names, (a, b), strict=True):
        if limited := client_limits(report):
            raise Refused(f"the client was the limit in {name}: {limited}")
    sides = _side(names[0], a), _side(names[1], b)
    if a.get("capacity"):
        return Outcome(*sides, _capacities(a, b, margin), _failures([a], [b]), [UNPAIRED], margin, 0, NO_ANSWERS)
    found = [(measure, stretches(measure, a), stretches(measure, b)) for measure in MEASURES]
    both = [(measure, x, y) for measure, x, y in found if x and y]
    if not both:
        raise Refused("they are too short: each needs 10 points after its warm-up, which are 65 s of run time")
    compared = [
        _compared(measure, x, y, ratio, margin)
        for measure, x, y in both
        for ratio in [unpaired(x, y, confidence_of(len(both)))]
    ]
    return Outcome(*sides, compared, _failures([a], [b]), [UNPAIRED], margin, 0, NO_ANSWERS)


def _capacities(a: Report, b: Report, margin: float) -> list[Compared]:
    """Of two searches: each capacity lies between the load that held and the one that failed."""
    found = [report["capacity"] for report in (a, b)]
    (held_a, failed_a), (held_b, failed_b) = ((each["held"], each["failed"]) for each in found)
    if not held_a or not held_b:
        raise Refused(f"no load held: {' and '.join(each['sentence'] for each in found)}")
    ratio = between(held_a, failed_a or held_a, held_b, failed_b or held_b, confidence_of(1))
    return [_compared(CAPACITY, [held_a], [held_b], ratio, margin)]


def _side(name: str, report: Report) -> Side:
    return Side(name, str(report["server"].get("version", "")), str(report["server"].get("address", "")))


def _compared(
    measure: Measure,
    a: Sequence[float],
    b: Sequence[float],
    ratio: Ratio | None,
    margin: float,
    pairs: Sequence[tuple[float, float]] = (),
) -> Compared:
    found = judged(ratio, margin, less_is_better=measure.less_is_better)
    return Compared(measure.name, measure.unit, median(a), median(b), found, pairs)


def _failures(a: Sequence[Report], b: Sequence[Report]) -> list[Failures]:
    """Of all scenarios of either side, by name."""
    counts = [_counted(side) for side in (a, b)]
    names = sorted({*counts[0], *counts[1]})
    return [Failures(name, *counts[0].get(name, (0, 0)), *counts[1].get(name, (0, 0))) for name in names]


def _counted(reports: Sequence[Report]) -> dict[str, tuple[int, int]]:
    """Scenario -> failed runs that are not allowed to, and all runs."""
    found: dict[str, tuple[int, int]] = {}
    for report in reports:
        for each in report["scenarios"]:
            failed, runs = found.get(each["name"], (0, 0))
            new = each["unexcused"] if each["allowed_to_fail"] else each["failed"]
            found[each["name"]] = (failed + new, runs + (each["runs"] or each["requests"]))
    return found
