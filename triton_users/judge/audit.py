"""Whether the server computed as many requests as were answered here, model by model. Pure functions of counts.

A request that was answered with a result must stand in the server's success count, and nothing else of ours may, but
for requests of which nobody here knows what became: their deadline passed, their user stopped, their connection was
lost. A request that was refused (no START flag, a wrong datatype, a full queue) stands in no counter of the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from triton_users.ledger import Answers, Ledger, WorkerState
from triton_users.ledger.counts import OTHER
from triton_users.witness.seen import Seen
from triton_users.witness.statistics import ModelCounts

MAX_SENTENCES = 5
"""Models that have a sentence of their own; further ones are one sentence together."""
MAX_NAMED = 10
"""Models that one sentence names."""
MAX_CALLS = 8
"""So many calls of another model for each of its requests are a likely cause that is named; more are a coincidence."""

Outcome = Literal["agrees", "more", "fewer", "not auditable"]


@dataclass(frozen=True)
class Audited:
    """One model's counts side by side."""

    model: str
    answered: int
    """Requests that were answered here with a result."""
    unknown: int
    """Those of which nobody here knows whether the server computed them."""
    called: int
    """Those that ensembles of the server made of ours."""
    computed: int
    """The server's success count over the run."""
    outcome: Outcome
    text: str


def audit(seen: Seen, total: Ledger, workers: Iterable[WorkerState] = ()) -> list[Audited]:
    """Each model that was sent requests, by anybody. To be asked when all requests have ended."""
    workers = list(workers)
    elsewhere, lost = _elsewhere(workers), [state.worker for state in workers if not state.final]
    sent = {name for name, answers in total.answers.items() if answers.answered}
    computed = {name for name, counts in seen.models.items() if counts.success}
    return [
        _audited(name, seen, total.answers.get(name, Answers()), elsewhere.get(name), lost, OTHER in total.answers)
        for name in sorted((sent | computed) - {OTHER})
    ]


def _elsewhere(workers: Iterable[WorkerState]) -> dict[str, tuple[int | None, str]]:
    """Model -> how many requests other programs sent it on our behalf, None: nobody knows; and which programs."""
    found: dict[str, tuple[int | None, str]] = {}
    for state in workers:
        for model, (number, who) in state.sent_elsewhere.items():
            so_far, names = found.get(model, (0, who))
            together = None if number is None or so_far is None else so_far + number
            found[model] = (together, names if number is not None and so_far is None else who)
    return found


def _audited(
    name: str,
    seen: Seen,
    answers: Answers,
    elsewhere: tuple[int | None, str] | None,
    lost: list[str],
    overflown: bool,
) -> Audited:
    counts = seen.models.get(name, _NOTHING)
    calls = {ensemble: of.count(name) for ensemble, of in seen.steps.items() if name in of}
    called = sum(seen.models.get(ensemble, _NOTHING).success * times for ensemble, times in calls.items())
    broken = sum(seen.models.get(ensemble, _NOTHING).failed * times for ensemble, times in calls.items())
    number, who = elsewhere or (0, "")
    unknown = answers.unknown + broken + (number or 0)
    least, computed = answers.answered + called, counts.success

    def result(outcome: Outcome, text: str) -> Audited:
        return Audited(name, answers.answered, unknown, called, computed, outcome, text)

    if seen.unauditable:
        return result("not auditable", f"{name} is not auditable: {seen.unauditable}")
    if overflown:
        return result("not auditable", f"{name} is not auditable: there are too many models to count each")
    if any(restart.model in ("", name) for restart in seen.restarts):
        return result(
            "not auditable", f"{name} is not auditable: it, or the server, was started again and counted anew"
        )
    if computed < least and seen.interrupted:
        why = "the connection to the server was lost in between, and it may have been started again"
        return result("not auditable", f"{name} is not auditable: {why}")
    if computed < least:
        return result("fewer", _fewer(name, answers.answered, called, computed, whole=seen.whole))
    if number is None:
        return result("not auditable", f"{name} is not auditable: {who} sent requests too, and nobody knows how many")
    if computed <= least + unknown:
        return result("agrees", _agrees(name, least, called, unknown, computed))
    more = computed - least - unknown
    if lost:
        why = f"worker {', '.join(lost)} was lost with its last counts"
        return result(
            "not auditable",
            f"{name} is not auditable: the server computed {more:,} requests more than were counted, and {why}",
        )
    return result("more", _more(name, least + unknown, computed, more, _multiples(name, more, seen)))


