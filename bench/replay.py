"""Each defect that the tests have: found by a run, played again, shrunk, and written as a script that is tried.

One row a defect: how long the run took that found it and how many failures its report kept; how large the failed run
was and how small the smallest that still fails is, after how many cases and seconds; the script's lines, and its exit
codes on the defective and on the healthy server (1 and 0 are right) with the seconds that each took.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import table
from bench.procs import BenchError
from triton_users import server
from triton_users.replay.case import case_of, failures_of
from triton_users.server.repository import model_names

DEFECTS = Path(__file__).resolve().parents[1] / "tests/defective_models"

#: Defect -> the scenario that finds it, and the options with which it does in seconds.
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "off_by_one": ("SequenceValid", ()),
    "leaks_between_ids": ("SequenceValid", ()),
    "leaks_between_ids_fp32": ("SequenceValid", ()),
    "swaps_in_batches": ("SequenceValid", ("--burst-share", "1")),
    "forgets_early": ("SequenceValid", ("--pause-share", "1", "--burst-share", "0")),
    "loses_an_answer": ("SequenceValid", ("--sequence-timeout-ms", "4000")),
    "ignores_start": ("SequenceValidValid", ()),
    "start_not_required": ("SequenceNoStart", ()),
    "never_reclaims": ("SequenceNoEnd", ("--deferred-check-wait-s", "20")),
    "keeps_what_was_reclaimed": ("SequenceNoEnd", ("--deferred-check-wait-s", "20")),
    "swapped_label": ("ResNet", ("--batch-size", "4")),
    "false_scores": ("ResNet", ("--batch-size", "4")),
    "flips_a_bit": ("Timeout", ()),
    "wrong_when_large": ("Timeout", ()),
    "dies_with_its_client": ("Crashing", ("--request-timeout-ms", "5000")),
}

HEADERS = ["defect", "found s", "failures", "failed run", "smallest", "cases", "s", "lines", "defective", "healthy"]

#: Longest time of any of the commands, in seconds.
LIMIT_S = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", metavar="NAMES", help=f"comma separated, of: {', '.join(CASES)}")
    parser.add_argument("--time-limit", type=float, default=120.0, metavar="S", help="of each replay (default 120)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep reports and scripts there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """One defect after the other."""
    chosen = [name.strip() for name in options.only.split(",") if name.strip()] or list(CASES)
    if unknown := [name for name in chosen if name not in CASES]:
        raise BenchError(f"there is no defect {unknown[0]}; there are: {', '.join(CASES)}")
    results = []
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as temporary:
        for name in chosen:
            folder = (options.keep or Path(temporary)) / name
            folder.mkdir(parents=True, exist_ok=True)
            results.append(_defect(name, folder, options.time_limit))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    rows = [[str(result.get(header, "-")) for header in HEADERS] for result in results]
    print(table.render(HEADERS, rows))
    return results


def _defect(name: str, folder: Path, time_limit_s: float) -> dict[str, Any]:
    scenario, more = CASES[name]
    result: dict[str, Any] = {"defect": name}
    began = time.monotonic()
    with server.EmbeddedTriton(DEFECTS / name, grace_s=0) as triton:
        _command(
            folder, "--headless", "-u", "2", "-r", "2", "-t", "15s", "-H", f"grpc://{triton.grpc_url}",
            "--scenarios", scenario, "--report-dir", str(folder / "reports"), *more,
        )  # fmt: skip
    result["found s"] = round(time.monotonic() - began)
    report = max((folder / "reports").glob("*/report.json"), default=None)
    failures = failures_of(json.loads(report.read_text())) if report else []
    result["failures"] = len(failures)
    if not failures:
        return result
    result["failed run"] = str(case_of(failures[0])).partition("; beside it")[0].removesuffix(", alone")
    script = folder / "bug.py"
    began = time.monotonic()
    said = _command(
        folder, "replay", str(report), "--failure", "1", "--minimise", "--script", str(script),
        "--model-repository", str(DEFECTS / name), "--time-limit", str(time_limit_s),
    )  # fmt: skip
    (folder / "replay.txt").write_text(said)
    result["s"] = round(time.monotonic() - began)
    if smallest := re.search(r"Smallest that fails: (.*) \((\d+) cases", said):
        result["smallest"], result["cases"] = smallest[1], int(smallest[2])
    if script.exists():
        result["lines"] = len(script.read_text().splitlines())
        with server.EmbeddedTriton(DEFECTS / name, grace_s=0) as triton:
            result["defective"] = _tried(script, triton)
        with server.EmbeddedTriton(models=model_names(DEFECTS / name), grace_s=0) as triton:
            result["healthy"] = _tried(script, triton)
    return result


def _command(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "triton_users", *arguments],
        cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    return done.stdout + done.stderr


def _tried(script: Path, triton: server.EmbeddedTriton) -> str:
    began = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", str(script), triton.grpc_url],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S,
    )  # fmt: skip
    return f"{done.returncode} after {time.monotonic() - began:.1f} s"
