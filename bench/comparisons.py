"""How often `triton-users compare` is wrong on this machine: a server with itself, and with one made slower.

Each is a whole comparison of two embedded servers, by the command that people use. The model hashes so many bytes that
a request takes `--work` milliseconds; on a slower server's side B it hashes `--percent` more. `--load mix` compares two
servers with the stress mix instead (only the same with itself). Comparisons that run side by side have cores of their
own. One row a comparison: what was said, and the ratio with its interval of some measures.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from bench import table
from bench.clients import ROOT
from bench.procs import BenchError, running, tail
from triton_users.compare.outcome import EXIT_REFUSED
from triton_users.server import pins

MODEL = "computes"
#: Measures that have a column, by their name in compare.json.
SHOWN = ("requests answered", "latency p50", "latency p99", "compute time in the server, mean", "memory of the server")
#: Seconds that a comparison may take beyond its rounds, for each of its runs: their start, repetitions, reports.
RUN_LIMIT_S = 15.0
#: Seconds that starting two servers and comparing their answers may take.
START_LIMIT_S = 300.0
#: Bytes hashed to see how fast this machine is, and how often: the fastest counts.
TRIAL_BYTES, TRIALS = 16_000_000, 20


@dataclass(frozen=True)
class Planned:
    """One comparison to be made."""

    name: str
    sides: tuple[str, str]
    slower: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--same", type=int, default=4, metavar="N", help="of a server with itself (default 4)")
    parser.add_argument("--slower", type=int, default=4, metavar="N", help="with a slower one (default 4)")
    parser.add_argument("--percent", type=float, default=10.0, help="how much slower (default %(default)s)")
    parser.add_argument("--work", type=float, default=3.0, metavar="MS", help="of a request (default %(default)s)")
    parser.add_argument("--load", choices=("model", "mix"), default="model", help="(default %(default)s)")
    parser.add_argument("--side-by-side", type=int, default=1, metavar="K", help="comparisons at a time (default 1)")
    parser.add_argument("--cores-each", type=int, default=2, metavar="C", help="cores of each (default 2)")
    parser.add_argument("--rounds", type=int, default=12, help="pairs of rounds (default %(default)s)")
    parser.add_argument("--round-time", type=int, default=15, metavar="S", help="(default %(default)s)")
    parser.add_argument("--warm-up", type=int, default=3, metavar="S", help="(default %(default)s)")
    parser.add_argument("--users", type=int, default=4, help="(default %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep what each comparison wrote there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    places = _places(options.side_by_side, options.cores_each)
    with tempfile.TemporaryDirectory(prefix="bench-comparisons-") as temporary:
        folder = options.keep or Path(temporary)
        planned = _planned(options, folder)
        with ThreadPoolExecutor(options.side_by_side) as pool:
            results = list(pool.map(lambda each: _compared(each, options, folder, places), planned))
    print(table.render(["comparison", "said", "s", *SHOWN], [_row(each) for each in results]))
    for slower in (False, True):
        answers = [each["said"] for each in results if each["slower"] is slower]
        if answers:
            counted = ", ".join(f"{answer} {answers.count(answer)}" for answer in sorted(set(answers)))
            print(f"{'slower' if slower else 'same'}: {counted}")
    return results


def _places(side_by_side: int, cores_each: int) -> SimpleQueue[frozenset[int]]:
    """The cores of each comparison that runs at a time."""
    cores = sorted(os.sched_getaffinity(0))
    if side_by_side * cores_each > len(cores):
        raise BenchError(f"{side_by_side} comparisons of {cores_each} cores need more than the {len(cores)} there are")
    places: SimpleQueue[frozenset[int]] = SimpleQueue()
    for place in range(side_by_side):
        places.put(frozenset(cores[place * cores_each : (place + 1) * cores_each]))
    return places


def _planned(options: argparse.Namespace, folder: Path) -> list[Planned]:
    """Both kinds in turn, so that what changes on the machine changes for both."""
    if options.load == "mix":
        if options.slower:
            raise BenchError("the stress mix cannot be made slower: --slower 0, or --load model")
        same = slow = pins.NEWEST
    else:
        work = _bytes_in(options.work / 1000)
        same, slow = (
            f"{pins.NEWEST}:{_repository(folder / name, round(work * factor))}"
            for name, factor in (("as-it-is", 1.0), ("slower", 1 + options.percent / 100))
        )
    kinds = [
        *((2 * i, Planned(f"same {i + 1}", (same, same), slower=False)) for i in range(options.same)),
        *((2 * i + 1, Planned(f"slower {i + 1}", (same, slow), slower=True)) for i in range(options.slower)),
    ]
    return [each for _, each in sorted(kinds, key=lambda kind: kind[0])]


def _bytes_in(seconds: float) -> int:
    """How many bytes are hashed in this time, here and now."""
    trial, took_s = bytes(TRIAL_BYTES), []
    for _ in range(TRIALS):
        began = time.perf_counter()
        hashlib.sha256(trial).digest()
        took_s.append(time.perf_counter() - began)
    return round(seconds / min(took_s) * TRIAL_BYTES)


def _repository(folder: Path, work: int) -> Path:
    shutil.copytree(ROOT / "bench" / "models" / MODEL, folder / MODEL, dirs_exist_ok=True)
    configuration = folder / MODEL / "config.pbtxt"
    configuration.write_text(configuration.read_text().replace("1000000", str(work)))
    return folder.absolute()


def _compared(
    planned: Planned, options: argparse.Namespace, folder: Path, places: SimpleQueue[frozenset[int]]
) -> dict[str, Any]:
    out = folder / planned.name.replace(" ", "-")
    out.mkdir(parents=True, exist_ok=True)
    load = [] if options.load == "mix" else ["--models", MODEL]
    command = [
        *[sys.executable, "-m", "triton_users", "compare", *planned.sides, "--rounds", str(options.rounds)],
        *["--round-time", str(options.round_time), "--warm-up", str(options.warm_up), "-u", str(options.users)],
        *["--out", str(out), "--", *load],
    ]
    limit_s = START_LIMIT_S + 4 * options.rounds * (options.round_time + options.warm_up + 2 * RUN_LIMIT_S)
    cores, began = places.get(), time.monotonic()
    try:
        with running(command, out / "output.txt", cores, cwd=ROOT) as child:
            exit_code = child.wait(limit_s)
    finally:
        places.put(cores)
    written = out / "compare.json"
    outcome = json.loads(written.read_text()) if written.exists() else {}
    result = {
        "comparison": planned.name,
        "slower": planned.slower,
        "said": _said(outcome),
        "s": round(time.monotonic() - began),
        "cores": sorted(cores),
        "exit_code": exit_code,
        "outcome": outcome,
        "output": tail(out / "output.txt"),
    }
    print(
        f"  {planned.name}, cores {sorted(cores)}: {result['said']} after {result['s']} s", file=sys.stderr, flush=True
    )
    if not outcome:
        print(tail(out / "output.txt", 3), file=sys.stderr, flush=True)
    return result


def _said(outcome: dict[str, Any]) -> str:
    """One word for a comparison: of all its measures together."""
    if not outcome:
        return "refused"
    if outcome["exit_code"] == EXIT_REFUSED:
        return "too few rounds"
    answers = {each["difference"]["answer"] for each in outcome["measures"]}
    return next((one for one in ("worse", "better") if one in answers), "wrong" if outcome["exit_code"] else "alike")


def _row(result: dict[str, Any]) -> Sequence[table.Cell]:
    ratios = {each["name"]: each["difference"]["ratio"] for each in result["outcome"].get("measures", ())}
    return [result["comparison"], result["said"], result["s"], *(_ratio(ratios.get(name)) for name in SHOWN)]


def _ratio(ratio: dict[str, float] | None) -> str:
    return "-" if ratio is None else f"{ratio['value']:.3f} ({ratio['low']:.3f}-{ratio['high']:.3f})"
