"""A real Triton for other people's pytest suites: `pytest_plugins = ["triton_users.pytest_plugin"]` in a conftest.py.

The suite needs no Locust users and no gevent for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from triton_users.server import EmbeddedTriton


@pytest.fixture(scope="session")
def embedded_triton() -> Iterator[Callable[..., EmbeddedTriton]]:
    """Starts an EmbeddedTriton with the arguments it is called with; what it has started ends with the session.

        @pytest.fixture(scope="session")
        def triton(embedded_triton):
            return embedded_triton("models", models=["mine"])

        def test_mine_answers(triton):
            client = tritonclient.grpc.InferenceServerClient(triton.grpc_url)

    A test that wants one for itself alone says `with EmbeddedTriton(...) as triton`.
    """
    started: list[EmbeddedTriton] = []

    def start(*arguments: Any, **options: Any) -> EmbeddedTriton:
        triton = EmbeddedTriton(*arguments, **options)
        started.append(triton)
        return triton.start()

    try:
        yield start
    finally:
        for triton in reversed(started):
            triton.stop()
