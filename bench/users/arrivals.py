"""The identity request under the plugin, at a rate or one after the other."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
from locust import between, constant, events, task
from tritonclient.grpc import InferInput, InferRequestedOutput

from triton_users.options import add_options
from triton_users.plugin import install
from triton_users.users import TritonGrpcUser

CASE: dict[str, Any] = json.loads(os.environ["BENCH_CASE"])

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))


class Identity(TritonGrpcUser):
    # Random, since users with an even pace that began together go on together: several at a time cost less each.
    wait_time = between(0, 2 * CASE["users"] / CASE["paced"]) if CASE["paced"] else constant(0)

    def on_start(self) -> None:
        super().on_start()
        values = np.zeros(CASE["floats"], np.float32)
        self.inputs = [InferInput(CASE["input"], list(values.shape), "FP32").set_data_from_numpy(values)]
        self.outputs = [InferRequestedOutput(CASE["output"])]
        self.infer_once()  # its connection is there before the first arrival

    def infer_once(self) -> None:
        self.client.infer(CASE["model"], self.inputs, outputs=self.outputs)

    @task
    def infer(self) -> None:
        self.infer_once()
