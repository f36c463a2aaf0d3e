"""A server of KServe's protocol that is no Triton: grpcio's own, in a process of its own, with few of Triton's calls.

It has ServerLive, ServerReady, ModelReady, ModelMetadata and ModelInfer, and one model, `double`: FP32 [-1, 4] to twice
that. It prints its port, and ends when its standard input does. `typed`: it answers with typed contents, as MLServer
does, not with raw ones, as OVMS does. `wrong`: the last element of each answer is another. `empty`: its answers have no
output. `leaves N`: it says after N answers that the model is not ready.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc


class KServe(service_pb2_grpc.GRPCInferenceServiceServicer):  # what it does not define answers UNIMPLEMENTED
    def __init__(self, behaviour: str, answers: int) -> None:
        self.behaviour = behaviour
        self.left = answers

    def ServerLive(self, request: Any, context: Any) -> Any:
        return pb.ServerLiveResponse(live=True)

    def ServerReady(self, request: Any, context: Any) -> Any:
        return pb.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:
        if request.name != "double":
            context.abort(grpc.StatusCode.NOT_FOUND, f"model {request.name} is not known")
        return pb.ModelReadyResponse(ready=self.left > 0)

    def ModelMetadata(self, request: Any, context: Any) -> Any:
        if request.name != "double":
            context.abort(grpc.StatusCode.NOT_FOUND, f"model {request.name} is not known")
        tensor = pb.ModelMetadataResponse.TensorMetadata
        return pb.ModelMetadataResponse(
            name="double",
            versions=["1"],
            platform="python",
            inputs=[tensor(name="IN", datatype="FP32", shape=[-1, 4])],
            outputs=[tensor(name="OUT", datatype="FP32", shape=[-1, 4])],
        )

    def ModelInfer(self, request: Any, context: Any) -> Any:
        (sent,) = request.inputs
        values = np.frombuffer(request.raw_input_contents[0], "<f4") * 2
        if self.behaviour == "wrong":
            values[-1] += 1
        self.left -= self.behaviour == "leaves"
        answer = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        if self.behaviour == "empty":
            return answer
        output = answer.outputs.add(name="OUT", datatype="FP32", shape=sent.shape)
        if self.behaviour == "typed":
            output.contents.fp32_contents.extend(values.tolist())
        else:
            answer.raw_output_contents.append(values.tobytes())
        return answer


def main(behaviour: str = "raw", answers: str = "1") -> None:
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(KServe(behaviour, int(answers)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
