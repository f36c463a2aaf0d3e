"""The whole of tritonclient's client works on our channel, and what it keeps to itself is where we think it is."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import pytest
from gevent.event import Event
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from locust.event import EventHook
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput, service_pb2
from tritonclient.grpc._utils import _get_inference_request
from tritonclient.utils import InferenceServerException

from triton_users.client.client import _INFER_DEFAULTS, TritonClient
from triton_users.client.rpc_events import RpcEvents
from triton_users.client.streamed import StreamedInput, StreamedRequest
from triton_users.server import EmbeddedTriton

IDENTITY = "custom_nobatch_zero_1_float32"
SEQUENCE = "custom_nobatch_sequence_int32"

ARRAYS = hnp.arrays(np.float32, st.tuples(st.integers(0, 3), st.just(4)), elements=st.floats(width=32, allow_nan=False))


def tensor(values: Any = (1, 2, 3)) -> InferInput:
    array = np.array(values, np.float32)
    return InferInput("INPUT0", list(array.shape), "FP32").set_data_from_numpy(array)


class TestWhatWeRelyOnInTritonclient:
    """If a new tritonclient moves one of these, client.py must follow."""

    def test_the_client_keeps_its_channel_stub_stream_and_verbosity_where_we_put_them(self) -> None:
        source = inspect.getsource(InferenceServerClient.__init__)
        for attribute in ("self._channel", "self._client_stub", "self._verbose", "self._stream"):
            assert attribute in source

    def test_a_request_is_made_of_tensors_and_contents(self) -> None:
        source = inspect.getsource(_get_inference_request)
        assert "_get_tensor()" in source
        assert "_get_content()" in source
        assert set(_INFER_DEFAULTS) < set(inspect.signature(_get_inference_request).parameters)


class TestStreamedInput:
    @given(st.lists(ARRAYS, min_size=1, max_size=4))
    def test_the_bytes_are_those_of_tritonclient(self, arrays: list[Any]) -> None:
        together = np.concatenate(arrays)
        plain = InferInput("IN", list(together.shape), "FP32").set_data_from_numpy(together)
        streamed = StreamedInput("IN", together.shape, "FP32", arrays)
        assert streamed._get_content() == plain._get_content()
        fields: dict[str, Any] = {"model_name": "m", "model_version": "", "outputs": None, **_INFER_DEFAULTS}
        whole = _get_inference_request(inputs=[plain], **fields)
        bare = service_pb2.ModelInferRequest.FromString(whole.SerializeToString())
        del bare.raw_input_contents[:]
        request = StreamedRequest(bare, [(streamed.size, streamed)])
        sent = b"".join(request.message.chunks)  # type: ignore[arg-type]  # they are buffers
        assert len(sent) == len(request.message)
        assert service_pb2.ModelInferRequest.FromString(sent) == whole
        assert request.handed_over == together.nbytes


@pytest.mark.triton
class TestOnTheRealTriton:
    @pytest.fixture
    def client(self, triton: EmbeddedTriton) -> Iterator[TritonClient]:
        with TritonClient(f"grpc://{triton.grpc_url}") as client:
            yield client

    def test_health_metadata_and_configuration(self, client: TritonClient, triton: EmbeddedTriton) -> None:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(IDENTITY)
        assert not client.is_model_ready("no_such_model")
        assert client.get_server_metadata().version == triton.version
        assert client.get_model_metadata(IDENTITY, as_json=True)["name"] == IDENTITY
        assert client.get_model_config(IDENTITY).config.name == IDENTITY
        assert IDENTITY in {model.name for model in client.get_model_repository_index().models}

    def test_statistics_trace_log_and_shared_memory(self, client: TritonClient) -> None:
        assert client.get_inference_statistics(IDENTITY).model_stats[0].name == IDENTITY
        assert "trace_level" in client.get_trace_settings().settings
        assert client.get_log_settings().settings
        assert not client.get_system_shared_memory_status().regions

    def test_an_inference_and_its_classes(self, client: TritonClient) -> None:
        assert client.infer(IDENTITY, [tensor()]).as_numpy("OUTPUT0").tolist() == [1.0, 2.0, 3.0]
        wanted = InferRequestedOutput("OUTPUT0", class_count=1)
        assert client.infer(IDENTITY, [tensor()], outputs=[wanted]).as_numpy("OUTPUT0").tolist() == [b"3.000000:2"]

    def test_a_streamed_input_gives_the_same_answer(self, client: TritonClient) -> None:
        array = np.arange(300_000, dtype=np.float32)
        streamed = StreamedInput("INPUT0", (600_000,), "FP32", [array, array])
        answer = client.infer(IDENTITY, [streamed], client_timeout=20).as_numpy("OUTPUT0")
        assert np.array_equal(answer, np.concatenate([array, array]))

    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_a_compressed_request(self, client: TritonClient, algorithm: str) -> None:
        answer = client.infer(IDENTITY, [tensor()], compression_algorithm=algorithm)
        assert answer.as_numpy("OUTPUT0").tolist() == [1.0, 2.0, 3.0]

    def test_an_asynchronous_inference(self, client: TritonClient) -> None:
        done, heard = Event(), []
        client.async_infer(
            IDENTITY, [tensor()], callback=lambda result, error: (heard.append((result, error)), done.set())
        )
        assert done.wait(10)
        ((result, error),) = heard
        assert error is None
        assert result.as_numpy("OUTPUT0").tolist() == [1.0, 2.0, 3.0]

    def test_a_stream(self, client: TritonClient) -> None:
        heard: list[Any] = []
        client.start_stream(lambda result, error: heard.append(error or result.as_numpy("OUTPUT").tolist()))
        for number in range(4):
            value = InferInput("INPUT", [1], "INT32").set_data_from_numpy(np.array([number], np.int32))
            client.async_stream_infer(
                SEQUENCE, [value], sequence_id=77, sequence_start=number == 0, sequence_end=number == 3
            )
        client.stop_stream()
        assert heard == [[0], [1], [3], [6]]

    def test_an_error_has_the_server_s_own_words(self, client: TritonClient) -> None:
        with pytest.raises(InferenceServerException, match="unknown model: 'no_such_model'") as raised:
            client.infer("no_such_model", [tensor()])
        assert raised.value.status() == "StatusCode.NOT_FOUND"

    def test_a_deadline(self, client: TritonClient) -> None:
        with pytest.raises(InferenceServerException) as raised:
            client.infer("custom_zero_1_float32", [tensor([[1.0]])], client_timeout=0.05)
        assert raised.value.status() == "StatusCode.DEADLINE_EXCEEDED"

    def test_close_ends_what_is_in_flight(self, client: TritonClient) -> None:
        slow = gevent.spawn(client.infer, "custom_zero_1_float32", [tensor([[1.0]])])
        gevent.sleep(0.1)
        client.close()
        with pytest.raises(InferenceServerException, match="CANCELLED"):
            slow.get(timeout=2)

    def test_every_rpc_and_every_request_of_a_stream_is_an_event(self, triton: EmbeddedTriton) -> None:
        hook, names = EventHook(), []
        hook.add_listener(lambda **event: names.append(event["name"]))
        with TritonClient(f"grpc://{triton.grpc_url}", rpc_events=RpcEvents(hook)) as client:
            client.is_server_live()
            client.infer(IDENTITY, [tensor()])
            client.start_stream(lambda result, error: None)
            for _ in range(2):
                client.async_stream_infer(IDENTITY, [tensor()])
            client.stop_stream()
        assert names == ["ServerLive", IDENTITY, IDENTITY, IDENTITY]


def test_the_page_names_the_real_setting_for_one_s_own_network() -> None:
    from triton_users.server.image_network import OWN_NETWORK

    assert OWN_NETWORK in (Path(__file__).parents[2] / "docs" / "image_model.md").read_text()
