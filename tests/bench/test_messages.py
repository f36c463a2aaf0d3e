"""The bytes that h2load and the null server send are those of the real parties."""

from __future__ import annotations

import numpy as np
from tritonclient.grpc import InferInput, InferRequestedOutput, service_pb2
from tritonclient.grpc._utils import _get_inference_request

from bench.messages import Identity, framed, infer_request, null_answers

CASE = Identity("identity", 16)


def test_the_request_is_the_one_tritonclient_makes() -> None:
    tensor = InferInput(CASE.input, [16], "FP32").set_data_from_numpy(np.zeros(16, np.float32))
    made = _get_inference_request(
        model_name=CASE.model,
        inputs=[tensor],
        model_version="",
        request_id="",
        outputs=[InferRequestedOutput(CASE.output)],
        sequence_id=0,
        sequence_start=False,
        sequence_end=False,
        priority=0,
        timeout=None,
        parameters=None,
    )
    assert infer_request(CASE) == made.SerializeToString()


def test_the_fixed_answer_holds_the_tensor_that_was_sent() -> None:
    request = service_pb2.ModelInferRequest.FromString(infer_request(CASE))
    answer = service_pb2.ModelInferResponse.FromString(null_answers(CASE)["ModelInfer"])
    assert list(answer.raw_output_contents) == list(request.raw_input_contents)


def test_the_null_server_offers_no_statistics() -> None:
    metadata = service_pb2.ServerMetadataResponse.FromString(null_answers(CASE)["ServerMetadata"])
    assert not metadata.extensions


def test_a_framed_message_tells_its_length() -> None:
    assert framed(b"abc") == b"\x00\x00\x00\x00\x03abc"
