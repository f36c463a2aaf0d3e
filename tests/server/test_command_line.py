"""`python -m triton_users.server` as a user meets it."""

import signal
import subprocess
import sys
from pathlib import Path

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
