"""Whether the server, a model or a process of one was away or started again in the middle of a run. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from triton_users.judge.client_limited import hms
from triton_users.ledger.evidence import Evidence
from triton_users.witness.seen import Seen

MAX_SENTENCES = 10
"""Sentences of a report; further ones are counted."""

_STUB = re.compile(r"Stub process '([^']+)' is not healthy")
"""What Triton answers for a model whose Python process is gone."""


def sentences(seen: Seen, absences: Iterable[str] = (), evidence: Mapping[str, Evidence] | None = None) -> list[str]:
    """A sentence for each, with time and duration.

    `absences`: what the watch saw of models that were not ready for a while (`run.watch`). `evidence`: what failed,
    which tells of a Python stub where its process cannot be seen.
    """
    told = list(absences)
    for restart in seen.restarts:
        when, away_s = hms(restart.to_s), restart.to_s - restart.from_s
        anew = f"it counts anew since {when}"
        if not restart.model:
            told.append(f"the server was started again: {anew}, {away_s:.1f} s after its last answer before")
        elif not any(f" {restart.model} was not ready" in each for each in told):
            told.append(f"the model {restart.model} was loaded again: {anew}, and was away for up to {away_s:.1f} s")
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
