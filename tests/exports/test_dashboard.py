"""The Grafana dashboard against a real Prometheus that scrapes a real run and the real Triton it loads."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.locust_process import Locust
from tests.transport.support import free_port
from triton_users.server import EmbeddedTriton

SCRIPT = Path(__file__).parents[2] / "docs" / "grafana_dashboard.py"
spec = importlib.util.spec_from_file_location("grafana_dashboard", SCRIPT)
grafana_dashboard = importlib.util.module_from_spec(spec)
spec.loader.exec_module(grafana_dashboard)

ONLY_WITH = {
    "triton_users_first_response_seconds": "streams of a decoupled model",
    "nv_gpu_memory_used_bytes": "a GPU",
    "nv_inference_request_failure": "requests that fail",
}
"""Series that this run has none of."""
LIMIT_S = 60.0


def test_the_dashboard_is_what_its_script_writes() -> None:
    assert json.loads(grafana_dashboard.FILE.read_text()) == grafana_dashboard.dashboard()


def ask(port: int, path: str, **query: str) -> Any:
    url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.loads(answer.read())["data"]


@contextmanager
def prometheus(folder: Path, *targets: str) -> Iterator[int]:
    """A Prometheus that scrapes these every second; its port."""
    port = free_port()
    config = folder / "prometheus.yml"
    scraped = json.dumps([{"targets": [each]} for each in targets])
    config.write_text(
        f"global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: all, static_configs: {scraped}}}]\n"
    )
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"],
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield port
    finally:
        process.terminate()
        process.wait(20)


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        try:
            if there():
                return
        except (OSError, urllib.error.URLError):
            pass
        time.sleep(0.2)
    pytest.fail("it did not come in time")


@pytest.mark.triton
@pytest.mark.prometheus
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="there is no prometheus on this machine")
def test_each_query_of_the_dashboard_has_an_answer(tmp_path: Path, triton: EmbeddedTriton) -> None:
    ours = free_port()
    locust = Locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "2", "-r", "2", "-t", "90s", "--scenarios",
                    "SequenceValid", "--prometheus-port", str(ours))  # fmt: skip
    try:
        with prometheus(tmp_path, f"127.0.0.1:{ours}", urllib.parse.urlsplit(triton.metrics_url).netloc) as port:

            def answers(expr: str) -> list[Any]:
                found = ask(port, "/api/v1/query", query=expr.replace("$__rate_interval", "20s"))
                assert isinstance(found["result"], list)
                return [one for one in found["result"] if one["value"][1] != "NaN"]

            until(lambda: bool(answers("rate(triton_users_requests_total[20s]) > 0")))
            until(lambda: bool(answers("rate(nv_inference_request_success[20s]) > 0")))
            queries = [expr for _, _, targets in grafana_dashboard.PANELS for expr, _ in targets]
            silent = [expr for expr in queries if not answers(expr)]
    finally:
        locust.signal(signal.SIGTERM)
        locust.ended()
    assert [expr for expr in silent if not any(name in expr for name in ONLY_WITH)] == []
