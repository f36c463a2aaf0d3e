"""`python -m triton_users.server` as a user meets it."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from triton_users.server import support
from triton_users.server.__main__ import main
from triton_users.server.repository import model_names
from triton_users.server.support import Machine

REPOSITORY = Path(__file__).parents[2] / "models"


def test_the_doctor_of_a_machine_that_cannot_run_it_says_why(monkeypatch, capsys):
    monkeypatch.setattr(support, "this_machine", lambda: Machine("Linux", "aarch64", (2, 39)))
    assert main(["doctor"]) == 2
    said = capsys.readouterr().out
    assert "machine          Linux aarch64, glibc 2.39" in said
    assert "embedded Triton  no: The embedded Triton cannot run on this machine: it needs Linux on x86_64" in said


def test_installing_on_a_machine_that_cannot_run_it_ends_with_exit_code_2(monkeypatch, capsys):
    monkeypatch.setattr(support, "this_machine", lambda: Machine("Darwin", "arm64", None))
    assert main(["install"]) == 2
    said = capsys.readouterr().err
    assert "--host grpc://" in said
    assert "Traceback" not in said


def test_models_are_not_written_over_what_is_there(tmp_path, capsys):
    assert main(["models", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "--grpc-port", "70000"], "The grpc port is 70000; it must be 1 to 65535, or 0 for any that is free."),
        (["run", "--grpc-port", "8000", "--http-port", "8000"], "8000 for gRPC, 8000 for HTTP"),
        (["run", "--model-repository", "/nowhere"], "No model repository at /nowhere"),
        (["models", "/proc/nowhere/models"], "/proc/nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(capsys, arguments: list[str], complaint: str):
    assert main(arguments) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if complaint in line]
    assert "Traceback" not in line


@pytest.mark.parametrize("arguments", [["run", "--grpc-port", "eight"], ["rum"], []])
def test_what_is_no_command_shows_what_is(capsys, arguments: list[str]):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m triton_users.server" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["run", "--http-port", str(port)]) == 2
    assert f"Port {port} on 127.0.0.1 cannot be the http port: Address already in use" in capsys.readouterr().err


@pytest.mark.triton
def test_run_says_how_the_server_ended_when_it_did_by_itself(tmp_path):
    (tmp_path / "custom_executing").symlink_to(REPOSITORY / "custom_executing")
    command = [sys.executable, "-m", "triton_users.server", "run", "--model-repository", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout.readline().startswith("gRPC")
            (guard,) = psutil.Process(running.pid).children()
            (server,) = guard.children()
            server.kill()
            assert running.wait(30) == 1
            assert "ended by itself, by SIGKILL, which the kernel sends when memory runs out" in running.stderr.read()
        finally:
            running.kill()


@pytest.mark.triton
def test_run_prints_the_addresses_and_stops_on_ctrl_c(tmp_path):
    (tmp_path / "custom_executing").symlink_to(REPOSITORY / "custom_executing")
    command = [sys.executable, "-m", "triton_users.server", "run", "--model-repository", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        try:
            first = running.stdout.readline()
            assert first.startswith("gRPC     grpc://127.0.0.1:")
            running.send_signal(signal.SIGINT)
            assert running.wait(30) == 0
        finally:
            running.kill()


@pytest.mark.triton
def test_models_writes_a_complete_repository_of_plain_files(triton, tmp_path, capsys):
    target = tmp_path / "models"
    assert main(["models", str(target)]) == 0
    assert (target / "resnet_v1_50/1/model.onnx").stat().st_size > 100_000_000
    assert not [path for path in target.rglob("*") if path.is_symlink()]
    assert model_names(target) == model_names(REPOSITORY)
