"""Timeout, as the locust command runs it, against a server that deals wrongly with the 1 GiB request."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.end_to_end.locust_process import ROOT, run_locust

SERVER = ROOT / "tests" / "defective_models" / "early_answer.py"


@contextmanager
def server(mode: str) -> Iterator[str]:
    """The address of `early_answer.py` in this mode; it ends when its standard input is closed."""
    command = [sys.executable, str(SERVER), mode]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"grpc://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.communicate(timeout=10)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("answer", "was answered after"),
        ("refuse", "not with DEADLINE_EXCEEDED"),
        ("hang", "on the same connection"),
    ],
)
def test_a_server_that_deals_wrongly_with_it_fails_the_run(tmp_path: Path, mode: str, reason: str) -> None:
    with server(mode) as address:
        ended = run_locust(tmp_path, "-H", address, "-t", "4s", "--scenarios", "Timeout", "--trials", "custom_nobatch",
                           "--request-timeout-ms", "1000")  # fmt: skip
    assert ended.exit_code == 1, ended.output
    failures = ended.scenario("Timeout")["evidence"]["failures"]
    assert reason in failures[0]["reason"]
