"""Whole runs on a real Triton whose counts are audited: alone, beside another client, with a worker that is killed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from tritonclient.grpc import InferInput

from tests.any_model import repository
from tests.end_to_end.locust_process import Ended, Locust
from triton_users.client.client import TritonClient
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

MODEL = "custom_nobatch_zero_1_float32"
MINE = """
import numpy as np
from locust import constant, task
from tritonclient.grpc import InferInput

from triton_users.locustfile import *
from triton_users.users import TritonGrpcUser


class Mine(TritonGrpcUser):
    wait_time = constant(0.02)

    def on_start(self):
        self.tensor = InferInput("INPUT0", [16], "FP32").set_data_from_numpy(np.zeros(16, np.float32))

    @task
    def infer(self):
        self.client.infer("%s", [self.tensor])
"""


def locust(triton: EmbeddedTriton, folder: Path, *arguments: str, run_s: float = 4) -> Locust:
    locustfile = folder / "mine.py"
    locustfile.write_text(MINE % MODEL)
    options = ["-H", f"grpc://{triton.grpc_url}", "-t", f"{run_s:g}s", "-u", "2", "-r", "2"]
    return Locust(folder, *options, *arguments, "Mine", locustfile=locustfile)


@contextmanager
def another_client(triton: EmbeddedTriton) -> Iterator[None]:
    """Sends requests of its own all the while."""
    stop = threading.Event()

    def send() -> None:
        client = TritonClient(triton.grpc_url)
        tensor = InferInput("INPUT0", [16], "FP32").set_data_from_numpy(np.zeros(16, np.float32))
        while not stop.is_set():
            client.infer(MODEL, [tensor])
            time.sleep(0.05)
        client.close()

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        stop.set()
        sender.join(20)


def audited(ended: Ended, model: str = MODEL) -> dict[str, object]:
    [found] = [each for each in ended.report["server_side"]["audit"]["models"] if each["model"] == model]
    return dict(found)


def test_alone_with_the_server_the_counts_agree_exactly(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = locust(triton, tmp_path).ended()
    found = audited(ended)

    assert ended.exit_code == 0, ended.output
    assert found["outcome"] == "agrees", found
    assert int(str(found["answered"])) > 10
    assert "the server's counts agree with ours" in ended.report["verdict"]["alerts"][0]["text"]
    assert "Is it right?" in ended.output


def test_another_client_is_told_with_how_much_more_and_fails_the_run_where_that_is_asked_for(
    triton: EmbeddedTriton, tmp_path: Path
) -> None:
    with another_client(triton):
        ended = locust(triton, tmp_path, "--fail-on-other-traffic").ended()
    found = audited(ended)

    assert found["outcome"] == "more"
    assert "another client used it meanwhile" in str(found["text"])
    assert ended.exit_code == 1, ended.output
    assert ended.report["verdict"]["reasons"] == [found["text"]]


def test_of_workers_one_of_which_is_killed_the_counts_are_not_another_clients(
    triton: EmbeddedTriton, tmp_path: Path
) -> None:
    under_way = locust(triton, tmp_path, "--processes", "2", run_s=12)
    until = time.monotonic() + 60  # until the first requests were counted
    while under_way.running() and time.monotonic() < until and f"grpc     {MODEL}" not in under_way.output():
        time.sleep(0.2)
    workers = psutil.Process(under_way.pid).children()
    workers[0].send_signal(signal.SIGKILL)
    ended = under_way.ended()
    found = audited(ended)

    assert found["outcome"] in ("agrees", "not auditable"), found
    if found["outcome"] == "not auditable":
        assert "was lost with its last counts" in str(found["text"])
    assert any("was lost" in warning for warning in ended.report["verdict"]["warnings"]), ended.output


def test_the_whole_mix_agrees_or_says_why_it_cannot(triton: EmbeddedTriton, tmp_path: Path) -> None:
    options = ["-H", f"grpc://{triton.grpc_url}", "-t", "10s", "-u", "6", "-r", "6"]
    ended = Locust(tmp_path, *options, "--scenarios", "SequenceValid,SequenceNoStart,Timeout,Crashing").ended()
    outcomes = {each["model"]: each["outcome"] for each in ended.report["server_side"]["audit"]["models"]}

    assert set(outcomes.values()) <= {"agrees", "not auditable"}, ended.report["server_side"]["audit"]
    assert outcomes["custom_sequence_int32"] == "agrees"
    assert outcomes["custom_executing"] == "not auditable"


TWICE = """
name: "twice"
platform: "ensemble"
ensemble_scheduling { step [
  { model_name: "inner" model_version: -1 input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "once" } },
  { model_name: "inner" model_version: -1 input_map { key: "IN" value: "once" } output_map { key: "OUT" value: "OUT" } }
] }
"""


def test_a_model_that_is_two_steps_of_an_ensemble_is_counted_twice_for_each_of_its_requests(tmp_path: Path) -> None:
    models = tmp_path / "models"
    both = repository.tensor("input", "IN", "INT32", 1) + repository.tensor("output", "OUT", "INT32", 1)
    repository.write(models, "inner", repository.ECHO, both, datatype="INT32")
    (models / "twice" / "1").mkdir(parents=True)
    (models / "twice" / "config.pbtxt").write_text(TWICE + both)
    with EmbeddedTriton(models) as triton:
        options = ["-H", f"grpc://{triton.grpc_url}", "-t", "4s", "-u", "1", "--models", "twice"]
        ended = Locust(tmp_path, *options).ended()
    outer, inner = audited(ended, "twice"), audited(ended, "inner")

    assert (outer["outcome"], inner["outcome"], inner["answered"]) == ("agrees", "agrees", 0)
    assert inner["called"] == 2 * int(str(outer["computed"])) > 0
    assert "or called by its ensembles" in str(inner["text"])


def test_a_model_that_calls_another_inside_the_server_is_named(tmp_path: Path) -> None:
    models = tmp_path / "models"
    both = repository.tensor("input", "IN", "INT32", 1) + repository.tensor("output", "OUT", "INT32", 1)
    repository.write(models, "inner", repository.ECHO, both, datatype="INT32")
    repository.write(models, "outer", repository.CALLS_TWICE, both)
    with EmbeddedTriton(models) as triton:
        options = ["-H", f"grpc://{triton.grpc_url}", "-t", "4s", "-u", "1", "--models", "outer"]
        ended = Locust(tmp_path, *options).ended()

    assert audited(ended, "outer")["outcome"] == "agrees"
    assert "outer called it 2 times for each of its requests" in str(audited(ended, "inner")["text"])
    assert ended.exit_code == 0, ended.output
