"""Whether GPU utilisation, memory and power come from the embedded Triton's metrics and stand in a run's report."""

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
from triton_users.server import EmbeddedTriton, support
from triton_users.witness import metrics

MODEL = "custom_nobatch_zero_1_float32"
#: Seconds of the run whose report is read.
RUN_S = 20
#: Seconds the server may take to have its first values; it collects them every two.
FIRST_VALUES_S = 10.0
#: Seconds a run may take beyond its run time.
END_LIMIT_S = 120.0
LIMIT_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(_options: argparse.Namespace) -> list[dict[str, Any]]:
    begun_s = time.monotonic()
    with EmbeddedTriton(models=[MODEL]) as triton:
        ready_s = time.monotonic() - begun_s
        time.sleep(FIRST_VALUES_S)
        lines = [each for each in metrics.fetch(triton.metrics_url, LIMIT_S).splitlines() if each.startswith("nv_gpu")]
        log = [each for each in triton.log_path.read_text().splitlines() if "DCGM" in each or "metrics.cc" in each]
    series = _of_a_run()
    said = ["GPUs found" if support.has_gpus() else "no GPU found", f"ready after {ready_s:.1f} s"]
    print(
        "\n".join([", ".join(said), "", "/metrics:", *lines, "", "the server's log:", *log, "", "the report's series:"])
    )
    for each in series:
        print(f"  {each['name']} of {each['of']}: {each['values'][-3:]} {each['unit']}")
    return [{"gpus": support.has_gpus(), "ready_s": ready_s, "metrics": lines, "log": log, "series": series}]


def _of_a_run() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="bench-gpu-") as name:
        log = Path(name) / "log"
        command = [
            *[sys.executable, "-m", "triton_users", "--headless", "-t", f"{RUN_S}s", "-u", "1"],
            *["--models", MODEL, "--shape", f"{MODEL}:INPUT0=16", "--report-dir", name],
        ]
        with running(command, log, cwd=ROOT) as child:
            child.wait(RUN_S + END_LIMIT_S)
        reports = list(Path(name).glob("*/report.json"))
        if not reports:
            raise BenchError(f"there is no report:\n{tail(log)}")
        found = json.loads(reports[0].read_text())["server_side"]["series"]["series"]
    return [each for each in found if each["name"].startswith("gpu_")]
