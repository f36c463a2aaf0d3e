"""tritonclient's whole client on the channel, against the real Triton."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import gevent
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput, service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from triton_users import server
from triton_users.transport import CallError, Channel, StreamedMessage

pytestmark = pytest.mark.triton

IDENTITY = "custom_nobatch_zero_1_float32"
SEQUENCE = "custom_nobatch_sequence_int32"


@pytest.fixture
def channel(triton: server.EmbeddedTriton) -> Iterator[Channel]:
    with Channel(triton.grpc_url) as channel:
        yield channel


@pytest.fixture
def client(channel: Channel) -> InferenceServerClient:
    client = InferenceServerClient.__new__(InferenceServerClient)
    super(InferenceServerClient, client).__init__()
    client._channel, client._verbose, client._stream = channel, False, None
    client._client_stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    return client


def tensor(name: str, value: Any) -> InferInput:
    kind = {"float32": "FP32", "int32": "INT32"}[value.dtype.name]
    made = InferInput(name, list(value.shape), kind)
    made.set_data_from_numpy(value)
    return made


def test_the_control_calls(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready(IDENTITY)
    assert client.get_server_metadata().name
    assert client.get_model_metadata(IDENTITY).name == IDENTITY
    assert client.get_model_config(IDENTITY).config.name == IDENTITY
    assert client.get_inference_statistics(IDENTITY).model_stats
    assert client.get_model_repository_index().models
    with pytest.raises(InferenceServerException, match="unknown model"):
        client.get_model_metadata("no_such_model")


def test_inference_of_a_picture_sized_tensor(client: InferenceServerClient) -> None:
    value = np.arange(150_528, dtype=np.float32)
    answer = client.infer(IDENTITY, [tensor("INPUT0", value)]).as_numpy("OUTPUT0")
    assert np.array_equal(answer, value)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_inference(client: InferenceServerClient, algorithm: str) -> None:
    value = np.zeros(10_000, np.float32)
    result = client.infer(IDENTITY, [tensor("INPUT0", value)], compression_algorithm=algorithm)
    assert np.array_equal(result.as_numpy("OUTPUT0"), value)


def test_asynchronous_inference(client: InferenceServerClient) -> None:
    seen: list[tuple[Any, Any]] = []
    value = np.zeros(16, np.float32)
    for _ in range(10):
        client.async_infer(
            IDENTITY, [tensor("INPUT0", value)], callback=lambda result, error: seen.append((result, error))
        )
    with gevent.Timeout(10):
        while len(seen) < 10:
            gevent.sleep(0.01)
    assert all(error is None for _, error in seen)


def test_a_sequence_on_the_stream(client: InferenceServerClient) -> None:
    seen: list[tuple[Any, Any]] = []
    client.start_stream(lambda result, error: seen.append((result, error)))
    for step in range(5):
        value = tensor("INPUT", np.array([step], np.int32))
        client.async_stream_infer(SEQUENCE, [value], sequence_id=4242, sequence_start=step == 0, sequence_end=step == 4)
    client.stop_stream()
    assert [error for _, error in seen] == [None] * 5
    assert [int(result.as_numpy("OUTPUT")[0]) for result, _ in seen] == [0, 1, 3, 6, 10]


def test_a_cancelled_stream_stops_at_once(client: InferenceServerClient) -> None:
    seen: list[Any] = []
    client.start_stream(lambda result, error: seen.append(error))
    gevent.sleep(0.05)
    started_s = perf_counter()
    client.stop_stream(cancel_requests=True)
    assert perf_counter() - started_s < 1
    assert [error.status() for error in seen] == ["StatusCode.CANCELLED"]


def test_a_gibibyte_is_cut_at_its_deadline_and_the_connection_lives_on(channel: Channel) -> None:
    count = 2**28
    request = service_pb2.ModelInferRequest(model_name=IDENTITY)
    request.inputs.add(name="INPUT0", datatype="FP32", shape=[count])
    head = request.SerializeToString() + b"\x3a\x80\x80\x80\x80\x04"  # raw_input_contents of 2**30 bytes
    zeros = bytes(2**18)

    def message(_: Any) -> StreamedMessage:
        return StreamedMessage(len(head) + 4 * count, [head, *[zeros] * (4 * count // len(zeros))])

    infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer", request_serializer=message)
    before = channel.stats()
    started_s = perf_counter()
    with pytest.raises(CallError, match="Deadline Exceeded"):
        infer(None, timeout=0.1)
    assert perf_counter() - started_s < 0.5
    assert channel.stats().bytes_sent - before.bytes_sent > 2**20
    stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
    assert stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=10).live
    assert channel.stats().connections == max(1, before.connections)
