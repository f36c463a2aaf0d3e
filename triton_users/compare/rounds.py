"""Plays rounds on two servers in turn: each a headless run of its own, after a short one that warms up."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triton_users.compare.measures import MEMORY
from triton_users.compare.outcome import EXIT_REFUSED, Refused, client_limits
from triton_users.compare.sides import Live
from triton_users.declaration import UsageError

END_LIMIT_S = 120.0
"""How long a round may take beyond its run time, in seconds: its start, users that finish what they do, its report."""
GRACE_S = 15.0
"""How long one that is interrupted may take to end before it is killed, in seconds."""
OVERHEAD_S = 8.0
"""What a run takes beside its run time as a rule; only for the time left."""
TAIL = 1_500
"""Characters of a run's output that a message repeats."""


@dataclass(frozen=True)
class Plan:
    """What each round is."""

    rounds: int
    """Pairs."""
    round_s: int
    warm_up_s: int
    users: int
    seed: int
    options: Sequence[str]
    """More options for each run, as a person gave them."""


def order(pairs: int) -> list[tuple[int, int]]:
    """(pair, side) in the order of play: A B, B A, A B …, so that a machine that gets slower favours neither."""
    return [(pair, side) for pair in range(pairs) for side in ((0, 1), (1, 0))[pair % 2]]


def play(
    sides: tuple[Live, Live], plan: Plan, folder: Path, tell: Callable[[str], None]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The reports of both sides' rounds, by pair.

    Refused when the client was the limit in a round and in its repetition; UsageError when a run says that something
    about it was wrong.
    """
    reports: tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]] = ({}, {})
    turns = order(plan.rounds)
    begun_s = time.monotonic()
    for turn, (pair, number) in enumerate(turns):
        each_s = (time.monotonic() - begun_s) / turn if turn else plan.round_s + plan.warm_up_s + 2 * OVERHEAD_S
        left = round((len(turns) - turn) * each_s)
        tell(
            f"round {turn + 1} of {len(turns)}: {'AB'[number]}, {sides[number].name}; {left // 60}:{left % 60:02d} left"
        )
        report = _round(sides[number], plan, folder / f"{pair + 1:02d}-{'AB'[number]}")
        if limited := client_limits(report):
            tell(f"the client was the limit ({limited}); once more")
            report = _round(sides[number], plan, folder / f"{pair + 1:02d}-{'AB'[number]}-again")
            if limited := client_limits(report):
                raise Refused(f"the client was the limit in a round of {sides[number].name}, twice: {limited}")
        reports[number][pair] = report
    return [reports[0][pair] for pair in range(plan.rounds)], [reports[1][pair] for pair in range(plan.rounds)]


def _round(side: Live, plan: Plan, folder: Path) -> dict[str, Any]:
    if plan.warm_up_s:
        run(side, plan, plan.warm_up_s, folder / "warm-up")
    report = run(side, plan, plan.round_s, folder)
    report[MEMORY] = side.memory_mib()
    return report


def run(side: Live, plan: Plan, seconds: int, folder: Path) -> dict[str, Any]:
    """One headless run, as its report has it. UsageError when it ends without one."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        *[sys.executable, "-m", "triton_users", "--headless", "--only-summary", "-H", side.host],
        *["-u", str(plan.users), "-r", str(plan.users), "-t", f"{seconds}s", "--seed", str(plan.seed)],
        *["--report-dir", str(folder), *plan.options],
    ]
    output = folder / "output.txt"
    with output.open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            child.wait(seconds + END_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise UsageError(f"a run on {side.name} did not end in time; its output is in {output}") from None
        finally:
            _end(child)
    found = sorted(folder.glob("*/report.json"), key=lambda path: path.stat().st_mtime)
    if child.returncode == EXIT_REFUSED or not found:
        tail = output.read_text("utf-8", "replace")[-TAIL:]
        raise UsageError(f"a run on {side.name} ended with exit code {child.returncode}: {tail}")
    report: dict[str, Any] = json.loads(found[-1].read_text("utf-8"))
    return report


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
