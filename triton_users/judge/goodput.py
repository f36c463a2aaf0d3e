"""Goodput: the share of requests that keep all of the user's limits, failed ones included. Pure functions of values.

    --goodput "latency_ms<500, bert:latency_ms<200,first_response_ms<50"

Each limit is `[NAME:]WHAT<LIMIT`; the name is a scenario's or a model's and holds for the limits after it, until the
next one. Limits before the first name are for all other models. What a request has no value of is taken as it is meant:
an answer that comes whole has its first response with it, and nothing between responses that could be too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from triton_users.declaration import UsageError, option
from triton_users.judge.thresholds import Threshold, limit_of
from triton_users.ledger import MEASURES, Histogram, Measures

Limits = tuple[Threshold, ...]

WHAT = ("latency_ms", *(measure.field(name) for name, measure in MEASURES.items()))
"""What may have a limit."""

_COUNTS = frozenset(name for name, measure in MEASURES.items() if not measure.is_time)
_STAND_IN = {"inter_response": 0, "issue_delay": 0, "responses": 1}
"""What a measure that was not taken counts as; another one as the latency."""
_LIMIT = re.compile(r"(?:(?P<name>[^:<>=]+):)?(?P<what>[^:<>=]+)(?P<operator>[<>]=?)(?P<limit>[^:<>=]+)")


def parse_goodput(text: str) -> Limits:
    """The limits written in `text`, each with the name it is for. Raises UsageError for one that cannot be meant."""
    limits: list[Threshold] = []
    name = ""
    for part in filter(None, map(str.strip, re.split(r"[,\n]", text))):
        match = _LIMIT.fullmatch(part)
        if match is None:
            raise UsageError(
                f"goodput: {part!r} is not [NAME:]WHAT<LIMIT, for instance bert:latency_ms<200,first_response_ms<50"
            )
        name = (match["name"] or name).strip()
        what, sign = match["what"].strip(), match["operator"]
        if what not in WHAT:
            raise UsageError(f"goodput: {part!r}: a request has no {what!r}; it must be one of: {', '.join(WHAT)}")
        if what not in _COUNTS and sign.startswith(">"):
            raise UsageError(f"goodput: {part!r} would call a request good for being slow; write {what}<…")
        limits.append(Threshold(name, what, sign, limit_of(f"goodput: {part!r}", match["limit"].strip())))
    return tuple(limits)


def limits_for(limits: Iterable[Threshold], scenario: str, model: str) -> Limits:
    """Those that a request of this scenario to this model is held against: the model's, or the scenario's, or all's."""
    for name in (model, scenario):
        if name and (own := tuple(each for each in limits if each.scenario == name)):
            return own
    return tuple(each for each in limits if not each.scenario) if model else ()


def is_good(limits: Limits, latency_us: int, measures: Measures | None) -> bool:
    """Whether an answered request keeps all of them."""
    return all(_keeps(limit, latency_us, measures or {}) for limit in limits)


def _keeps(limit: Threshold, latency_us: int, measures: Measures) -> bool:
    name = limit.metric.removesuffix("_ms")
    values = measures.get(name)
    if values is None:
        values = (_STAND_IN.get(name, latency_us),)
    worst = values.max_us if isinstance(values, Histogram) else max(values, default=0)
    return limit.holds(worst if name in _COUNTS else worst / 1e3)


@dataclass(frozen=True)
class GoodputSettings:
    """What a good request is."""

    goodput: tuple[Threshold, ...] = option(
        "",
        "What a request must keep to be a good one, comma separated: [NAME:]WHAT<LIMIT, for instance "
        "bert:latency_ms<200,first_response_ms<50. NAME is a scenario's or a model's and holds until the next one. "
        f'WHAT: {", ".join(WHAT)}. The report shows the share of good ones; --thresholds "goodput>=0.99" judges it.',
        read=parse_goodput,
    )
