"""The gRPC messages of a measurement: one request body for all clients, and the null server's fixed answers.

Only bytes; nothing here sends them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tritonclient.grpc import model_config_pb2, service_pb2

SERVICE = "inference.GRPCInferenceService"
INFER_PATH = f"/{SERVICE}/ModelInfer"


@dataclass(frozen=True)
class Identity:
    """An identity model and the FP32 tensor that is sent to it."""

    model: str
    floats: int
    input: str = "INPUT0"
    output: str = "OUTPUT0"


def framed(message: bytes) -> bytes:
    """A message with gRPC's five-byte prefix: not compressed, length in network order."""
    return struct.pack(">BI", 0, len(message)) + message


def infer_request(case: Identity) -> bytes:
    """The ModelInferRequest that tritonclient makes of `case` with zeros as values.

    perf_analyzer's differs by what its client adds to each request and tritonclient forbids: the parameter
    `triton_enable_empty_final_response` (42 bytes).
    """
    request = service_pb2.ModelInferRequest(model_name=case.model)
    request.inputs.add(name=case.input, datatype="FP32", shape=[case.floats])
    request.outputs.add(name=case.output)
    request.raw_input_contents.append(bytes(4 * case.floats))
    return bytes(request.SerializeToString())


def infer_response(case: Identity) -> bytes:
    """The ModelInferResponse a Triton gives to `infer_request(case)`."""
    response = service_pb2.ModelInferResponse(model_name=case.model, model_version="1")
    response.outputs.add(name=case.output, datatype="FP32", shape=[case.floats])
    response.raw_output_contents.append(bytes(4 * case.floats))
    return bytes(response.SerializeToString())


def null_answers(case: Identity) -> dict[str, bytes]:
    """Method name -> answer, for everything that tritonclient and perf_analyzer ask about `case`.

    The server announces no extensions, so that perf_analyzer does not ask for statistics.
    """
    tensor = service_pb2.ModelMetadataResponse.TensorMetadata
    config = model_config_pb2.ModelConfig(
        name=case.model,
        backend="python",
        input=[model_config_pb2.ModelInput(name=case.input, data_type=model_config_pb2.TYPE_FP32, dims=[-1])],
        output=[model_config_pb2.ModelOutput(name=case.output, data_type=model_config_pb2.TYPE_FP32, dims=[-1])],
    )
    answers = {
        "ServerLive": service_pb2.ServerLiveResponse(live=True),
        "ServerReady": service_pb2.ServerReadyResponse(ready=True),
        "ModelReady": service_pb2.ModelReadyResponse(ready=True),
        "ServerMetadata": service_pb2.ServerMetadataResponse(name="null", version="0"),
        "ModelMetadata": service_pb2.ModelMetadataResponse(
            name=case.model,
            versions=["1"],
            platform="python",
            inputs=[tensor(name=case.input, datatype="FP32", shape=[-1])],
            outputs=[tensor(name=case.output, datatype="FP32", shape=[-1])],
        ),
        "ModelConfig": service_pb2.ModelConfigResponse(config=config),
        "ModelStatistics": service_pb2.ModelStatisticsResponse(),
    }
    return {
        **{method: message.SerializeToString() for method, message in answers.items()},
        "ModelInfer": infer_response(case),
    }
