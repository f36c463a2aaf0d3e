"""What the 1 GiB request costs that is cut off at its deadline of 0.1 s: time, memory, holds of the hub."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import compare, table, triton
from bench.clients import ROOT
from bench.procs import BenchError, running, tail

#: Column -> heading. Milliseconds and MiB.
COLUMNS = {
    "wall_ms": "wall ms",
    "memory_mib": "memory added MiB",
    "longest_cpu_ms": "hub held CPU ms",
    "longest_run_ms": "hub held wall ms",
    "latest_wake_ms": "late wake-up ms",
    "handed_over_mib": "handed over MiB",
    "server_read_mib": "server read MiB",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    triton.add_option(parser)
    parser.add_argument("--shots", type=int, default=10, help="requests, one after the other (default %(default)s)")
    parser.add_argument("--mib", type=int, default=1024, help="size of the tensor (default %(default)s)")
    parser.add_argument("--deadline-ms", type=int, default=100, help="(default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    with (
        triton.triton(options, [triton.IDENTITY]) as (address, _),
        tempfile.TemporaryDirectory(prefix="bench-deadline-") as name,
    ):
        log = Path(name) / "log"
        arguments = [address, triton.IDENTITY, *map(str, (options.shots, options.mib, options.deadline_ms))]
        command = [sys.executable, "-m", "bench.probes.deadline", *arguments]
        with running(command, log, compare.pins(options).client, cwd=ROOT) as child:
            code = child.wait(30 + options.shots * (5 + options.deadline_ms / 1000))
        if code != 0:
            raise BenchError(f"the probe ended with code {code}\n{tail(log)}")
        result = json.loads(log.read_text().splitlines()[-1])
    print(f"\n{options.mib} MiB to {triton.IDENTITY}, deadline {options.deadline_ms} ms, {options.shots} shots")
    print(render(result))
    return [result]


def render(result: dict[str, Any]) -> str:
    """Median and worst of the shots, and what the machine itself adds to the wake-ups."""
    shots, quiet = result["shots"], result["quiet"]
    columns = [[shot[column] for shot in shots] for column in COLUMNS]
    sent = ("handed_over_mib", "server_read_mib")
    rows: list[list[table.Cell]] = [
        ["median", *[statistics.median(values) for values in columns]],
        # The least bytes are the worst.
        ["worst", *[(min if name in sent else max)(values) for name, values in zip(COLUMNS, columns, strict=True)]],
        ["nothing sent", *[quiet.get(column) for column in COLUMNS]],
    ]
    wrong = [shot["status"] for shot in shots if shot["status"] != "DEADLINE_EXCEEDED"]
    lines = [table.render(["shots", *COLUMNS.values()], rows)]
    if wrong:
        lines.append(f"{len(wrong)} shots did not end with DEADLINE_EXCEEDED but with {', '.join(sorted(set(wrong)))}")
    return "\n".join(lines)
