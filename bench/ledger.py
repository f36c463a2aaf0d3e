"""What counting costs: a request, a snapshot, a report; beside two histogram libraries where they are installed."""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]  # it ships no type information

from bench import table
from triton_users.ledger import Collector, Histogram, Recorder, Row
from triton_users.ledger.timeline import Timeline
from triton_users.report import RunInfo, build_report
from triton_users.report.folder import RENDERERS
from triton_users.settings import DEFAULT_WEIGHTS

#: Values recorded in each round, log-normal around 0.7 ms.
VALUES = 20_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=15, help="the best of these is shown (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    draw = random.Random(1)
    values = [int(draw.lognormvariate(6.5, 1.0)) for _ in range(VALUES)]
    results: dict[str, float] = {}
    row = Row()
    results["Row.record, all a request costs, us"] = _each(options, values, lambda v: row.record(v, 12, 120, 90))
    results["Histogram.record, us"] = _each(options, values, Histogram().record)
    for name, make in _libraries().items():
        record = make()
        if record is not None:
            results[f"{name}, one value, us"] = _each(options, values, record)
    results |= _twelve_hours(values)
    print(table.render(["counting", "cost"], [[name, value] for name, value in results.items()]), flush=True)
    return [results]


def _each(options: argparse.Namespace, values: Sequence[int], record: Callable[[int], object]) -> float:
    """Microseconds for one value, the loop included: the best round."""
    best = float("inf")
    for _ in range(options.rounds):
        start = time.perf_counter()
        for value in values:
            record(value)
        best = min(best, time.perf_counter() - start)
    return best / len(values) * 1e6


def _libraries() -> dict[str, Callable[[], Callable[[int], object] | None]]:
    def hdrhistogram() -> Callable[[int], object] | None:
        try:
            record: Callable[[int], object] = import_module("hdrh.histogram").HdrHistogram(1, 10**9, 2).record_value
        except ImportError:
            return None
        return record

    def ddsketch() -> Callable[[int], object] | None:
        try:
            record: Callable[[int], object] = import_module("ddsketch").DDSketch(0.01).add
        except ImportError:
            return None
        return record

    return {"hdrhistogram": hdrhistogram, "ddsketch": ddsketch}


def _twelve_hours(values: Sequence[int]) -> dict[str, float]:
    """One worker with every scenario on four models, and the history of 12 h."""
    recorder, collector, timeline = Recorder("w", "run"), Collector("run"), Timeline()
    rows = [recorder.row(name, f"model_{number}") for name in DEFAULT_WEIGHTS for number in range(4)]
    for now in range(0, 12 * 3600, 30):
        for number, row in enumerate(rows):
            for value in values[now % 97 + number : now % 97 + number + 5]:
                row.record(value, value % 50, 120, 90)
        for name in DEFAULT_WEIGHTS:
            recorder.run_finished(name, "passed", 5, 9_000)
        change = collector.merge(recorder.snapshot(float(now)), float(now))
        if change is not None:
            timeline.add(change)
    for row in rows:
        for value in values:
            row.record(value, value % 50, 120, 90)

    took: dict[str, float] = {}

    def timed(name: str, action: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = action()
        took[f"{name}, ms"] = (time.perf_counter() - start) * 1e3
        return result

    snapshot = timed("snapshot of 36 rows", lambda: recorder.snapshot(43_200.0))
    took["snapshot, KiB"] = len(msgpack.packb(snapshot)) / 1024
    change = timed("merge of that snapshot", lambda: collector.merge(snapshot, 43_200.0))
    timed("time line", lambda: timeline.add(change))
    info = RunInfo(started=datetime.now(timezone.utc), seed=1, settings={}, weights=DEFAULT_WEIGHTS)
    build = lambda: build_report(info, collector, timeline, now_s=43_200.0, state="running")  # noqa: E731 - used twice
    timed("first report of 12 h", build)
    report = timed("next report", build)
    for name, render in RENDERERS.items():
        text = timed(name, lambda render=render: render(report))  # type: ignore[misc]  # mypy takes no default here
        took[f"{name}, KiB"] = len(text.encode()) / 1024
    json.dumps(report, allow_nan=False)
    return took
