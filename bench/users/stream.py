"""Sequences over one stream for each user, the next request after the last answer."""

from __future__ import annotations

import itertools
from typing import Any

import gevent
import numpy as np
from gevent.queue import SimpleQueue
from locust import task
from tritonclient.grpc import InferInput, InferRequestedOutput

from bench.users.recorder import CASE, record
from triton_users.users import TritonGrpcUser

record()

#: Seconds in which a sequence must be through, its wait for a slot included.
LIMIT_S = 20

_ids = itertools.count(1)


class Stream(TritonGrpcUser):
    connections = CASE.get("connections", 0)

    def on_start(self) -> None:
        super().on_start()
        ones = np.ones((1, 1), np.int32)
        self.inputs = [InferInput("INPUT", [1, 1], "INT32")]
        self.inputs[0].set_data_from_numpy(ones)
        self.outputs = [InferRequestedOutput("OUTPUT")]
        self.answers: SimpleQueue[tuple[Any, Any]] = SimpleQueue()
        self.client.start_stream(lambda result, error: self.answers.put((result, error)))

    @task
    def sequence(self) -> None:
        """One sequence of ones: its last answer must be its length."""
        with gevent.Timeout(LIMIT_S):
            self.send(next(_ids), CASE["length"])

    def send(self, sequence_id: int, length: int) -> None:
        for step in range(length):
            self.client.async_stream_infer(
                CASE["model"],
                self.inputs,
                request_id=str(step),
                outputs=self.outputs,
                sequence_id=sequence_id,
                sequence_start=step == 0,
                sequence_end=step == length - 1,
                enable_empty_final_response=True,
            )
            result, error = self.answers.get()
            if error is not None:
                raise error
        if result.as_numpy("OUTPUT").item() != length:
            raise ValueError(f"a sequence of {length} ones gave {result.as_numpy('OUTPUT')}")
