"""What exports cost: a line of the request log in each format and its size, a scrape of Prometheus, spans."""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector as PrometheusCollector

from bench import table
from triton_users.exports.prometheus import metrics
from triton_users.exports.request_log import ENDINGS, RequestLog, file_for
from triton_users.ledger import Ledger

REQUESTS = 200_000
SPANS = 30_000
ROUNDS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requests", type=int, default=REQUESTS, help="lines of each log (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    results: dict[str, float] = {}
    for ending in ENDINGS:
        results |= _log(ending, options.requests)
    results["a scrape of 40 rows, ms"] = _scrape()
    results |= _spans()
    print(table.render(["exports", "cost"], [[name, value] for name, value in results.items()]), flush=True)
    return [results]


def _log(ending: str, requests: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        log = RequestLog(file_for(f"{folder}/log{ending}"))
        taken_s = cpu_s = 0.0
        for some in _requests(requests):
            began_s, start_s = time.process_time(), time.perf_counter()
            for each in some:
                log.taken(**each)
            taken_s += time.perf_counter() - start_s
            log._write_waiting()  # as the greenlet does, so that only `taken` is in the first figure
            cpu_s += time.process_time() - began_s
        log.close()
        size = log.path.stat().st_size
    return {
        f"{ending}: on the path of a request, us": taken_s / requests * 1e6,
        f"{ending}: CPU of a line in all, us": cpu_s / requests * 1e6,
        f"{ending}: a million requests, MB": size / requests,
    }


def _requests(number: int) -> Iterator[list[dict[str, Any]]]:
    """As a mix of sequences over streams and unary requests is told, 4,000 a second, by the thousand."""
    draw = random.Random(1)
    now_s, numbers = 1.7e9, iter(range(number))
    while some := list(islice(numbers, 1_000)):
        made = []
        for each in some:
            now_s += draw.expovariate(4_000.0)
            streams, latency_ms = draw.random() < 0.7, draw.lognormvariate(1.0, 1.0)
            kind = draw.choice(("custom", "custom_nobatch"))
            one: dict[str, Any] = {
                "response_time": latency_ms,
                "start_time": now_s,
                "scenario": draw.choice(("SequenceValid", "SequenceValidNoEnd")) if streams else "Timeout",
                "model": f"{kind}_sequence_{draw.choice(('int32', 'float32'))}"
                if streams
                else f"{kind}_zero_1_float32",
                "method": "ModelStreamInfer" if streams else "ModelInfer",
                "request_length": draw.choice((165, 172)) if streams else 4 * draw.randrange(16, 2_000),
                "response_length": draw.choice((92, 93)) if streams else 4 * draw.randrange(16, 2_000),
                "response": SimpleNamespace(id=str(each % 5_000) if streams else ""),
            }
            if streams:
                one["measures"] = {"first_response": (int(latency_ms * 1e3),), "responses": (1,)}
            made.append(one)
        yield made


def _spans() -> dict[str, float]:
    """CPU of a request beside what it takes without `--otel`; the least of several rounds that take turns."""
    modes = {"off": "off", "0": "on, none sampled", "0.01": "on, 1 % sampled", "1": "on, all sampled and exported"}
    found: dict[str, list[float]] = {mode: [] for mode in modes}
    with subprocess.Popen(
        [sys.executable, "-m", "bench.probes.otlp_sink"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sink:
        assert sink.stdout is not None
        url = f"http://127.0.0.1:{sink.stdout.readline().strip()}/v1/traces"
        for _ in range(ROUNDS):
            for mode in modes:
                command = [sys.executable, "-m", "bench.probes.otel_cost", mode, str(SPANS), url]
                ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
                found[mode].append(float(ended.stdout))
        sink.kill()
    off = min(found["off"])
    return {
        "otel off: a call's way through the client and its event, us": off,
        **{f"otel {what}: more than that, us": min(found[mode]) - off for mode, what in modes.items() if mode != "off"},
    }


def _scrape() -> float:
    ledger = Ledger()
    draw = random.Random(1)
    for number in range(40):
        row = ledger.row("scenario", f"model {number}")
        for _ in range(2_000):
            row.record(int(draw.lognormvariate(6.5, 1.0)), 12, 120, 90)
    report: dict[str, Any] = {
        "seed": 1, "started": "", "server": {}, "duration_s": 1.0, "state": "running", "verdict": {"reasons": []},
        "selfcheck": {"findings": []},
    }  # fmt: skip

    class Of(PrometheusCollector):
        def collect(self) -> Any:
            return metrics(ledger, report, {"users": 1})

    registry = CollectorRegistry()
    registry.register(Of())
    times = []
    for _ in range(10):
        start_s = time.perf_counter()
        generate_latest(registry)
        times.append(time.perf_counter() - start_s)
    return min(times) * 1e3
