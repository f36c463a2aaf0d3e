"""Answers that came far too late, and a server that stood still: findings without any threshold. Pure functions.

Neither fails a run: what is much depends on the model. Where the client, or its machine, was the limit they say nothing
of the server and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from triton_users.judge.client_limited import CROWDED_PERCENT, Limits, findings, hms, windows_of
from triton_users.judge.outages import Outage
from triton_users.ledger import WorkerState

FEW = 3
"""So many late answers of a row are reported; one or two may be chance."""
MAX_TOLD = 5
"""Rows with late answers, and times of standing still, that are named."""
COVER = 0.8
"""A question after the server's models that took long, and in most of whose time no worker had an answer, says that the
server stood still: either alone may have other reasons."""

Span = tuple[float, float]


@dataclass(frozen=True)
class _Late:
    at_s: float
    latency_s: float
    usual_s: float


def sentences(
    workers: Sequence[WorkerState], limits: Limits, questions: Iterable[Span], gone: Iterable[Outage]
) -> list[str]:
    """What came far too late, and when the server stood still.

    `questions`: from when to when, in seconds of the run, the master waited long for an answer that takes no work.
    """
    asked = list(questions)
    if not asked and not any(state.lateness[1] for state in workers):
        return []  # as nearly always: the report is made every second
    too_busy = {id(state): busy(state, limits) for state in workers}
    away = [(outage.from_s, outage.to_s) for outage in gone]
    return [*_stood_still(workers, too_busy, asked, away), *_late(workers, too_busy, away)]


def busy(state: WorkerState, limits: Limits) -> list[Span]:
    """When this worker, or the machine it shares, was too slow to say anything of the server."""
    spans = [(found.start_s, found.end_s) for found in findings([state], limits)]
    return spans + [
        (window.start_s, window.end_s) for window in windows_of(state) if window.cpu_wait_percent > CROWDED_PERCENT
    ]


def _late(workers: Sequence[WorkerState], too_busy: dict[int, list[Span]], away: list[Span]) -> list[str]:
    rows: dict[tuple[str, str], list[_Late]] = {}
    for state in workers:
        for scenario, model, at_s, latency_s, usual_s in state.lateness[1]:
            end_s = at_s + state.began_s
            if not any(_touch((end_s - latency_s, end_s), span) for span in (*too_busy[id(state)], *away)):
                rows.setdefault((scenario, model), []).append(_Late(end_s, latency_s, usual_s))
    lines = []
    for (scenario, model), late in sorted(rows.items(), key=lambda item: -len(item[1]))[:MAX_TOLD]:
        if len(late) >= FEW:
            worst = max(late, key=lambda each: each.latency_s)
            lines.append(
                f"late answers: {len(late)} or more of {scenario or 'requests'} to {model} took up to "
                f"{worst.latency_s:.1f} s, where nine of ten take less than {max(0.001, late[-1].usual_s):.3f} s; the "
                f"first at {hms(min(each.at_s for each in late))}"
            )
    return lines


def _stood_still(
    workers: Sequence[WorkerState], too_busy: dict[int, list[Span]], questions: list[Span], away: list[Span]
) -> list[str]:
    slow = [span for spans in too_busy.values() for span in spans] + away
    times = [
        question
        for question in questions
        if not any(_touch(question, span) for span in slow)
        and workers
        and all(_covered(question, state) >= COVER * (question[1] - question[0]) for state in workers)
    ]
    if not times:
        return []
    listed = ", ".join(f"for {to_s - from_s:.1f} s at {hms(from_s)}" for from_s, to_s in times[:MAX_TOLD])
    more = f" and {len(times) - MAX_TOLD} more times" if len(times) > MAX_TOLD else ""
    return [f"the server stood still: no user got an answer, nor did a question after its models, {listed}{more}"]


def _covered(question: Span, state: WorkerState) -> float:
    """How much of a question's time this worker had no answer in, in seconds."""
    silences = ((from_s + state.began_s, to_s + state.began_s) for from_s, to_s in state.lateness[2])
    return max((min(question[1], to_s) - max(question[0], from_s) for from_s, to_s in silences), default=0.0)


def _touch(one: Span, other: Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
