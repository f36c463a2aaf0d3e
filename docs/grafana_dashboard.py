"""Writes docs/grafana-dashboard.json: client and server side by side. `python docs/grafana_dashboard.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("grafana-dashboard.json")
RATE = "[$__rate_interval]"


def quantile(q: float, metric: str) -> str:
    return f"histogram_quantile({q}, sum by (le, model) (rate({metric}_bucket{RATE})))"


def share(of: str) -> str:
    """A server's microseconds of one kind a request, in seconds."""
    counted = f"rate(nv_inference_request_success{RATE})"
    return f"sum by (model) (rate(nv_inference_{of}_duration_us{RATE})) / sum by (model) ({counted}) / 1e6"


#: (title, unit of Grafana, [(PromQL, legend), ...]): the client's on the left, the server's on the right.
PANELS: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("Verdict so far", "bool", [("triton_users_passing", "passing")]),
    ("Users", "short", [("triton_users_users", "users"), ("triton_users_open_sequences", "open sequences")]),
    (
        "Client: requests a second",
        "reqps",
        [(f"sum by (model, outcome) (rate(triton_users_requests_total{RATE}))", "{{model}} {{outcome}}")],
    ),
    (
        "Server: requests a second",
        "reqps",
        [
            (f"sum by (model) (rate(nv_inference_request_success{RATE}))", "{{model}} success"),
            (f"sum by (model, reason) (rate(nv_inference_request_failure{RATE}))", "{{model}} {{reason}}"),
        ],
    ),
    (
        "Client: latency",
        "s",
        [
            (quantile(0.5, "triton_users_request_duration_seconds"), "{{model}} p50"),
            (quantile(0.99, "triton_users_request_duration_seconds"), "{{model}} p99"),
        ],
    ),
    (
        "Server: mean time a request",
        "s",
        [
            (share("request"), "{{model}} whole"),
            (share("queue"), "{{model}} queue"),
            (share("compute_infer"), "{{model}} compute"),
        ],
    ),
    (
        "Client: first response of streams",
        "s",
        [(quantile(0.99, "triton_users_first_response_seconds"), "{{model}} p99")],
    ),
    ("Server: pending requests", "short", [("nv_inference_pending_request_count", "{{model}}")]),
    (
        "Client: runs of scenarios a minute",
        "short",
        [(f"60 * sum by (scenario, outcome) (rate(triton_users_runs_total{RATE}))", "{{scenario}} {{outcome}}")],
    ),
    (
        "Server: mean batch",
        "short",
        [
            (
                f"sum by (model) (rate(nv_inference_count{RATE})) / "
                f"sum by (model) (rate(nv_inference_exec_count{RATE}))",
                "{{model}}",
            )
        ],
    ),
    (
        "Client: queue time, and how long it was the limit",
        "s",
        [
            (quantile(0.99, "triton_users_queue_time_seconds"), "{{model}} queue time p99"),
            ("triton_users_client_limited_seconds", "client-limited"),
        ],
    ),
    (
        "Server: memory",
        "bytes",
        [("nv_cpu_memory_used_bytes", "CPU"), ("nv_gpu_memory_used_bytes", "GPU {{gpu_uuid}}")],
    ),
]


def dashboard() -> dict[str, Any]:
    """The whole of it, as Grafana 9 and later import it."""
    source = {"type": "prometheus", "uid": "${prometheus}"}
    return {
        "title": "Triton under load: client and server",
        "uid": "triton-users",
        "schemaVersion": 38,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [{"name": "prometheus", "type": "datasource", "query": "prometheus"}]},
        "panels": [
            {
                "id": number + 1,
                "type": "timeseries",
                "title": title,
                "datasource": source,
                "gridPos": {"x": 12 * (number % 2), "y": 8 * (number // 2), "w": 12, "h": 8},
                "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
                "targets": [
                    {"refId": chr(ord("A") + i), "datasource": source, "expr": expr, "legendFormat": legend}
                    for i, (expr, legend) in enumerate(targets)
                ],
            }
            for number, (title, unit, targets) in enumerate(PANELS)
        ],
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n")
