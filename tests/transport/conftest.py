"""What the transport's tests share: grpcio's server in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.transport.certificates import Certificates
from tests.transport.peers.h2_server import H2Server, h2_server

# The machine is shared, so a slow example says nothing.


@contextmanager
def running_grpcio_server(*arguments: str) -> Iterator[int]:
    """Start the peer; its port. It ends when its standard input is closed, so also when this process dies."""
    command = [sys.executable, "-m", "tests.transport.peers.grpcio_server", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.stdout.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="session")
def grpcio_port() -> Iterator[int]:
    """The port of a grpcio server that all tests share."""
    with running_grpcio_server() as port:
        yield port


@pytest.fixture
def grpcio_server() -> Iterator[Callable[..., int]]:
    """Starts grpcio servers with arguments of the test's own."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(running_grpcio_server(*arguments))


@pytest.fixture
def server() -> Iterator[H2Server]:
    """`h2`'s server in this process, for one test."""
    with h2_server() as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, and a server's and a client's certificate."""
    return Certificates(tmp_path_factory.mktemp("certificates"))
