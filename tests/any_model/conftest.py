"""One real Triton with models of every kind, for the tests of this folder."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.any_model.repository import make
from triton_users import server
from triton_users.client.client import TritonClient


@pytest.fixture(scope="session")
def any_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.EmbeddedTriton]:
    with server.EmbeddedTriton(make(tmp_path_factory.mktemp("any") / "models")) as running:
        yield running


@pytest.fixture
def client(any_triton: server.EmbeddedTriton) -> Iterator[Any]:
    opened = TritonClient(f"grpc://{any_triton.grpc_url}")
    yield opened
    opened.close()
