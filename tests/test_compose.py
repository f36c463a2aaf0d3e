"""docker-compose.yml is valid, and each command in it is one that runs: there is no Docker here to try it with."""

import hashlib
import json
import os
import shutil
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

from tests import test_image
from tests.transport.support import free_port
from triton_users.locust_compat.interrupts import END_LIMIT_S
from triton_users.server import EmbeddedTriton

ROOT = Path(__file__).parent.parent
MONITORING = ROOT / "docs" / "monitoring"
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


def test_every_image_is_pinned() -> None:
    for name, service in COMPOSE["services"].items():
        assert "build" in service or service["image"].rpartition(":")[2] not in ("", "latest"), name


def test_what_is_published_is_on_loopback_only() -> None:
    published = {name: each["ports"] for name, each in COMPOSE["services"].items() if "ports" in each}
    assert published == {
        "master": ["127.0.0.1:8089:8089"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


@pytest.mark.parametrize("name", ["repository", "master", "worker"])
def test_our_containers_have_no_rights_and_cannot_write_their_root(name: str) -> None:
    service = COMPOSE["services"][name]
    assert "user" not in service, "the image's own is no root"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    writable = {each.partition(":")[2] for each in service.get("volumes", ())}
    (made,) = (command for command in test_image.BASE.all("RUN") if "install --directory" in command)
    assert writable <= set(made.split()), "a new volume belongs to whom the image's folder belongs to"


def test_a_master_that_is_told_to_end_has_the_time_for_its_report() -> None:
    assert float(COMPOSE["services"]["master"]["stop_grace_period"].removesuffix("s")) > END_LIMIT_S


def test_the_profile_adds_prometheus_and_grafana_and_nothing_else() -> None:
    profiles = {name: each["profiles"] for name, each in COMPOSE["services"].items() if "profiles" in each}
    assert profiles == {"prometheus": ["monitoring"], "grafana": ["monitoring"]}
    for name in profiles:
        for volume in COMPOSE["services"][name]["volumes"]:
            source, _, mode = volume.split(":")
            assert (ROOT / source).is_file()
            assert mode == "ro"


@pytest.mark.prometheus
def test_prometheus_takes_its_configuration() -> None:
    assert shutil.which("promtool"), "promtool is missing; on Debian: apt-get install prometheus"
    subprocess.run(["promtool", "check", "config", str(MONITORING / "prometheus.yml")], check=True, timeout=60)


def test_prometheus_scrapes_the_run_and_the_server() -> None:
    jobs = yaml.safe_load((MONITORING / "prometheus.yml").read_text())["scrape_configs"]
    (run, server) = (each["static_configs"][0]["targets"][0] for each in jobs)
    command = COMPOSE["services"]["master"]["command"]
    assert run == f"master:{command[command.index('--prometheus-port') + 1]}"
    assert command[command.index("--prometheus-host") + 1] == "0.0.0.0"
    assert f"http://{server}/metrics" == command[command.index("--metrics-url") + 1]


def test_grafana_has_the_data_source_and_the_dashboard() -> None:
    (source,) = yaml.safe_load((MONITORING / "datasources.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    dashboard = json.loads((ROOT / "docs/grafana-dashboard.json").read_text())
    (variable,) = dashboard["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", source["type"])
    (provider,) = yaml.safe_load((MONITORING / "dashboards.yml").read_text())["providers"]
    mounted = [volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    assert any(Path(each).parent == Path(provider["options"]["path"]) for each in mounted)


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
            "0.0.0.0": "127.0.0.1", "grpc://triton:8001": f"grpc://{triton.grpc_url}", "9646": str(free_port()),
            "http://triton:8002/metrics": triton.metrics_url,
        }),
        "--report-dir", str(tmp_path / "r"),
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
