"""A scenario's session on a real server, over the client that users have."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent

from tests.scenarios.fakes import make_session
from triton_users import server
from triton_users.client.client import TritonClient
from triton_users.scenarios.base import Session, Target
from triton_users.scenarios.correlation_ids import id_block


@contextmanager
def open_session(triton: server.EmbeddedTriton, scratch: Path, **settings: Any) -> Iterator[Session]:
    """A user's session."""
    command, environment = server.perf_analyzer_command(server.ensure_installed())
    client = TritonClient(triton.grpc_url)
    try:
        ready = {model.name for model in client.get_model_repository_index().models if model.state == "READY"}
        target = Target(
            triton.grpc_url,
            frozenset(),
            perf_analyzer=tuple(command),
            perf_analyzer_env=tuple(environment.items()),
        )
        session = make_session(
            client,
            target=target,
            models=frozenset(ready),
            connect=lambda: TritonClient(triton.grpc_url),
            clock=time.monotonic,
            sleep=gevent.sleep,
            scratch=scratch,
            **settings,
        )
        session.correlation_ids = id_block(secrets.randbits(63), 0, 0)  # so that no test meets another's open sequences
        yield session
    finally:
        client.close()
