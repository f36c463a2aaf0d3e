"""Plays rounds on two servers in turn: each a headless run of its own, after a short one that warms up."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triton_users.compare.alike import Refused, client_limits
from triton_users.compare.measures import MEMORY
from triton_users.compare.outcome import EXIT_REFUSED
from triton_users.compare.sides import Live
from triton_users.declaration import UsageError

END_LIMIT_S = 120.0
"""How long a round may take beyond its run time, in seconds: its start, users that finish what they do, its report."""
GRACE_S = 15.0
"""How long one that is interrupted may take to end before it is killed, in seconds."""
OVERHEAD_S = 8.0
"""What a run takes beside its run time as a rule; only for the time left."""
MAX_LEFT_OUT = 0.25
"""As many pairs may be left out since the client was the limit, as a share of those that are wanted."""
TAIL = 1_500
"""Characters of a run's output that a message repeats."""


@dataclass(frozen=True)
class Plan:
    """What each round is, and how many there are."""

    rounds: int
    """Pairs."""
    round_s: int
    warm_up_s: int
    users: int
    seed: int
    options: Sequence[str]
    """More options for each run, as a person gave them."""


def order(pair: int) -> tuple[int, int]:
    """Which side of a pair is first: A B, B A, A B …, so that a machine that gets slower favours neither."""
    return (1, 0) if pair % 2 else (0, 1)


@dataclass
class Played:
    """The reports of the pairs of which both rounds count, and why others do not."""

    a: list[dict[str, Any]] = field(default_factory=list)
    b: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """A sentence for each pair with a round in which the client was the limit, twice; another was played for it."""


def play(sides: tuple[Live, Live], plan: Plan, folder: Path, tell: Callable[[str], None]) -> Played:
    """Plays so many pairs that count. Refused when too many are left out, UsageError when a run is wrong."""
    played = Played()
    begun_s, turns, pair = time.monotonic(), 0, 0
    while len(played.a) < plan.rounds:
        found: dict[int, dict[str, Any]] = {}
        for number in order(pair):
            each_s = (time.monotonic() - begun_s) / turns if turns else plan.round_s + plan.warm_up_s + 2 * OVERHEAD_S
            left = round((2 * (plan.rounds - len(played.a)) - len(found)) * each_s)
            said = f"pair {len(played.a) + 1} of {plan.rounds}: {'AB'[number]}, {sides[number].name}"
            tell(f"{said}; {left // 60}:{left % 60:02d} left")
            report, limited = _round(sides[number], plan, folder / f"{pair + 1:02d}-{'AB'[number]}", tell)
            turns += 1
            if limited:
                break
            found[number] = report
        pair += 1
        if len(found) == len(sides):
            played.a.append(found[0])
            played.b.append(found[1])
            continue
        played.left_out.append(
            f"a pair of rounds was left out and played anew: the client was the limit in a round of "
            f"{sides[number].name}, twice: {limited}"
        )
        tell(played.left_out[-1])
        if len(played.left_out) > plan.rounds * MAX_LEFT_OUT:
            raise Refused(
                f"in {len(played.left_out)} of {pair} pairs of rounds the client was the limit, twice: {limited}"
            )
    return played


def _round(side: Live, plan: Plan, folder: Path, tell: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """Its report; and where the client was the limit, if it was in the repetition as well."""
    limited = ""
    for again in ("", "-again"):
        where = folder.with_name(folder.name + again)
        warm_up(side, plan, where / "warm-up")
        report = run(side, plan, plan.round_s, where)
        limited = client_limits(report)
        if not limited:
            break
        if not again:
            tell(f"the client was the limit ({limited}); once more")
    report[MEMORY] = side.memory_mib()
    return report, limited


def run(side: Live, plan: Plan, seconds: int, folder: Path) -> dict[str, Any]:
    """One headless run, as its report has it. Refused when the server ended, UsageError when there is no report."""
    output = folder / "output.txt"
    exit_code = _run(side, plan, seconds, folder, output)
    found = sorted(folder.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise UsageError(f"a run on {side.name} ended with exit code {exit_code} and no report: {_tail(output)}")
    report: dict[str, Any] = json.loads(found[-1].read_text("utf-8"))
    return report


def warm_up(side: Live, plan: Plan, folder: Path) -> None:
    """The same without its report; a machine may be too slow for one that is so short."""
    if plan.warm_up_s:
        _run(side, plan, plan.warm_up_s, folder, folder / "output.txt")


def _run(side: Live, plan: Plan, seconds: int, folder: Path, output: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *[sys.executable, "-m", "triton_users", "--headless", "--only-summary", "-H", side.host],
        *["-u", str(plan.users), "-r", str(plan.users), "-t", f"{seconds}s", "--seed", str(plan.seed)],
        *["--report-dir", str(folder), *plan.options],
    ]
    with output.open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            child.wait(seconds + END_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise UsageError(f"a run on {side.name} did not end in time; it said: {_tail(output)}") from None
        finally:
            _end(child)
    if how := side.how_it_ended():
        raise Refused(f"{side.name} did not live through the rounds: {how}")
    if child.returncode == EXIT_REFUSED:
        raise UsageError(f"a run on {side.name} was refused: {_tail(output)}")
    return child.returncode


def _tail(output: Path) -> str:
    return output.read_text("utf-8", "replace")[-TAIL:]


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
