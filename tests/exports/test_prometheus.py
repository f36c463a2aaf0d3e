"""A run's metrics, read back with Prometheus' own parser."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from tests.report.conftest import make_report
from tests.transport.support import free_port
from triton_users.declaration import UsageError
from triton_users.exports.options import ExportSettings
from triton_users.exports.prometheus import NUMBERS, SECONDS, cumulated, metrics, union_s
from triton_users.exports.serving import PrometheusServer
from triton_users.ledger import Histogram, Ledger

BERT = {"scenario": "bert", "model": "bert"}


class Run:
    """A run that has counted something."""

    def __init__(self) -> None:
        self.total = Ledger()
        self._report = make_report(state="running")
        row = self.total.row("bert", "bert")
        for latency_us in (900, 1_100, 40_000):
            row.record(latency_us, 20, 100, 300)
        row.record_error("no", 100, 0)
        row.measure({"first_response": [700], "responses": [3]})
        counts = self.total.scenario("bert")
        counts.passed, counts.failed, counts.answers_checked = 3, 1, 3
        counts.skips["busy"] = 2

    def report(self) -> dict[str, Any]:
        return self._report

    def gauges(self) -> dict[str, int]:
        return {"users": 4}


def scraped(run: Run) -> dict[str, Metric]:
    """Name -> family, as Prometheus reads them."""

    class OfRun(Collector):
        def collect(self) -> Iterator[Metric]:
            return metrics(run.total, run.report(), run.gauges())

    registry = CollectorRegistry()
    registry.register(OfRun())
    return {family.name: family for family in text_string_to_metric_families(generate_latest(registry).decode())}


def value(families: dict[str, Metric], sample: str, **labels: str) -> float:
    (found,) = [
        each.value
        for family in families.values()
        for each in family.samples
        if each.name == sample and each.labels == labels
    ]
    return found


def test_requests_and_runs_are_counted_by_outcome() -> None:
    families = scraped(Run())
    assert value(families, "triton_users_requests_total", **BERT, outcome="answered") == 3
    assert value(families, "triton_users_requests_total", **BERT, outcome="failed") == 1
    outcomes = {name: value(families, "triton_users_runs_total", scenario="bert", outcome=name) for name in
                ("passed", "failed", "skipped")}  # fmt: skip
    assert outcomes == {"passed": 3, "failed": 1, "skipped": 2}
    assert value(families, "triton_users_sent_bytes_total", **BERT) == 400


def test_a_latency_is_a_histogram_of_seconds() -> None:
    families = scraped(Run())
    latency = "triton_users_request_duration_seconds"
    assert value(families, f"{latency}_count", **BERT) == 3
    assert value(families, f"{latency}_sum", **BERT) == pytest.approx(0.042)
    assert [value(families, f"{latency}_bucket", **BERT, le=le) for le in ("0.0005", "0.001", "0.0025", "+Inf")] == [
        0, 1, 2, 3,
    ]  # fmt: skip


def test_a_measure_of_numbers_has_no_unit_and_one_that_was_not_taken_has_no_series() -> None:
    families = scraped(Run())
    assert value(families, "triton_users_responses_bucket", **BERT, le="2") == 0
    assert value(families, "triton_users_responses_bucket", **BERT, le="5") == 1
    assert value(families, "triton_users_first_response_seconds_count", **BERT) == 1
    assert families["triton_users_issue_delay_seconds"].samples == []


def test_the_verdict_so_far_and_what_runs_now() -> None:
    run = Run()
    families = scraped(run)
    assert value(families, "triton_users_passing") == int(not run.report()["verdict"]["reasons"]) == 0
    assert value(families, "triton_users_running") == 1
    assert value(families, "triton_users_users") == 4
    (info,) = families["triton_users_run_info"].samples
    assert (info.labels["server"], info.labels["seed"]) == ("triton 2.51.0", "7")


def test_names_that_a_server_chose_cannot_break_the_exposition() -> None:
    run = Run()
    run.total.row('a"b\n}', "\\").record(1, 1, 1, 1)
    assert value(scraped(run), "triton_users_requests_total", scenario='a"b\n}', model="\\", outcome="answered") == 1


@given(st.lists(st.integers(0, 10**9), max_size=50))
def test_buckets_hold_what_is_not_above_their_bound_within_the_histogram_s_precision(values_us: list[int]) -> None:
    histogram = Histogram()
    for each in values_us:
        histogram.record(each)
    found = cumulated(histogram, SECONDS, 1e6)
    assert found[-1] == ("+Inf", len(values_us))
    assert [count for _, count in found] == sorted(count for _, count in found)
    for bound, count in zip(SECONDS, (count for _, count in found), strict=False):
        least = sum(each / 1e6 <= bound * (1 - 1 / 64) for each in values_us)
        most = sum(each / 1e6 <= bound * (1 + 1 / 64) for each in values_us)
        assert least <= count <= most


def test_a_number_counts_in_the_bucket_of_its_bound() -> None:
    histogram = Histogram()
    histogram.record(1)
    assert cumulated(histogram, NUMBERS, 1.0)[:2] == [("0", 0), ("1", 1)]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=8))
def test_times_that_overlap_count_once(spans: list[tuple[int, int]]) -> None:
    covered = {second for start, length in spans for second in range(start, start + length)}
    assert union_s((start, start + length) for start, length in spans) == len(covered)


def test_a_scrape_over_http_before_and_during_a_run() -> None:
    runs: list[Run] = []
    server = PrometheusServer(ExportSettings(prometheus_port=free_port()), lambda: runs[-1] if runs else None)
    try:
        url = f"http://127.0.0.1:{server.port}/metrics"
        assert urllib.request.urlopen(url, timeout=10).read() == b""
        runs.append(Run())
        assert b"triton_users_requests_total" in urllib.request.urlopen(url, timeout=10).read()
    finally:
        server.stop()
        server.stop()


def test_a_port_that_is_taken_is_a_clear_error() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"127\.0\.0\.1:{port} cannot be listened on: .*give another"):
            PrometheusServer(ExportSettings(prometheus_port=port), lambda: None)
