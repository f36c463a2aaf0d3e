"""What it costs to ask a server what it does, all through a run: CPU of both sides, and the pace."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.procs import cpu_seconds
from triton_users.run.sampling import EVERY_S, SHARE, Sampler
from triton_users.server import EmbeddedTriton
from triton_users.settings import ConnectionSettings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--samples", type=int, default=100, help="questions of each kind (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    with EmbeddedTriton() as triton:
        host, urls = f"grpc://{triton.grpc_url}", [triton.metrics_url]
        kinds = {
            "ModelStatistics": Sampler(host, ConnectionSettings()),
            "with metrics": Sampler(host, ConnectionSettings(), metrics_urls=urls),
            "with metrics and processes": Sampler(host, ConnectionSettings(), metrics_urls=urls, pid=triton.pid),
        }
        results = []
        for name, sampler in kinds.items():
            sampler.start()
            try:
                results.append({"what": name, **_measured(sampler.settle, options.samples, triton.pid)})
            finally:
                sampler.stop()
    print("\nOne question to the embedded Triton with all its models, and how often it is asked")
    for each in results:
        pace_s = max(EVERY_S, each["client_ms"] / 1e3 / SHARE)
        print(
            f"{each['what']:<28} client {each['client_ms']:6.2f} ms CPU   server {each['server_ms']:6.2f} ms CPU   "
            f"every {pace_s:4.1f} s, so {each['client_ms'] / pace_s / 10:.3f} and "
            f"{each['server_ms'] / pace_s / 10:.3f} % of a core"
        )
    return results


def _measured(ask: Callable[[], None], times: int, pid: int) -> dict[str, float]:
    ask()
    ours, theirs = time.process_time(), cpu_seconds(pid)
    for _ in range(times):
        ask()
    return {
        "client_ms": (time.process_time() - ours) / times * 1e3,
        "server_ms": (cpu_seconds(pid) - theirs) / times * 1e3,
    }
