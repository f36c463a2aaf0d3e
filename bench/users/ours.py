"""The identity request as a user of this project writes it."""

from __future__ import annotations

import numpy as np
from locust import task
from tritonclient.grpc import InferInput, InferRequestedOutput

from bench.users.recorder import CASE, record
from triton_users.users import TritonGrpcUser

record()


class Ours(TritonGrpcUser):
    connections = CASE.get("connections", 0)

    def on_start(self) -> None:
        super().on_start()
        values = np.zeros(CASE["floats"], np.float32)
        self.inputs = [InferInput(CASE["input"], list(values.shape), "FP32")]
        self.inputs[0].set_data_from_numpy(values)
        self.outputs = [InferRequestedOutput(CASE["output"])]
        answer = self.client.infer(CASE["model"], self.inputs, outputs=self.outputs)
        if not np.array_equal(answer.as_numpy(CASE["output"]), values):
            raise ValueError(f"{CASE['model']} is no identity: {answer.get_response()}")

    @task
    def infer(self) -> None:
        self.client.infer(CASE["model"], self.inputs, outputs=self.outputs)
