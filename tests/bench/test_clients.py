"""What is read from the peers' output; the samples are real output of perf_analyzer 2.51 and h2load 1.52."""

from __future__ import annotations

import json
from pathlib import Path

from bench.clients import LocustClient, parse_h2load, parse_perf_analyzer

REPORT = (
    "Concurrency,Inferences/Second,Client Send,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency\n"
    "8,9500.31,2,0,650,1375,1975,4308"
)
LOG = """*** Measurement Settings ***
  Batch size: 1
Request concurrency: 8
  Client:
    Request count: 109744
    Throughput: 9500.31 infer/sec
"""
SUMMARY = "requests: 100 total, 100 started, 100 done, {} succeeded, {} failed, 0 errored, 0 timeout\n"


def test_latencies_come_from_the_report_of_perf_analyzer() -> None:
    said = parse_perf_analyzer(REPORT, LOG)
    assert (said.p50_us, said.p90_us, said.p99_us, said.errors) == (650, 1375, 4308, 0)


def test_a_complaint_of_perf_analyzer_is_an_error() -> None:
    said = parse_perf_analyzer(REPORT, LOG + "[WARNING] Perf Analyzer is not able to keep up\n")
    assert said.errors == 1
    assert "not able to keep up" in said.complaint


def test_a_report_without_a_measurement_is_an_error() -> None:
    assert parse_perf_analyzer(REPORT.splitlines()[0], LOG).errors == 1


def test_a_clean_run_of_h2load_has_no_errors() -> None:
    said = parse_h2load(0, SUMMARY.format(100, 0))
    assert (said.errors, said.complaint) == (0, "")


def test_failed_requests_of_h2load_are_errors() -> None:
    assert parse_h2load(0, SUMMARY.format(97, 3)).errors > 0


def test_h2load_without_a_summary_is_an_error() -> None:
    assert parse_h2load(1, "could not connect").errors == 1


def test_a_locust_run_that_wrote_nothing_is_an_error(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("Traceback\nImportError: no such module\n")
    said = LocustClient("ours", "ours.py", 1, {}).said(1, log, tmp_path)
    assert said.errors == 1
    assert "no such module" in said.complaint


def test_a_locust_run_that_exits_badly_is_an_error(tmp_path: Path) -> None:
    content = {"requests": 5, "unanswered": 0, "errors": 0, "failures": [], "p50_us": 1.0, "p90_us": 2.0, "p99_us": 3.0}
    (tmp_path / "locust.json").write_text(json.dumps(content))
    client = LocustClient("ours", "ours.py", 1, {})
    assert client.said(0, tmp_path / "log", tmp_path).errors == 0
    assert client.said(1, tmp_path / "log", tmp_path).errors == 1
