"""The identity request with stock parts: a plain Locust user, tritonclient, grpcio in its gevent mode."""

from __future__ import annotations

import os
import time
from typing import Any

import grpc.experimental.gevent
import numpy as np
from locust import User, events, task
from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

from bench.users.recorder import CASE, listen, record

grpc.experimental.gevent.init_gevent()
record()


def leave(exit_code: int, **_kwargs: object) -> None:
    """Leave at once: grpcio in gevent mode often hangs in the interpreter's own shutdown."""
    os._exit(exit_code)


listen(events.quit, leave)


class Stock(User):
    def on_start(self) -> None:
        self.client = InferenceServerClient((self.host or "").removeprefix("grpc://"))
        values = np.zeros(CASE["floats"], np.float32)
        self.inputs = [InferInput(CASE["input"], list(values.shape), "FP32")]
        self.inputs[0].set_data_from_numpy(values)
        self.outputs = [InferRequestedOutput(CASE["output"])]
        answer = self.send()
        if answer is None or not np.array_equal(answer.as_numpy(CASE["output"]), values):
            raise ValueError(f"{CASE['model']} is no identity: {answer}")

    @task
    def infer(self) -> None:
        self.send()

    def send(self) -> Any:
        """The answer, or None when there is only an error; both are told to Locust."""
        answer = error = None
        started = time.perf_counter()
        try:
            answer = self.client.infer(CASE["model"], self.inputs, outputs=self.outputs)
        except InferenceServerException as exc:
            error = exc
        self.environment.events.request.fire(
            request_type="grpc",
            name=CASE["model"],
            response_time=1000 * (time.perf_counter() - started),
            response_length=0,
            exception=error,
            context={},
        )
        return answer
