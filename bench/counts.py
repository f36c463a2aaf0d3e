"""Counts lost, and time to exit, for each way to lay out a run and to end it, over many short runs.

Four count the same requests: the server, the users themselves (in a journal that lives through kill -9), our ledger and
Locust. "lost" are requests that ended for a user and are not in the report; "older" are those of them that had ended
more than one report interval (3 s) before the kill, of which there must be none. "differ" counts the runs in which the
server's, the ledger's and Locust's counts were not all equal; that is to be expected only after kill -9.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import table
from bench.procs import BenchError
from tests.cluster import cases
from tests.cluster.cases import CASES, MODEL, Outcome
from triton_users.server import EmbeddedTriton, ProgressLine, ServerError

#: Seconds between two reports of a Locust worker (`locust.runners.WORKER_REPORT_INTERVAL`), and room for its jitter.
INTERVAL_S = 3.0 + 0.5

HEADERS = [
    "layout",
    "end",
    "runs",
    "requests",
    "lost",
    "most in one run",
    "older",
    "differ",
    "exit s",
    "slowest",
    "left",
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeat", type=int, default=20, metavar="N", help="runs of each case (default %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose layout and end contain this")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Repeat all cases in turn, so that a noisy minute touches each."""
    chosen = [case for case in CASES if options.only in " ".join(case)]
    if not chosen:
        raise BenchError(f"no case contains {options.only!r}; there are: {', '.join(map(' '.join, CASES))}")
    outcomes: dict[tuple[str, str], list[Outcome]] = {case: [] for case in chosen}
    try:
        with ProgressLine() as progress, EmbeddedTriton(models=[MODEL], progress=progress) as triton:
            progress.close()
            for round_number in range(options.repeat):
                for layout, end in chosen:
                    host = f"grpc://{triton.grpc_url}"
                    try:
                        with tempfile.TemporaryDirectory(prefix="bench-counts-") as folder:
                            seen = cases.run(layout, end, Path(folder) / "run", host, triton.http_url)
                        outcomes[layout, end].append(seen)
                    except AssertionError as error:  # shown as one run less
                        print(f"  {layout}, {end}: the run did not go as it must: {error}", file=sys.stderr, flush=True)
                print(f"  round {round_number + 1} of {options.repeat} done", file=sys.stderr, flush=True)
    except ServerError as error:
        raise BenchError(str(error)) from error
    print(table.render(HEADERS, [_row(case, seen) for case, seen in outcomes.items() if seen]), flush=True)
    return [
        {"layout": layout, "end": end, "lost": [each.lost for each in seen], "exit_s": [each.exit_s for each in seen]}
        for (layout, end), seen in outcomes.items()
    ]


def _row(case: tuple[str, str], seen: Sequence[Outcome]) -> list[table.Cell]:
    return [
        *case,
        len(seen),
        sum(len(each.journal) for each in seen),
        sum(each.lost for each in seen),
        max(each.lost for each in seen),
        sum(each.lost_before(INTERVAL_S) for each in seen),
        sum(not each.server == each.ledger == each.by_locust for each in seen),
        statistics.median(each.exit_s for each in seen),
        max(each.exit_s for each in seen),
        sum(len(each.left_processes) for each in seen),
    ]
