"""A Triton that stops answering: towards the end of a run, for seconds in its middle, or for one answer of many."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.locust_process import Locust
from triton_users.client.client import TritonClient
from triton_users.server import EmbeddedTriton

DEFECTS = Path(__file__).parents[1] / "defective_models"

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


def test_late_answers_and_a_server_that_stood_still_are_reported_and_fail_nothing(tmp_path: Path) -> None:
    with EmbeddedTriton(DEFECTS / "late_now_and_then", grace_s=0) as triton:
        locust = Locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "2", "-r", "2", "--scenarios", "Timeout")
        wait_for_answers(triton, 500, "custom_nobatch_zero_1_float32")  # five of them late
        os.kill(triton.pid, signal.SIGSTOP)
        time.sleep(4)  # so long the server is still, with its clock running
        os.kill(triton.pid, signal.SIGCONT)
        wait_for_answers(triton, 700, "custom_nobatch_zero_1_float32")
        locust.signal(signal.SIGINT)
        ended = locust.ended()
    warnings = "\n".join(ended.report["verdict"]["warnings"])
    assert ended.exit_code == 0, ended.output
    if "client-limited" not in warnings:  # else the delays may have been this machine's own, and nothing is said
        assert re.search(r"late answers: \d+ or more of Timeout to custom_nobatch_zero_1_float32 took up to", warnings)
        assert re.search(r"the server stood still: .* nor did a question .* for \d\.\d s at", warnings)


def wait_for_answers(
    triton: EmbeddedTriton, number: int, model: str = "custom_sequence_int32", limit_s: float = 60
) -> None:
    """Until the server's own statistics say that it has answered so many requests."""
    end = time.monotonic() + limit_s
    with TritonClient(f"grpc://{triton.grpc_url}") as client:
        while True:
            (found,) = client.get_inference_statistics(model).model_stats
            if found.inference_stats.success.count >= number:
                return
            assert time.monotonic() < end, "Locust sent too little"
            time.sleep(0.05)
