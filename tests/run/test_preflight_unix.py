"""Servers that perf_analyzer cannot be driven at; a Unix socket is the same server however it is written."""

import pytest

from triton_users.run.preflight import with_perf_analyzer
from triton_users.scenarios.base import Target
from triton_users.settings import ConnectionSettings


@pytest.mark.parametrize("host", ["unix:/run/triton.sock", "unix:///run/triton.sock"])
def test_perf_analyzer_is_not_driven_over_a_unix_socket(host: str) -> None:
    target = with_perf_analyzer(Target(address="", models=frozenset()), host, ConnectionSettings())
    assert "only driven over grpc://" in target.perf_analyzer_remedy


def test_perf_analyzer_is_not_driven_with_headers_that_its_command_line_cannot_hold() -> None:
    headers = ConnectionSettings(grpc_header=(("x-trace-bin", b"\x00"),))
    target = with_perf_analyzer(Target(address="", models=frozenset()), "grpc://a:1", headers)
    assert "cannot send headers of bytes" in target.perf_analyzer_remedy
