"""The highest rate at which a limit on p99 holds, searched twice by us and by perf_analyzer, in one sitting.

perf_analyzer searches with `--request-rate-range` and `-l`: step by step, and with `--binary-search`. Its latency
begins when a request is really sent, ours when it was due; of its rates those count that it reached.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import compare, table
from bench.clients import ROOT
from bench.procs import BenchError, end, on_cores, start, tail
from bench.triton import IDENTITY, add_option, triton
from triton_users.server import ServerError, ensure_installed, perf_analyzer_command

#: Of the rate that was asked for perf_analyzer must reach this share: it reports a rate that it could not send as well.
REACHED = 0.95
#: What perf_analyzer says of a level that did not hold.
OVER = "Measured latency went over the set limit"
#: Seconds one search may take.
LIMIT_S = 1800.0


@dataclass(frozen=True)
class Found:
    """What one search came to."""

    name: str
    held: float | None
    """The highest rate that held, in requests a second."""
    failed: float | None
    """The lowest rate that did not."""
    why: str
    levels: int
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_option(parser)
    parser.add_argument("--p99-ms", type=float, default=20.0, metavar="MS", help="the limit (default %(default)s)")
    parser.add_argument("--users", type=int, default=200, metavar="N", help="most requests under way (%(default)s)")
    parser.add_argument("--level", type=float, default=10.0, metavar="S", help="seconds of a level (%(default)s)")
    parser.add_argument("--first", type=int, default=200, metavar="N", help="rate to begin with (%(default)s)")
    parser.add_argument(
        "--most", type=int, default=6400, metavar="N", help="perf_analyzer's highest rate (%(default)s)"
    )
    parser.add_argument(
        "--step", type=int, default=200, metavar="N", help="its step, without binary search (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    searches = (_ours, _linear, _binary, _ours)
    found = []
    with triton(options, [IDENTITY]) as (address, _), on_cores(compare.pins(options).client):
        for search in searches:
            with tempfile.TemporaryDirectory(prefix="bench-capacity-") as name:
                found.append(search(options, address, Path(name)))
            print(f"  {found[-1].name}: {_words(found[-1])}", file=sys.stderr, flush=True)
    rows: list[list[table.Cell]] = [
        [each.name, each.held, each.failed, float(each.levels), each.seconds, each.why[:60]] for each in found
    ]
    print(f"\n{IDENTITY}, p99 under {options.p99_ms:g} ms, at most {options.users} under way")
    print(table.render(["search", "held /s", "failed /s", "levels", "seconds", "what failed"], rows))
    ours = [each.held for each in found if each.name == "ours" and each.held]
    if len(ours) == 2:
        print(f"our two searches differ by {100 * abs(ours[0] - ours[1]) / max(ours):.1f} %")
    return [asdict(each) for each in found]


def _words(found: Found) -> str:
    return f"{found.held} held, {found.failed} did not: {found.why}" if found.held else f"nothing held: {found.why}"


def _ours(options: argparse.Namespace, address: str, folder: Path) -> Found:
    command = [
        *[sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "users" / "capacity.py"), "--headless"],
        *["-H", f"grpc://{address}", "-u", str(options.users), "-r", str(options.users), "--only-summary"],
        *["--rate", str(options.first), "--find-capacity", f"p99_ms<{options.p99_ms:g},failure_ratio<0.1%"],
        *["--capacity-level-s", str(options.level), "--report-dir", str(folder)],
    ]
    _run(command, folder, {"PYTHONPATH": str(ROOT)})
    reports = list(folder.glob("*/report.json"))
    if not reports:
        raise BenchError(f"our search left no report: {tail(folder / 'log')}")
    report = json.loads(reports[0].read_text())
    capacity = report["capacity"]
    who = "" if capacity["limited_by"] in ("", "server") else f"{capacity['limited_by']}: "
    return Found(
        "ours",
        capacity["held"],
        capacity["failed"],
        who + capacity["why"],
        len(capacity["levels"]),
        report["duration_s"],
    )


def _linear(options: argparse.Namespace, address: str, folder: Path) -> Found:
    return _perf_analyzer(
        "perf_analyzer -l", options, address, folder, f"{options.first}:{options.most}:{options.step}"
    )


def _binary(options: argparse.Namespace, address: str, folder: Path) -> Found:
    span = f"{options.first}:{options.most}:{max(1, options.first // 10)}"
    return _perf_analyzer("perf_analyzer -l --binary-search", options, address, folder, span, "--binary-search")


def _perf_analyzer(name: str, options: argparse.Namespace, address: str, folder: Path, span: str, *more: str) -> Found:
    try:
        binary, environment = perf_analyzer_command(ensure_installed())
    except ServerError as exc:
        raise BenchError(str(exc)) from exc
    command = [
        *[*binary, "-m", IDENTITY, "-u", address, "-i", "grpc", "--async", "--shape", "INPUT0:16"],
        *["--request-rate-range", span, "-l", f"{options.p99_ms:g}", "--percentile", "99"],
        *["--measurement-mode", "time_windows", "--measurement-interval", str(int(1000 * options.level / 3))],
        *["--stability-percentage", "999", "--max-trials", "3", "-f", str(folder / "report.csv"), *more],
    ]
    seconds = _run(command, folder, {"LD_LIBRARY_PATH": environment["LD_LIBRARY_PATH"]})
    report = folder / "report.csv"
    if not report.exists() and OVER in tail(folder / "log"):  # its first level; then it writes none
        return Found(name, None, float(options.first), OVER, 1, seconds)
    if not report.exists():
        raise BenchError(f"{name} left no report: {tail(folder / 'log')}")
    return found_in(name, report.read_text(), options.p99_ms, seconds)


def found_in(name: str, report: str, p99_ms: float, seconds: float) -> Found:
    """What perf_analyzer's CSV says: it has each level that was measured."""
    held, failed, why = None, None, ""
    rows = sorted(csv.DictReader(report.splitlines()), key=lambda row: float(row["Request Rate"]))
    for row in rows:
        rate, reached, p99_us = (float(row[key]) for key in ("Request Rate", "Inferences/Second", "p99 latency"))
        if p99_us < 1e3 * p99_ms and reached >= REACHED * rate:
            held = rate
        elif failed is None:
            failed, why = rate, f"p99 {p99_us / 1e3:.3g} ms, {reached:.0f} of {rate:.0f}/s reached"
    if held is not None and failed is not None and failed < held:
        why += "; a higher rate held"
    return Found(name, held, failed, why, len(rows), seconds)


def _run(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> float:
    """Run it to its end; how many seconds that took."""
    begun_s = time.monotonic()
    child = start(command, folder / "log", env=env, cwd=folder)
    try:
        child.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        raise BenchError(f"it still ran after {LIMIT_S:.0f} s: {tail(folder / 'log')}") from None
    finally:
        end(child)
    return time.monotonic() - begun_s
