"""A decoupled model over one stream for each user, with tritonclient's calls: the next request after the last end."""

from __future__ import annotations

from typing import Any

import gevent
import numpy as np
from gevent.event import Event
from locust import task
from tritonclient.grpc import InferInput, InferRequestedOutput

from bench.users.recorder import CASE, record
from triton_users.users import TritonGrpcUser

record()

#: Seconds in which a request must have all its responses.
LIMIT_S = 20


class Repeat(TritonGrpcUser):
    connections = CASE.get("connections", 0)

    def on_start(self) -> None:
        super().on_start()
        self.inputs = [InferInput("COUNT", [1], "INT32")]
        self.inputs[0].set_data_from_numpy(np.array([CASE["count"]], np.int32))
        self.outputs = [InferRequestedOutput("OUT")]
        self.over = Event()
        self.came = 0
        self.client.start_stream(self.take)

    def take(self, result: Any, error: Exception | None) -> None:
        if error is not None:
            raise error
        if result.get_response().outputs:
            self.came += 1
        else:
            self.over.set()

    @task
    def infer(self) -> None:
        self.came = 0
        self.over.clear()
        self.client.async_stream_infer(
            CASE["model"], self.inputs, outputs=self.outputs, enable_empty_final_response=True
        )
        with gevent.Timeout(LIMIT_S):
            self.over.wait()
        if self.came != CASE["count"]:
            raise ValueError(f"{self.came} responses, not {CASE['count']}")
