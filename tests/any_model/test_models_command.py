"""`python -m triton_users models`: what a server serves, as a person reads it."""

import subprocess
import sys

import pytest

from triton_users.server import EmbeddedTriton


def listed(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "triton_users", "models", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.triton
def test_each_model_is_listed_with_what_it_takes_and_what_must_be_told(any_triton: EmbeddedTriton) -> None:
    ended = listed("-H", f"grpc://{any_triton.grpc_url}")
    assert ended.returncode == 0, ended.stderr
    models = ended.stdout
    assert "sum\n  sent      requests, batches of up to 4\n" in models
    assert "  inputs    IN INT32 [4], MORE INT32 [4] optional\n" in models
    assert "repeat\n  sent      requests over a stream, any number of responses each\n" in models
    assert "accumulate\n  sent      sequences over a stream\n" in models
    assert '  add       --shape "open_shape:IN=1,2"   (with sizes of your own for those that are open)\n' in models


@pytest.mark.triton
def test_models_may_be_named_and_one_that_is_not_there_says_so(any_triton: EmbeddedTriton) -> None:
    ended = listed("-H", f"grpc://{any_triton.grpc_url}", "sum", "nobody")
    assert ended.stdout.count("  sent ") == 1
    assert "nobody\n  not described: " in ended.stdout


def test_a_server_that_is_not_there_is_one_line_and_exit_code_2() -> None:
    ended = listed("-H", "grpc://127.0.0.1:9")
    assert ended.returncode == 2
    assert ended.stderr.startswith("triton-users: error: ")
    assert "cannot connect to 127.0.0.1:9" in ended.stderr
    assert ended.stderr.count("\n") == 1
