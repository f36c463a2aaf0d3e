"""A Triton that wants a header with each RPC is tested as any other is, and nothing shows the header's value."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.locust_process import Ended, Locust
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

SECRET = "s3cret-of-this-test"
HEADER = "triton-grpc-protocol-admin: ${TEST_TOKEN}"
IDENTITY = "custom_nobatch_zero_1_float32"
MODELS = [IDENTITY, "custom_sequence_int32", "custom_zero_1_float32", "custom_executing"]
PROTOCOLS = "health,metadata,model-repository,statistics,inference,model-config"

OWN = f"""
import numpy as np
from locust import constant, task
from tritonclient.grpc import InferInput
from triton_users.locustfile import *
from triton_users.users import TritonGrpcUser


class Mine(TritonGrpcUser):
    wait_time = constant(0.2)

    @task
    def infer(self):
        tensor = InferInput("INPUT0", [16], "FP32").set_data_from_numpy(np.zeros(16, np.float32))
        self.client.infer("{IDENTITY}", [tensor])
"""


@pytest.fixture(scope="module")
def restricted() -> Iterator[EmbeddedTriton]:
    with EmbeddedTriton(models=MODELS, extra_args=[f"--grpc-restricted-protocol={PROTOCOLS}:admin={SECRET}"]) as triton:
        yield triton


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_TOKEN", SECRET)


def run(triton: EmbeddedTriton, folder: Path, *arguments: str) -> Ended:
    (folder / "mine.py").write_text(OWN)
    host = ["-H", f"grpc://{triton.grpc_url}", "-u", "6", "-r", "6", "-t", "8s"]
    return Locust(folder, *host, *arguments, locustfile=folder / "mine.py").ended()


@pytest.mark.parametrize(
    ("scenarios", "arguments"),
    [("SequenceValid,Crashing,PerfAnalyzer", ()), ("SequenceValid,Crashing", ("--processes", "2"))],
    ids=["local", "two workers"],
)
def test_all_that_a_run_sends_carries_it(
    restricted: EmbeddedTriton, tmp_path: Path, scenarios: str, arguments: tuple[str, ...]
) -> None:
    chosen = ("--scenarios", scenarios, "--allow-failure", "", *arguments)
    ended = run(restricted, tmp_path, "--grpc-header", HEADER, *chosen)
    assert ended.exit_code == 0, ended.output
    for name in (*scenarios.split(","), ""):
        scenario = ended.scenario(name)
        assert (scenario["failed"], scenario["requests"] > 0) == (0, True), scenario
    assert ended.report["server"]["version"] == "2.51.0"
    assert "--grpc-header 'triton-grpc-protocol-admin: ${TRITON_GRPC_PROTOCOL_ADMIN}'" in ended.report["reproduce"]
    assert SECRET not in ended.output
    shown = [path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert not shown


def test_without_it_nothing_starts_and_the_message_says_what_to_give(
    restricted: EmbeddedTriton, tmp_path: Path
) -> None:
    ended = run(restricted, tmp_path, "--scenarios", "SequenceValid")
    assert ended.exit_code == 2
    assert "--grpc-header 'triton-grpc-protocol-KEY: VALUE'" in ended.output


def test_the_wrong_one_does_not_pass(restricted: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run(restricted, tmp_path, "Mine", "--grpc-header", "triton-grpc-protocol-admin: wrong")
    assert ended.exit_code == 1
    assert "This protocol is restricted" in ended.report["verdict"]["reasons"][0]


def test_the_models_of_such_a_server_can_be_listed(restricted: EmbeddedTriton) -> None:
    command = [sys.executable, "-m", "triton_users", "models", "-H", f"grpc://{restricted.grpc_url}"]
    listed = subprocess.run(
        [*command, "--grpc-header", HEADER], capture_output=True, text=True, timeout=60, env=dict(os.environ)
    )
    assert listed.returncode == 0, listed.stderr
    assert f"{IDENTITY}\n  sent      requests\n" in listed.stdout
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (refused.returncode, "This protocol is restricted" in refused.stderr) == (2, True)
