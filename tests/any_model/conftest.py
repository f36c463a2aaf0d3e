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


@pytest.fixture(autouse=True)
def it_lives(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test in which it ends is told what its log says; the next test gets another one."""
    shared = request.getfixturevalue("any_triton") if "any_triton" in request.fixturenames else None
    yield
    if shared is not None and not shared.running:
        how = shared.how_it_ended()
        shared.stop()
        shared.start()
        pytest.fail(f"the Triton with models of every kind ended during this test: {how}")
