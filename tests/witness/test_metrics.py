"""What a server's /metrics say, and addresses that say nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from triton_users import server
from triton_users.witness import metrics
from triton_users.witness.metrics import MetricsError, fetch, parse, place
from triton_users.witness.series import Key

TEXT = """\
# HELP nv_inference_request_success Number of successful inference requests, all batch sizes
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="resnet",version="1"} 5
nv_inference_request_success{model="resnet",version="2"} 7
# TYPE nv_inference_request_failure counter
nv_inference_request_failure{model="resnet",reason="CANCELED",version="1"} 3
nv_inference_request_failure{model="resnet",reason="BACKEND",version="1"} 0
# TYPE nv_inference_pending_request_count gauge
nv_inference_pending_request_count{model="resnet",version="1"} 4
# TYPE nv_gpu_utilization gauge
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.75
# TYPE nv_gpu_memory_used_bytes gauge
nv_gpu_memory_used_bytes{gpu_uuid="GPU-1"} 1048576
# TYPE nv_gpu_power_usage gauge
nv_gpu_power_usage{gpu_uuid="GPU-1"} 215.5
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 2.097152e+06
# TYPE nobody_needs gauge
nobody_needs 1
"""


def test_what_is_known_here_is_read_and_the_versions_of_a_model_are_one() -> None:
    found = parse(TEXT)

    assert found.success == {"resnet": 12}
    assert found.failures == {("resnet", "CANCELED"): 3, ("resnet", "BACKEND"): 0}
    assert found.gauges == {
        Key("pending", "", "resnet"): 4.0,
        Key("gpu_utilization", "%", "GPU-1"): 75.0,
        Key("gpu_memory", "MiB", "GPU-1"): 1.0,
        Key("gpu_power", "W", "GPU-1"): 215.5,
        Key("cpu", "s"): 12.5,
        Key("memory", "MiB"): 2.0,
    }


@pytest.mark.parametrize(
    "text", ["", "<html>no metrics here</html>", "nobody_needs 1\n", 'nv_gpu_utilization{gpu_uuid="GPU-1} what\n']
)
def test_what_is_no_such_text_is_said_to_be_none(text: str) -> None:
    with pytest.raises(MetricsError, match="its text"):
        parse(text)


@contextmanager
def serving(body: bytes, *, wait: threading.Event | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if wait is not None:
                wait.wait(20)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # the other side hung up, as it should

    with Quiet(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{web.server_address[1]}/metrics"
        finally:
            if wait is not None:
                wait.set()
            web.shutdown()


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with (
        serving(b"", wait=threading.Event()) as url,
        pytest.raises(MetricsError, match=r"nothing came within|timed out"),
    ):
        fetch(url, 0.2)


def test_a_text_without_an_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_BYTES", 1000)
    with serving(b"x" * 5000) as url, pytest.raises(MetricsError, match="longer than"):
        fetch(url, 5.0)


def test_a_port_that_nobody_listens_on_is_told_with_its_reason() -> None:
    with serving(b"") as url:
        pass
    with pytest.raises(MetricsError, match="refused"):
        fetch(url, 5.0)


def test_servers_are_told_apart_by_host_and_port() -> None:
    assert place("http://triton-1.example:8002/metrics") == "triton-1.example:8002"


@pytest.mark.triton
def test_the_real_triton_says_what_its_models_count(triton: server.EmbeddedTriton) -> None:
    found = parse(fetch(triton.metrics_url, 10.0))

    assert "custom_sequence_int32" in found.success
    assert ("custom_sequence_int32", "CANCELED") in found.failures
    assert Key("pending", "", "custom_sequence_int32") in found.gauges
