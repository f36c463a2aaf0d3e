"""Ten minutes each of a model that leaks 64 KiB a request, one that leaks 1 MiB in 100, and one that slows down."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.clients import ROOT
from bench.procs import BenchError, running, tail
from triton_users.judge.trends import TrendLimits, trends
from triton_users.server import EmbeddedTriton
from triton_users.witness.processes import ProcessTree
from triton_users.witness.series import Samples

MODEL = "custom_nobatch_zero_1_float32"
#: Defect -> options of its load. An open loop bounds what a leak may take: 750 and 600 MiB in ten minutes.
LOADS = {
    "keeps_64_kib": ["--rate", "20", "-u", "8"],
    "keeps_a_mib_in_100": ["--rate", "100", "-u", "8"],
    "slows_down": ["-u", "1"],
}
#: Seconds a run may take beyond its run time.
END_LIMIT_S = 120.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, help="run time of each (default %(default)s)")
    parser.add_argument("--defects", default=",".join(LOADS), help="(default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    return [_one(defect, 60 * options.minutes) for defect in options.defects.split(",")]


def _one(defect: str, seconds: float) -> dict[str, Any]:
    samples = Samples()
    with (
        tempfile.TemporaryDirectory(prefix="bench-planted-") as name,
        EmbeddedTriton(ROOT / "tests" / "defective_models" / defect) as triton,
    ):
        tree, log = ProcessTree(triton.pid), Path(name) / "log"
        command = [
            *[sys.executable, "-m", "triton_users", "--headless", "-H", f"grpc://{triton.grpc_url}"],
            *["-t", f"{round(seconds)}s", "-r", "8", "--report-dir", name, *LOADS[defect]],
            *["--models", MODEL, "--shape", f"{MODEL}:INPUT0=16"],
        ]
        with running(command, log, cwd=ROOT) as child:
            begun_s = time.monotonic()
            while child.poll() is None:
                now_s = time.monotonic() - begun_s
                if now_s > seconds + END_LIMIT_S:
                    raise BenchError(f"the run did not end:\n{tail(log)}")
                if now_s < seconds:
                    samples.add(now_s, tree.read(now_s))
                time.sleep(1)
        reports = list(Path(name).glob("*/report.json"))
        if not reports:
            raise BenchError(f"there is no report:\n{tail(log)}")
        report = json.loads(reports[0].read_text())
    leaks = [str(each) for each in trends(TrendLimits(), samples, [], []).leaks]
    drift = [each["text"] for each in report["trends"]["drift"]]
    print(f"\n{defect}, {report['totals']['rpcs']:,} requests\n  " + "\n  ".join([*leaks, *drift]), flush=True)
    return {"defect": defect, "memory": leaks, "drift": drift}
