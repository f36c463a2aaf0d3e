"""docker-compose.yml is valid, and each command in it is one that runs: there is no Docker here to try it with."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.transport.support import free_port
from triton_users.server import EmbeddedTriton

ROOT = Path(__file__).parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

#: The package that carries the Compose specification's own schema, and its wheel's SHA-256.
SCHEMA_PACKAGE = "docker-compose==1.29.2"
SCHEMA_SHA256 = "8d5589373b35c8d3b1c8c1182c6e4a4ff14bffa3dd0b605fcd08f73c94cef809"


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("compose")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), SCHEMA_PACKAGE]
    subprocess.run(command, check=True, timeout=100)
    (wheel,) = folder.glob("*.whl")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == SCHEMA_SHA256
    with zipfile.ZipFile(wheel) as archive:
        return json.loads(archive.read("compose/config/compose_spec.json"))  # type: ignore[no-any-return]


def test_the_file_is_valid_by_the_compose_specification(schema: dict[str, Any]) -> None:
    jsonschema.Draft7Validator(schema).validate(COMPOSE)


def test_the_schema_refuses_what_compose_does_not_know(schema: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({**COMPOSE, "servcies": {}})


def test_the_image_of_triton_is_pinned() -> None:
    tag = COMPOSE["services"]["triton"]["image"].rpartition(":")[2]
    assert tag == "24.10-py3", "the release of the embedded server, 2.51.0"


def test_the_web_ui_is_published_on_loopback_only() -> None:
    assert COMPOSE["services"]["master"]["ports"] == ["127.0.0.1:8089:8089"]


def test_the_image_s_command_is_the_package_s_own_and_its_files_are_no_links() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["triton-users"]' in dockerfile
    copied = [line.split()[1:-1] for line in dockerfile.splitlines() if line.startswith("COPY")]
    for source in (ROOT / name for names in copied for name in names):
        assert source.exists()
        assert not source.is_symlink(), "Docker copies a link as what it is or what it names, by its version"


@pytest.mark.triton
def test_the_command_that_writes_the_repository_gives_a_whole_one(tmp_path: Path) -> None:
    (shell,) = COMPOSE["services"]["repository"]["command"]
    command = shell.replace("/repository", str(tmp_path)).replace("python ", f"{sys.executable} ")
    for _ in range(2):
        subprocess.run(["sh", "-c", command], check=True, cwd=ROOT, timeout=100)
    assert (tmp_path / "models/resnet_v1_50/1/model.onnx").stat().st_size > 90_000_000
    assert (tmp_path / "models/custom_sequence_int32/config.pbtxt").exists()


@pytest.mark.triton
def test_the_commands_of_master_and_worker_run_a_test(triton: EmbeddedTriton, tmp_path: Path) -> None:
    web, rpc = free_port(), free_port()
    master = start(
        tmp_path / "master.txt",
        *replaced(COMPOSE["services"]["master"]["command"], {
            "0.0.0.0": "127.0.0.1", "grpc://triton:8001": f"grpc://{triton.grpc_url}", "/reports": str(tmp_path / "r"),
        }),
        "--web-port", str(web), "--master-bind-port", str(rpc), "--master-bind-host", "127.0.0.1",
    )  # fmt: skip
    worker = start(
        tmp_path / "worker.txt",
        *replaced(COMPOSE["services"]["worker"]["command"], {"master": "127.0.0.1"}),
        "--master-port", str(rpc),
    )  # fmt: skip
    try:
        wait_for(lambda: state(web)["workers"] and state(web)["state"] == "ready")
        form = b"user_count=2&spawn_rate=2&scenarios=SequenceValid"
        urllib.request.urlopen(f"http://127.0.0.1:{web}/swarm", form, timeout=10).close()
        wait_for(lambda: state(web)["total_rps"] > 0)
        urllib.request.urlopen(f"http://127.0.0.1:{web}/stop", b"", timeout=30).close()
        wait_for(lambda: list((tmp_path / "r").glob("*/report.html")))
    finally:
        for process in (master, worker):
            process.send_signal(signal.SIGTERM)
        for process in (master, worker):
            try:
                process.wait(20)
            finally:
                process.kill()


def replaced(command: list[str], other: dict[str, str]) -> list[str]:
    return [other.get(word, word) for word in command]


def start(output: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with output.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "triton_users", *arguments],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def state(web: int) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/stats/requests", timeout=5) as answer:
            return json.load(answer)  # type: ignore[no-any-return]
    except OSError:
        return {"workers": [], "state": "", "total_rps": 0}


def wait_for(happened: Any, limit_s: float = 40.0) -> None:
    end = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
