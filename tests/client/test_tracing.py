"""What span stands for each RPC and each request of a stream, and what of it the server is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from locust.event import EventHook
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBasedTraceIdRatio, Sampler
from opentelemetry.trace import SpanKind, StatusCode
from tritonclient.grpc import InferInput, service_pb2
from tritonclient.utils import InferenceServerException

from triton_users.client.client import TritonClient
from triton_users.client.encoded import EncodedRequest, EncodedStream
from triton_users.client.rpc_events import RpcEvents
from triton_users.client.tracing import SCHEMA, UserTracing

ROOT = Path(__file__).parents[2]
LIMIT_S = 20.0

UNARY = "inference.GRPCInferenceService/ModelInfer"
STREAM = "inference.GRPCInferenceService/ModelStreamInfer"


class Server:
    """`metadata_server` under way."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.client.metadata_server"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip
        self.url = f"127.0.0.1:{self._said().strip()}"

    def heard(self) -> dict[str, str]:
        """The metadata of the next RPC."""
        found: dict[str, str] = json.loads(self._said())
        return found

    def _said(self) -> str:
        assert self._process.stdout is not None
        with gevent.Timeout(LIMIT_S):
            return self._process.stdout.readline()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.kill()
        self._process.wait(LIMIT_S)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.close()


class Traced:
    """A client with spans, and what became of them."""

    def __init__(self, url: str, sampler: Sampler = ALWAYS_ON) -> None:
        self.exported = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exported))
        self.tracer = provider.get_tracer("test", schema_url=SCHEMA)
        self.tracing = UserTracing(self.tracer)
        hook, unanswered = EventHook(), EventHook()
        self.events: list[dict[str, Any]] = []
        self.unanswered: list[dict[str, Any]] = []
        hook.add_listener(lambda **event: self.events.append(event))
        unanswered.add_listener(lambda **event: self.unanswered.append(event))
        self.rpc_events = RpcEvents(hook, unanswered=unanswered, tracing=self.tracing)
        self.client = TritonClient(url, rpc_events=self.rpc_events)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self.exported.get_finished_spans())

    @property
    def of_requests(self) -> list[ReadableSpan]:
        return [span for span in self.spans if "triton_users.outcome" in (span.attributes or {})]

    def infer(self, request_id: str = "") -> Any:
        return self.client.infer("m", [InferInput("IN", [0], "FP32")], request_id=request_id)

    def stream(self, *ids: str) -> None:
        """These requests over a stream, to the last answer."""
        stream = EncodedStream(self.client.channel)
        for each in ids:
            encoded = service_pb2.ModelInferRequest(model_name="m", id=each).SerializeToString()
            stream.send(EncodedRequest("m", each, encoded))
        waiting = len(ids)
        while waiting:
            waiting -= stream.receive(5)[1].over
        stream.close()
        gevent.sleep(0.05)  # the observer is told of the end in a greenlet of its own


@contextmanager
def traced(server: Server, sampler: Sampler = ALWAYS_ON) -> Iterator[Traced]:
    made = Traced(server.url, sampler)
    try:
        yield made
    finally:
        made.client.close()


def header_of(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def test_a_unary_rpc_is_a_client_span_after_the_conventions_and_the_server_is_told_which(
    server: Server,
) -> None:
    with traced(server) as ours:
        ours.rpc_events.scenario = "Mine"
        ours.infer("r7")
        (span,) = ours.spans
    assert (span.name, span.kind, span.status.status_code) == (UNARY, SpanKind.CLIENT, StatusCode.UNSET)
    host, port = server.url.split(":")
    assert span.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": UNARY,
        "rpc.response.status_code": "OK",
        "server.address": host,
        "server.port": int(port),
        "triton.model_name": "m",
        "triton.request_id": "r7",
        "triton_users.scenario": "Mine",
        "triton_users.outcome": "answered",
    }
    assert server.heard()["traceparent"] == header_of(span)
    assert span.end_time is not None
    assert span.start_time is not None
    latency_ms = (span.end_time - span.start_time) / 1e6
    assert latency_ms >= ours.events[0]["response_time"] - 1


def test_an_error_is_the_span_s_with_the_status(server: Server) -> None:
    with traced(server) as ours:
        with pytest.raises(InferenceServerException):
            ours.infer("bad")
        (span,) = ours.spans
    assert span.attributes["rpc.response.status_code"] == span.attributes["error.type"] == "INVALID_ARGUMENT"
    assert span.attributes["triton_users.outcome"] == "failed"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "no such thing")


def test_an_error_that_was_wanted_is_none_of_the_span_s(server: Server) -> None:
    with traced(server) as ours:
        with ours.client.expect_error(lambda _: True), pytest.raises(InferenceServerException):
            ours.infer("bad")
        (span,) = ours.spans
    assert span.attributes["triton_users.outcome"] == "expected"
    assert span.attributes["rpc.response.status_code"] == "INVALID_ARGUMENT"
    assert span.status.status_code is StatusCode.UNSET


