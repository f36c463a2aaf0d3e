"""Ten minutes each of a model that leaks 64 KiB a request, one that leaks 1 MiB in 100, and one that slows down.

All at the same time, each with an embedded Triton of its own, at a rate that leaves room for the others.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import table
from bench.clients import ROOT
from bench.procs import BenchError, running, tail

MODEL = "custom_nobatch_zero_1_float32"


@dataclass(frozen=True)
class Defect:
    """What is planted, and how it shows."""

    rate: int
    """Requests a second: what a leak takes in ten minutes is bounded, 750 and 600 MiB."""
    words: tuple[str, ...]
    """What the sentence that finds and names it begins with, and has in it."""


DEFECTS = {
    "keeps_64_kib": Defect(20, (f"leak: the memory of the stub of {MODEL}", f"the requests to {MODEL} explain it")),
    "keeps_a_mib_in_100": Defect(
        100, (f"leak: the memory of the stub of {MODEL}", f"the requests to {MODEL} explain it")
    ),
    "slows_down": Defect(20, ("drift: the", f"latency of {MODEL} got slower")),
}
#: Seconds a run may take beyond its run time: a server's start and end.
END_LIMIT_S = 180.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, help="run time of each (default %(default)s)")
    parser.add_argument("--defects", default=",".join(DEFECTS), help="(default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    defects = options.defects.split(",")
    seconds = round(60 * options.minutes)
    with tempfile.TemporaryDirectory(prefix="bench-planted-") as name, ExitStack() as stack:
        children = {}
        for defect in defects:
            folder = Path(name) / defect
            folder.mkdir()
            children[defect] = stack.enter_context(_started(defect, seconds, folder))
        until_s = time.monotonic() + seconds + END_LIMIT_S
        results = [_ended(defect, child, until_s, Path(name) / defect) for defect, child in children.items()]
    rows = [[each["defect"], each["found_s"], each["exit_code"]] for each in results]
    print(table.render(["defect", "found and named from second", "exit code"], rows))
    for each in results:
        print(f"\n{each['defect']}\n  " + "\n  ".join(each["alerts"] + each["trends"]), flush=True)
    return results


def _started(defect: str, seconds: int, folder: Path) -> Any:
    command = [
        *[sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "users" / "planted.py"), "--headless"],
        *["-t", f"{seconds}s", "-u", "4", "-r", "4", "--rate", str(DEFECTS[defect].rate), "--report-dir", str(folder)],
        *["--models", MODEL, "--shape", f"{MODEL}:INPUT0=16"],
    ]
    case = {"models": str(ROOT / "tests" / "defective_models" / defect), "log": str(folder / "verdicts.jsonl")}
    env = {"BENCH_CASE": json.dumps(case), "PYTHONPATH": str(ROOT)}
    return running(command, folder / "log", env=env, cwd=ROOT)


def _ended(defect: str, child: subprocess.Popen[bytes], until_s: float, folder: Path) -> dict[str, Any]:
    try:
        child.wait(max(0.0, until_s - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise BenchError(f"{defect}: the run did not end:\n{tail(folder / 'log')}") from None
    reports = list(folder.glob("*/report.json"))
    if not reports:
        raise BenchError(f"{defect}: there is no report:\n{tail(folder / 'log')}")
    report = json.loads(reports[0].read_text())
    begins, *has = DEFECTS[defect].words
    found_s = None
    for line in (folder / "verdicts.jsonl").read_text().splitlines():
        verdict = json.loads(line)
        named = any(each.startswith(begins) and all(word in each for word in has) for each in verdict["reasons"])
        found_s = (verdict["at_s"] if found_s is None else found_s) if named else None
    trends = report["trends"]
    return {
        "defect": defect,
        "found_s": found_s,
        "exit_code": child.returncode,
        "reasons": report["verdict"]["reasons"],
        "warnings": report["verdict"]["warnings"],
        "alerts": [f"{each['question']} {each['answer']}: {each['text']}" for each in report["verdict"]["alerts"]],
        "trends": [*(each["text"] for each in (*trends["memory"], *trends["drift"])), trends["drift_unsaid"]],
    }
