"""Whether an open loop's rate was kept, and if not why. Pure functions of counts."""

from __future__ import annotations

from triton_users.judge.client_limited import digits
from triton_users.ledger import ArrivalCounts

LATE_SHARE = 0.01
"""More of the arrivals than this issued late is a rate that was not kept: with fewer, its 99th percentile stands."""
LEFT_S = 1.0
"""Arrivals of as long as this may be under way when a run ends: issued or missed after they were last counted."""


def sentences(
    counts: ArrivalCounts, *, intended: int, load_s: float, limited: bool, running: bool, lost: bool
) -> list[str]:
    """Why the rate was not kept, a sentence each; none when it was, or when nothing was to arrive.

    `intended`: the arrivals that were due in `load_s` seconds. `limited`: the client was found to be too slow by its
    own measures. `running`: counts are still to come. `lost`: a worker was lost.
    """
    found = []
    busy = "all users were busy" + (
        ", while the client was at its limit (see there)"
        if limited
        else ": more users, or the server is slower than that"
    )
    slow = "the client was too slow"
    if counts.missed_busy:
        found.append(f"{_of(counts.missed_busy, intended)} were missed: {busy}")
    if counts.missed_slow:
        found.append(f"{_of(counts.missed_slow, intended)} were missed: {slow}")
    worst_ms = counts.delay.max_us / 1e3
    if counts.waited > LATE_SHARE * counts.issued:
        found.append(f"{_of(counts.waited, intended)} waited for a user, some up to {worst_ms:,.0f} ms: {busy}")
    if counts.late > LATE_SHARE * counts.issued:
        found.append(f"{_of(counts.late, intended)} were issued late, some up to {digits(worst_ms)} ms: {slow}")
    left = intended - counts.ended
    if not running and left > LEFT_S * intended / max(load_s, LEFT_S):
        why = "their worker was lost" if lost else "they still waited for a user when the run ended"
        found.append(f"{_of(left, intended)} were neither issued nor missed: {why}")
    return [f"the rate was not kept: {line}" for line in found]


def _of(number: int, intended: int) -> str:
    return f"{number:,} of {max(number, intended):,} arrivals ({100 * number / max(number, intended, 1):.2g} %)"
