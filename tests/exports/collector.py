"""An OpenTelemetry collector of the tests: takes OTLP over HTTP and keeps what it was sent."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Span:
    """A span as it came."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: dict[str, int]
    links: list[str]
    """Span ids."""
    error: str | None
    """The status' message; None where it is no error."""
    instance: str
    """The process that it is of."""
    service: str


@dataclass
class Collector:
    """What came. `silent`: takes connections and requests, and never answers."""

    spans: list[Span] = field(default_factory=list)
    metrics: set[str] = field(default_factory=set)
    logs: list[str] = field(default_factory=list)
    requests: int = 0
    port: int = 0

    def environment(self) -> dict[str, str]:
        """What has a locust command export here, at once."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.port}", "OTEL_BSP_SCHEDULE_DELAY": "200"}

    def requests_of_users(self) -> list[Span]:
        """The spans that stand for a request: all but those of whole streams."""
        return [span for span in self.spans if "triton_users.outcome" in span.attributes]

    def take(self, path: str, body: bytes) -> None:
        self.requests += 1
        if path == "/v1/traces":
            self.spans += spans_in(body)
        elif path == "/v1/metrics":
            asked = ExportMetricsServiceRequest.FromString(body)
            self.metrics |= {
                metric.name for of in asked.resource_metrics for each in of.scope_metrics for metric in each.metrics
            }
        elif path == "/v1/logs":
            said = ExportLogsServiceRequest.FromString(body)
            self.logs += [
                line.body.string_value for of in said.resource_logs for each in of.scope_logs
                for line in each.log_records
            ]  # fmt: skip


def value(of: Any) -> Any:
    return getattr(of, of.WhichOneof("value"))


def as_protobuf(body: bytes) -> bytes:
    """OTLP in JSON, as Triton sends it, with its ids in hex (https://opentelemetry.io/docs/specs/otlp)."""

    def encode(each: dict[str, Any]) -> dict[str, Any]:
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in each:
                each[name] = base64.b64encode(bytes.fromhex(each[name])).decode()
        return each

    asked = json_format.ParseDict(json.loads(body, object_hook=encode), ExportTraceServiceRequest())
    return asked.SerializeToString()


def spans_in(body: bytes) -> list[Span]:
    found = []
    for of in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = {each.key: value(each.value) for each in of.resource.attributes}
        for scope in of.scope_spans:
            for span in scope.spans:
                found.append(
                    Span(
                        name=span.name,
                        kind=span.kind,
                        trace_id=span.trace_id.hex(),
                        span_id=span.span_id.hex(),
                        parent_id=span.parent_span_id.hex(),
                        start_ns=span.start_time_unix_nano,
                        end_ns=span.end_time_unix_nano,
                        attributes={each.key: value(each.value) for each in span.attributes},
                        events={each.name: each.time_unix_nano for each in span.events},
                        links=[link.span_id.hex() for link in span.links],
                        error=span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None,
                        instance=str(resource.get("service.instance.id", "")),
                        service=str(resource.get("service.name", "")),
                    )
                )
    return found


@contextmanager
def collector(*, status: int = 200, silent: bool = False) -> Iterator[Collector]:
    """One that listens on loopback."""
    kept, ended = Collector(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if silent:
                kept.requests += 1
                ended.wait()
                return
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.headers["Content-Type"] == "application/json":
                body = as_protobuf(body)
            if status == 200:
                kept.take(self.path, body)
            else:
                kept.requests += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        ended.set()
        server.shutdown()
        thread.join()
        server.server_close()
