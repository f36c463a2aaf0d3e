"""A run as Prometheus metrics: a pure function of its counts and its report. Serves nothing, keeps nothing.

Names and units follow Prometheus' conventions (base units, `_total` for counters; prometheus.io/docs/practices/naming).
Counters begin at 0 with each run and each reset of the statistics, which Prometheus' `rate` and `increase` allow for.
What they are is listed in docs/exports.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric

from triton_users.ledger import Histogram, Ledger
from triton_users.ledger.histogram import middle_us
from triton_users.ledger.measures import MEASURES

SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100)
"""Upper bounds of the buckets of a time. A value counts by the middle of its bucket of ours, within 0.8 %."""
NUMBERS = (0, 1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
"""Upper bounds of the buckets of a number of things."""

_ROW = ("scenario", "model")


def metrics(ledger: Ledger, report: Mapping[str, Any], gauges: Mapping[str, int]) -> Iterator[Metric]:
    """All metrics of a run.

    `ledger`: everybody's counts; `report`: the run's report as of now; `gauges`: what it has now ("users", ...).
    """
    yield from _of_the_run(report, gauges)
    yield from _of_scenarios(ledger)
    yield from _of_rows(ledger)
    yield from _times(ledger)


def _of_the_run(report: Mapping[str, Any], gauges: Mapping[str, int]) -> Iterator[Metric]:
    info = InfoMetricFamily("triton_users_run", "What runs.")
    server = report["server"]
    info.add_metric(
        (),
        {
            "seed": str(report["seed"]),
            "started": report["started"],
            "server": f"{server.get('name', '')} {server.get('version', '')}".strip(),
            "address": str(server.get("address", "")),
        },
    )
    yield info
    yield _gauge("run_seconds", "How long the run has gone on.", report["duration_s"])
    yield _gauge("running", "1 while the run goes on, 0 when it has ended.", int(report["state"] == "running"))
    passing = not report["verdict"]["reasons"]
    yield _gauge("passing", "1 while nothing has failed the run, else 0: the verdict so far.", int(passing))
    yield _gauge(
        "client_limited_seconds",
        "For how long the client, not the server, was the limit.",
        union_s((one["start_s"], one["end_s"]) for one in report["selfcheck"]["findings"]),
    )
    for name, value in sorted(gauges.items()):
        yield _gauge(name, f"How many {name.replace('_', ' ')} there are now, of all workers.", value)


def _of_scenarios(ledger: Ledger) -> Iterator[Metric]:
    runs = CounterMetricFamily("triton_users_runs", "Runs of a scenario, by outcome.", labels=("scenario", "outcome"))
    deadlines = CounterMetricFamily(
        "triton_users_deadlines", "Deadlines that fired, wanted or not.", labels=("scenario", "expected")
    )
    wrong = CounterMetricFamily(
        "triton_users_sequence_failures", "Responses that were not what a sequence's model says.", labels=("scenario",)
    )
    checked = CounterMetricFamily(
        "triton_users_answers_checked", "Answers that were compared with what is right.", labels=("scenario",)
    )
    for name, counts in sorted(ledger.scenarios.items()):
        outcomes = {"passed": counts.passed, "failed": counts.failed, "skipped": counts.skipped}
        for outcome, number in outcomes.items():
            runs.add_metric((name, outcome), number)
        deadlines.add_metric((name, "true"), counts.expected_deadlines)
        deadlines.add_metric((name, "false"), counts.unexpected_deadlines)
        wrong.add_metric((name,), counts.sequence_failures)
        checked.add_metric((name,), counts.answers_checked)
    yield from (runs, deadlines, wrong, checked)


def _of_rows(ledger: Ledger) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "triton_users_requests", "Requests that ended, by outcome.", labels=(*_ROW, "outcome")
    )
    sent = CounterMetricFamily("triton_users_sent_bytes", "Bytes of requests.", labels=_ROW)
    received = CounterMetricFamily("triton_users_received_bytes", "Bytes of responses.", labels=_ROW)
    for labels, row in sorted(ledger.rows.items()):
        requests.add_metric((*labels, "answered"), row.answered)
        requests.add_metric((*labels, "failed"), row.failed)
        sent.add_metric(labels, row.sent)
        received.add_metric(labels, row.received)
    yield from (requests, sent, received)


def _times(ledger: Ledger) -> Iterator[Metric]:
    rows = sorted(ledger.rows.items())
    yield _histogram(
        "request_duration_seconds", "Latency of answered requests.", ((of, row.latency) for of, row in rows)
    )
    yield _histogram(
        "queue_time_seconds", "How long requests waited in the client.", ((of, row.queue_time) for of, row in rows)
    )
    for name, measure in MEASURES.items():
        measured = ((of, row.measures[name]) for of, row in rows if name in row.measures)
        what = f"{measure.meaning[:1].upper()}{measure.meaning[1:]}."
        yield _histogram(f"{name}_seconds" if measure.is_time else name, what, measured, is_time=measure.is_time)


def _gauge(name: str, what: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"triton_users_{name}", what, value=value)


def _histogram(
    name: str, what: str, of: Iterable[tuple[tuple[str, str], Histogram]], *, is_time: bool = True
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"triton_users_{name}", what, labels=_ROW)
    scale = 1e6 if is_time else 1.0
    for labels, histogram in of:
        family.add_metric(
            labels, cumulated(histogram, SECONDS if is_time else NUMBERS, scale), sum_value=histogram.sum_us / scale
        )
    return family


def cumulated(histogram: Histogram, bounds: tuple[float, ...], scale: float) -> list[tuple[str, float]]:
    """(upper bound, how many values are not above it), ascending, the last bound being +Inf.

    `scale`: the histogram's values in one unit of the bounds.
    """
    counts = [0] * (len(bounds) + 1)
    for key, count in histogram:
        counts[bisect_left(bounds, middle_us(key) / scale)] += count
    found, together = [], 0
    for bound, count in zip((*map(str, bounds), "+Inf"), counts, strict=True):
        together += count
        found.append((bound, float(together)))
    return found


def union_s(spans: Iterable[tuple[float, float]]) -> float:
    """How long these spans last together; what several cover counts once."""
    covered_s = until_s = 0.0
    for from_s, to_s in sorted(spans):
        covered_s += max(0.0, to_s - max(from_s, until_s))
        until_s = max(until_s, to_s)
    return covered_s
