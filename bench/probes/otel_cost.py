"""What a unary RPC's spans cost its client, in a process of its own: `otel_cost.py MODE REQUESTS URL`.

MODE is `off`, or the part that is sampled, such as `0.01`. Prints CPU of a request in microseconds: the call's way
through the client and the `request` event, without a server, and with all that exporting costs in this process.
"""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace
from typing import Any

import gevent
import locust  # before all else: it patches the standard library
from locust.event import EventHook

from triton_users.client.rpc_events import RpcEvents
from triton_users.transport.method import metadata_fields

PATH = "/inference.GRPCInferenceService/ModelInfer"


def main() -> None:
    mode, requests, url = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    provider: Any = None
    tracing = None
    if mode != "off":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

        from triton_users.client.tracing import UserTracing
        from triton_users.exports.otel import BATCH

        provider = TracerProvider(sampler=ParentBasedTraceIdRatio(float(mode)), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url), max_export_batch_size=BATCH))
        tracing = UserTracing(provider.get_tracer("bench"))
    events = RpcEvents(EventHook(), tracing=tracing)
    events.scenario = "SequenceValid"
    response = object()

    def call(request: Any, timeout: Any = None, metadata: Any = None) -> None:
        now_s = time.perf_counter()
        metadata_fields(metadata)
        events.unary_done(PATH, request, response, None, now_s, now_s, now_s, 120, 90)

    made: Any = call if tracing is None else tracing.interceptor("127.0.0.1:8001", events)(PATH, call)
    request = SimpleNamespace(model_name="custom_sequence_int32", id="7")
    began_s = time.process_time()
    for number in range(requests):
        made(request)
        if not number % 100:
            gevent.sleep(0)  # as a user's wait for its answer lets the exporter run
    if provider is not None:
        provider.shutdown()
    print((time.process_time() - began_s) / requests * 1e6)


if __name__ == "__main__":
    assert locust
    main()
