"""A Unix socket is the same server however it is written."""

import pytest

from triton_users.run.preflight import with_perf_analyzer
from triton_users.scenarios.base import Target


@pytest.mark.parametrize("host", ["unix:/run/triton.sock", "unix:///run/triton.sock"])
def test_perf_analyzer_is_not_driven_over_a_unix_socket(host: str) -> None:
    assert (
        "only driven over grpc://"
        in with_perf_analyzer(Target(address="", models=frozenset()), host).perf_analyzer_remedy
    )
