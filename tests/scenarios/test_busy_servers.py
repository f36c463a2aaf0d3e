"""A sequence without its answers in time, on a real server that is busy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.scenarios.real import open_session
from triton_users import server
from triton_users.scenarios.base import Session, Skip
from triton_users.scenarios.sequence_models import sequence_models
from triton_users.scenarios.sequence_stream import run_sequence

pytestmark = pytest.mark.triton

MODEL = "custom_nobatch_sequence_int32"


@pytest.fixture(scope="module")
def slow() -> Iterator[server.EmbeddedTriton]:
    """Its model takes as many milliseconds for a request as the value sent says."""
    with server.EmbeddedTriton(Path(__file__).parents[1] / "healthy_models/slow", grace_s=0) as triton:
        yield triton


def send(session: Session, correlation_id: int, values: tuple[int, ...]) -> int:
    (model,) = sequence_models(["custom_nobatch"], [MODEL])
    return run_sequence(session, model, session.correlation_ids[correlation_id], values)


def test_a_sequence_that_waits_behind_others_that_are_being_answered_proves_nothing(
    slow: server.EmbeddedTriton, tmp_path: Path
) -> None:
    with open_session(slow, tmp_path) as holder, open_session(slow, tmp_path) as other:
        with open_session(slow, tmp_path, sequence_timeout_ms=2000) as waiting:
            jobs = [gevent.spawn(send, each, 1, (100,) * 60) for each in (holder, other)]
            gevent.sleep(0.5)
            with pytest.raises(Skip, match="still waited for a slot"):
                send(waiting, 1, (1, 2))
        assert [job.get(timeout=30) for job in jobs] == [60, 60]


def test_a_sequence_that_is_still_being_answered_at_its_limit_proves_nothing(
    slow: server.EmbeddedTriton, tmp_path: Path
) -> None:
    with (
        open_session(slow, tmp_path, sequence_timeout_ms=2000) as session,
        pytest.raises(Skip, match="still answering"),
    ):
        send(session, 1, (100,) * 40)
