"""What is played again: one run of a scenario and those beside it, as a report has them. Sends nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triton_users.ledger.plain import normalise
from triton_users.settings import UsageError

Plan = Mapping[str, Any]
"""A scenario's plan as `dataclasses.asdict` and JSON leave it."""

GONE = "StatusCode.UNAVAILABLE"
"""What a client says of a server that is not there any more."""


@dataclass(frozen=True)
class Play:
    """One run of a scenario."""

    scenario: str
    plan: Plan


@dataclass(frozen=True)
class Case:
    """The run that failed, and the runs of other users that went on meanwhile, each over and over."""

    main: Play
    partners: tuple[Play, ...] = ()

    def __str__(self) -> str:
        said = f"{self.main.scenario}, {size_of(self.main.plan)}"
        if not self.partners:
            return f"{said}, alone"
        others = "; ".join(f"{each.scenario}, {size_of(each.plan)}" for each in self.partners)
        return f"{said}; beside it {others}"


def failures_of(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The failures that a report kept, in its order: number 1 is the first of them. UsageError when it is no report."""
    try:
        kept = [failure for each in report["scenarios"] for failure in each["evidence"]["failures"]]
    except (KeyError, TypeError):
        raise UsageError("this is no report of triton-users: a report.json has scenarios with their evidence") from None
    return kept


def case_of(failure: Mapping[str, Any]) -> Case:
    """What to play for a failure of a report. UsageError when its record has not all of it."""
    record, scenario = failure.get("record", {}), failure.get("scenario", "")
    if not scenario:
        raise UsageError("it happened outside of any scenario, in users' own code, so there is no plan of it")
    if "plan" not in record:
        raise UsageError("the report has no plan of it")
    if _is_cut(record["plan"]):
        raise UsageError("its plan was too long to be kept whole in the report")
    partners = [Play(each["scenario"], each["plan"]) for each in record.get("under_way", ())]
    return Case(Play(scenario, record["plan"]), tuple(each for each in partners if not _is_cut(each.plan)))


def _is_cut(value: Any) -> bool:
    """Whether the report left something of it out."""
    if isinstance(value, Mapping):
        return "..." in value or any(map(_is_cut, value.values()))
    if isinstance(value, list):
        return any(map(_is_cut, value))
    return isinstance(value, str) and " left out ..." in value


def kind_of(reason: str) -> str:
    """One text for failures that differ in ids and numbers only: the same failure again has the same one.

    A server that is gone shows in many ways, and all of them are one.
    """
    if GONE in reason:
        return GONE
    return re.sub(r"#(?:,#)+", "#", normalise(reason))


def size_of(plan: Plan) -> str:
    """How much a plan sends, for a person."""
    if "sequences" in plan:
        values = [value for each in plan["sequences"] for value in each]
        pauses = sum(1 for pause in plan.get("pauses", ()) if pause)
        paused = f", {pauses} paused" if pauses else ""
        return f"{_count(len(plan['sequences']), 'sequence')} of {_count(len(values), 'request')}{paused}"
    if "pictures" in plan:
        return _count(len(plan["pictures"]), "picture")
    if "count" in plan:
        return f"one request of {_count(plan['count'], 'number')}"
    if "checks" in plan:
        return f"a deadline and {_count(plan['checks'], 'identity check')}"
    if "length" in plan:
        return _count(plan["length"], "request")
    return "one request"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
