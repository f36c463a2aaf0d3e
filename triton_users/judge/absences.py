"""Whether the server, a model or a process of one was away or started again in the middle of a run. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from triton_users.judge.client_limited import hms
from triton_users.ledger.evidence import Evidence
from triton_users.witness.counting import Restart
from triton_users.witness.seen import Absence, Seen

MAX_SENTENCES = 10
"""Sentences of a report; further ones are counted."""

APART_S = 30.0
"""An absence and a model's counters that began anew no further apart are one: `run.sampling` may ask so seldom."""

_STUB = re.compile(r"Stub process '([^']+)' is not healthy")
"""What Triton answers for a model whose Python process is gone."""


def sentences(
    seen: Seen, absences: Sequence[Absence] = (), evidence: Mapping[str, Evidence] | None = None
) -> list[str]:
    """A sentence for each, with time and duration.

    `absences`: what the watch saw (`run.watch`). `evidence`: what failed, which tells of a Python stub where its
    process cannot be seen.
    """
    told = [
        f"the model {each.model} was not ready from {hms(each.from_s)} to {hms(each.to_s)}: {each.state}"
        for each in absences
    ]
    for restart in seen.restarts:
        when, away_s = hms(restart.to_s), restart.to_s - restart.from_s
        anew, of = f"it counts anew since {when}", f" of {restart.server}" if restart.server else ""
        if not restart.model:
            server = f"the server {restart.server}".rstrip()
            told.append(f"{server} was started again: {anew}, {away_s:.1f} s after its last answer before")
        elif not any(_same(restart, each) for each in absences):
            told.append(
                f"the model {restart.model}{of} was loaded again: {anew}, and was away for up to {away_s:.1f} s"
            )
    for death in seen.deaths:
        until = "there was no other until the end"
        if death.to_s is not None:
            until = f"another one came after {death.to_s - death.from_s:.1f} s"
        when = hms(death.from_s)
        told.append(f"a Python process of the model {death.model} died at {when} (process {death.pid}), and {until}")
    if not seen.deaths:
        told += _stubs(evidence or {})
    if len(told) > MAX_SENTENCES:
        told[MAX_SENTENCES:] = [f"and {len(told) - MAX_SENTENCES} times more something was away or started again"]
    return told


def _same(restart: Restart, absence: Absence) -> bool:
    """Whether two witnesses speak of one absence: each looks every few seconds only."""
    apart_s = max(restart.from_s, absence.from_s) - min(restart.to_s, absence.to_s)
    return restart.model == absence.model and apart_s <= APART_S


def _stubs(evidence: Mapping[str, Evidence]) -> list[str]:
    """What the errors say of stubs that nobody saw die: from the first such error that was kept to the last."""
    times: dict[str, list[float]] = {}
    for kept in evidence.values():
        for failure in (*kept.first, *kept.last):
            if match := _STUB.search(failure["reason"]):
                times.setdefault(match[1], []).append(failure["at_s"])
    return [
        f"the Python process {stub} of the server died: requests failed for it from {hms(min(at))} to {hms(max(at))}"
        for stub, at in sorted(times.items())
    ]