def test_each_request_of_a_stream_has_a_span_linked_to_the_stream_s_whose_parent_the_server_gets(
    server: Server,
) -> None:
    with traced(server) as ours:
        ours.stream("1", "2")
        (stream,) = [span for span in ours.spans if span.name == STREAM]
        requests = ours.of_requests
    assert [dict(span.attributes)["triton.request_id"] for span in requests] == ["1", "2"]
    assert server.heard()["traceparent"] == header_of(stream)
    for span in requests:
        assert span.name == f"{STREAM} request"
        assert span.parent is None
        assert [link.context.span_id for link in span.links] == [stream.get_span_context().span_id]
        assert span.attributes["triton_users.responses"] == 3
        (first,) = span.events
        assert first.name == "first response"
        assert span.start_time <= first.timestamp <= span.end_time
    assert stream.attributes["rpc.method"] == STREAM


def test_an_error_in_a_stream_has_no_status_of_grpc(server: Server) -> None:
    with traced(server) as ours:
        ours.stream("bad")
        (span,) = ours.of_requests
    assert (span.attributes["error.type"], span.status.description) == ("_OTHER", "no such step")
    assert "rpc.response.status_code" not in span.attributes


def test_there_are_as_many_spans_of_requests_as_events(server: Server) -> None:
    with traced(server) as ours:
        for number in range(5):
            ours.infer(str(number))
        ours.client.is_server_live()
        ours.stream("1", "bad", "3")
        assert len(ours.of_requests) == len(ours.events) == 9
        assert not ours.tracing._unary


def test_what_a_scenario_asks_beside_its_requests_has_neither_event_nor_span(server: Server) -> None:
    with traced(server) as ours:
        ours.rpc_events.scenario = "Mine"
        ours.client.get_inference_statistics("m")
        assert ours.events == ours.spans == []
    assert "traceparent" not in server.heard()


def test_a_request_that_its_stopped_user_gave_up_is_unanswered(server: Server) -> None:
    with traced(server) as ours:
        user = gevent.spawn(ours.infer, "slow")
        gevent.sleep(0.3)
        user.kill()
        (span,) = ours.spans
        assert span.attributes["triton_users.outcome"] == "unanswered"
        assert span.status.status_code is StatusCode.UNSET
        assert len(ours.unanswered) == 1


def test_several_at_once_each_have_their_own(server: Server) -> None:
    with traced(server) as ours:
        got: list[Any] = []
        for number in range(8):
            ours.client.async_infer(
                "m", [InferInput("IN", [0], "FP32")], lambda result, error: got.append(error), request_id=str(number)
            )
        with gevent.Timeout(10):
            while len(got) < 8:
                gevent.sleep(0.01)
        assert sorted(span.attributes["triton.request_id"] for span in ours.spans) == [str(each) for each in range(8)]
    assert sorted(server.heard()["traceparent"] for _ in range(8)) == sorted(map(header_of, ours.spans))


def test_a_call_that_was_refused_before_it_was_one_leaves_nothing_behind(server: Server) -> None:
    with traced(server) as ours:
        with pytest.raises(ValueError, match="not printable"):
            ours.client.infer("m", [InferInput("IN", [0], "FP32")], headers={"x": "\n"})
        assert not ours.tracing._unary


def test_a_span_of_the_user_s_own_is_the_parent(server: Server) -> None:
    with traced(server) as ours:
        with ours.tracer.start_as_current_span("mine") as mine:
            ours.infer()
        span = ours.spans[0]
        assert span.parent is not None
        assert span.parent.span_id == mine.get_span_context().span_id


def test_an_unsampled_rpc_is_no_span_and_the_server_is_told_so(server: Server) -> None:
    with traced(server, ALWAYS_OFF) as ours:
        ours.infer()
        ours.stream("1")
        assert ours.spans == []
        assert len(ours.events) == 2
    for _ in range(2):
        version, _, _, flags = server.heard()["traceparent"].split("-")
        assert (version, int(flags, 16) & 1) == ("00", 0)


def test_requests_of_one_stream_are_sampled_one_by_one(server: Server) -> None:
    """As children of the stream's span all of them would be, or none."""
    with traced(server, ParentBasedTraceIdRatio(0.5)) as ours:
        ours.stream(*map(str, range(64)))
        assert 8 < len(ours.of_requests) < 56  # beyond each end once in a thousand million times


def test_headers_of_the_user_s_own_are_sent_beside_it(server: Server) -> None:
    with traced(server) as ours:
        ours.client.infer("m", [InferInput("IN", [0], "FP32")], headers={"x-mine": "1"})
    assert (heard := server.heard())["x-mine"] == "1"
    assert "traceparent" in heard


def test_an_api_without_sdk_sends_no_header(server: Server) -> None:
    with traced(server) as ours:
        ours.rpc_events.tracing = UserTracing(trace.NoOpTracer())
        client = TritonClient(server.url, rpc_events=ours.rpc_events)
        client.is_server_live()
        client.close()
    assert "traceparent" not in server.heard()