def _agrees(name: str, least: int, called: int, unknown: int, computed: int) -> str:
    beyond = computed - least
    of = f" or called by its ensembles ({called:,})" if called else ""
    of += f", {beyond:,} of them among the {unknown:,} whose answer nobody waited for" if beyond else ""
    return f"{name}: the server computed {computed:,} requests, as many as were answered{of}"


def _fewer(name: str, answered: int, called: int, computed: int, *, whole: bool) -> str:
    by_ensembles = f" and {called:,} calls of ensembles" if called else ""
    missing = answered + called - computed
    return (
        f"{name}: {answered:,} requests{by_ensembles} were answered, but the server computed {computed:,} only: "
        f"{missing:,} answers are not its own. A cache or proxy in front of it may have given them, or another server "
        f"behind its address{'' if whole else '; give the --metrics-url of each to have them counted together'}"
    )


def _more(name: str, ours: int, computed: int, more: int, multiples: list[str]) -> str:
    cause = f", or {' or '.join(multiples)}" if multiples else ", or a model of the server that calls this one"
    return (
        f"{name}: the server computed {computed:,} requests, {more:,} more than the {ours:,} sent from here: another "
        f"client used it meanwhile{cause}"
    )


def _multiples(name: str, more: int, seen: Seen) -> list[str]:
    """Models whose every request may have called this one."""
    found = []
    for other, counts in sorted(seen.models.items()):
        times, rest = divmod(more, counts.success) if counts.success else (0, 1)
        if other != name and not rest and 1 <= times <= MAX_CALLS:
            found.append(f"{other} called it {'once' if times == 1 else f'{times} times'} for each of its requests")
    return found


def sentences(audited: Iterable[Audited], outcome: Outcome) -> list[str]:
    """The sentences of one outcome, the models with the largest counts first; many as one."""
    chosen = sorted((each for each in audited if each.outcome == outcome), key=lambda each: -each.computed)
    texts = [each.text for each in chosen[:MAX_SENTENCES]]
    if len(chosen) > MAX_SENTENCES:
        texts.append(f"likewise {len(chosen) - MAX_SENTENCES} models more: {_named(chosen[MAX_SENTENCES:])}")
    return texts


def not_auditable(audited: Iterable[Audited]) -> list[str]:
    """Which models cannot be audited and why, those of one cause together."""
    causes: dict[str, list[Audited]] = {}
    for each in audited:
        if each.outcome == "not auditable":
            causes.setdefault(each.text.partition(": ")[2], []).append(each)
    return [f"{_named(models)} cannot be audited: {cause}" for cause, models in causes.items()]


def _named(audited: list[Audited]) -> str:
    more = f" and {len(audited) - MAX_NAMED} more" if len(audited) > MAX_NAMED else ""
    return ", ".join(each.model for each in audited[:MAX_NAMED]) + more


def in_short(audited: Iterable[Audited]) -> str:
    """How far the server's counts agree with ours, in one sentence; "" where there is nothing to compare."""
    every = list(audited)
    agree = [each for each in every if each.outcome == "agrees"]
    others = [each for each in every if each.outcome == "not auditable"]
    parts = []
    if agree:
        requests = sum(each.computed for each in agree)
        parts.append(f"the server's counts agree with ours for {_models(agree)}, {requests:,} requests")
    if others:
        parts.append(f"{_models(others)} cannot be audited")
    return "; ".join(parts)


def _models(audited: list[Audited]) -> str:
    return audited[0].model if len(audited) == 1 else f"{len(audited)} models"


_NOTHING = ModelCounts()
