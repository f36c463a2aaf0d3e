"""grpcio's own server of a part of Triton's protocol, in a process of its own.

It prints its port, then each RPC's metadata. What it answers a request the request's id says: `bad` is an error, `slow`
takes seconds, all else is right at once; in a stream three responses each. It ends when its standard input does.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc


def say(context: Any) -> None:
    """What is not text is none of these tests'."""
    metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    sys.stdout.write(json.dumps(metadata) + "\n")  # in one piece: several answer at once
    sys.stdout.flush()


class Server(service_pb2_grpc.GRPCInferenceServiceServicer):
    def ServerLive(self, request: Any, context: Any) -> Any:
        say(context)
        return pb.ServerLiveResponse(live=True)

    def ModelStatistics(self, request: Any, context: Any) -> Any:
        say(context)
        return pb.ModelStatisticsResponse()

    def ModelInfer(self, request: Any, context: Any) -> Any:
        say(context)
        if request.id == "slow":
            time.sleep(3)
        if request.id == "bad":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such thing")
        return pb.ModelInferResponse(model_name=request.model_name, id=request.id)

    def ModelStreamInfer(self, requests: Any, context: Any) -> Iterator[Any]:
        say(context)
        for request in requests:
            if request.id == "bad":
                refused = pb.ModelStreamInferResponse(error_message="no such step")
                refused.infer_response.id = request.id
                yield refused
                continue
            for number in range(3):
                answer = pb.ModelStreamInferResponse()
                answer.infer_response.id, answer.infer_response.model_version = request.id, "1"
                answer.infer_response.parameters["triton_final_response"].bool_param = number == 2
                yield answer


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Server(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(None)
