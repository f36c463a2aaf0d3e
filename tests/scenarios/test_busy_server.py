"""A server with more work than it can do within a request's limit is no broken one; one that is frozen is."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from tests.scenarios.real import open_session
from triton_users import server
from triton_users.scenarios import ALL
from triton_users.scenarios.base import ScenarioFailure, Session, Skip
from triton_users.scenarios.resnet import ResNet
from triton_users.settings import IMAGE_MODEL

pytestmark = pytest.mark.triton

USERS = 6


def test_batches_that_queue_for_longer_than_their_limit_are_no_failures(
    triton: server.EmbeddedTriton, tmp_path: Path
) -> None:
    def play(session: Session, seed: int) -> str:
        resnet = ResNet(session)
        try:
            resnet.run(resnet.plan(random.Random(seed)))
        except Skip as skip:
            assert f"{IMAGE_MODEL} was at work on other requests" in str(skip)
            return "skipped"
        return "passed"

    with ExitStack() as opened:
        sessions = [
            opened.enter_context(open_session(triton, tmp_path, batch_size=8, request_timeout_ms=60_000))
            for _ in range(USERS)
        ]
        for session in sessions:
            ResNet(session)  # draws the pictures, which is none of the server's time
        play(sessions[0], 0)  # whatever a first batch has to wait for
        began = time.monotonic()
        assert play(sessions[0], 0) == "passed"
        limit_ms = int((time.monotonic() - began) * 3000)  # of three batches: two go at once; the last waits for six
        for session in sessions:
            session.settings = dataclasses.replace(session.settings, request_timeout_ms=limit_ms)
        users = [gevent.spawn(play, session, seed) for seed, session in enumerate(sessions)]
        gevent.joinall(users, raise_error=True, timeout=300)
        assert all(not session.signals.deadlines for session in sessions)
    assert "passed" in [user.value for user in users]


@pytest.fixture(scope="module")
def frozen() -> Iterator[server.EmbeddedTriton]:
    """A server that answered, and then is stopped in the middle of whatever it does."""
    with server.EmbeddedTriton(grace_s=0) as triton:
        try:
            yield triton
        finally:
            os.kill(triton.pid, signal.SIGCONT)


@pytest.mark.parametrize("name", ["ResNet", "Timeout", "Crashing"])
def test_a_frozen_server_fails(frozen: server.EmbeddedTriton, tmp_path: Path, name: str) -> None:
    os.kill(frozen.pid, signal.SIGCONT)
    with open_session(frozen, tmp_path, request_timeout_ms=1000, batch_size=2) as session:
        scenario = ALL[name](session)
        os.kill(frozen.pid, signal.SIGSTOP)
        with pytest.raises(ScenarioFailure, match=r"nor did the server tell its statistics|it was silent for"):
            scenario.run(scenario.plan(random.Random(1)))
