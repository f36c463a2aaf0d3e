"""A Triton that stops answering towards the end of a run, when no request's own deadline has passed yet."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.locust_process import Locust
from triton_users.client.client import TritonClient
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton


def test_a_server_that_hangs_before_the_end_fails_the_run(tmp_path: Path) -> None:
    with EmbeddedTriton(models=["custom_sequence_int32"], grace_s=0) as triton:
        locust = Locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "2", "-r", "2",
                        "--scenarios", "SequenceValid")  # fmt: skip
        wait_for_answers(triton, 20)
        os.kill(triton.pid, signal.SIGSTOP)
        try:
            time.sleep(14)  # the wait of the requests under way is what is tested
            locust.signal(signal.SIGINT)
            ended = locust.ended()
        finally:
            os.kill(triton.pid, signal.SIGCONT)
    assert ended.exit_code == 1, ended.output
    assert "without an answer when their users stopped, the oldest for 1" in ended.output
    assert "at the end of the run the server did not answer: [StatusCode.DEADLINE_EXCEEDED]" in ended.output


def wait_for_answers(triton: EmbeddedTriton, number: int, limit_s: float = 60) -> None:
    """Until the server's own statistics say that it has answered so many requests."""
    end = time.monotonic() + limit_s
    with TritonClient(f"grpc://{triton.grpc_url}") as client:
        while True:
            (model,) = client.get_inference_statistics("custom_sequence_int32").model_stats
            if model.inference_stats.success.count >= number:
                return
            assert time.monotonic() < end, "Locust sent too little"
            time.sleep(0.05)
