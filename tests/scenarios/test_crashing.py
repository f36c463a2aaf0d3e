"""The Crashing scenario: the child process against a gRPC server of `h2`, the proof against made-up statistics."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import gevent
import numpy as np
import pytest
from gevent import GreenletExit
from tritonclient.grpc import service_pb2

from tests.scenarios.fakes import FakeClient, make_session, status_error
from tests.scenarios.grpc_peer import Answer, GrpcPeer
from triton_users.scenarios import crashing
from triton_users.scenarios.base import ScenarioFailure, Session, Skip, Target
from triton_users.scenarios.crashing import Crashing, CrashingPlan, doomed_request
from triton_users.scenarios.models import SLOW_MODEL
from triton_users.settings import Settings

PLAN = CrashingPlan("SIGKILL", 0.01, (3, 1, 4))


class CrashClient(FakeClient):
    """Its statistics say that the execution ends `ends_after` questions after the kill, having queued for so long."""

    def __init__(self, ends_after: int = 1, queued_s: float = 0.0) -> None:
        super().__init__(lambda request: request.array)
        self.questions = 0
        self.ends_after, self.queued_s = ends_after, queued_s
        self.live = self.ready = True
        self.closed = 0

    def get_inference_statistics(self, model_name: str, **kwargs: Any) -> Any:
        assert model_name == SLOW_MODEL
        assert kwargs["client_timeout"] > 0
        self.questions += 1
        over = self.questions > self.ends_after
        queue = SimpleNamespace(ns=(5 + (self.queued_s if over else 0)) * 1e9)
        statistics = SimpleNamespace(execution_count=7 + over, inference_stats=SimpleNamespace(queue=queue))
        return SimpleNamespace(model_stats=[statistics])

    def is_server_live(self, **kwargs: Any) -> bool:
        return self.live

    def is_server_ready(self, **kwargs: Any) -> bool:
        return self.ready

    def close(self) -> None:
        self.closed += 1


class SlowServer:
    """Answers nothing; keeps the request it got."""

    def __init__(self) -> None:
        self.request = b""

    def __call__(self, method: str, received: bytes, ended: bool) -> bytes | None:
        if ended:
            self.request = received
        return None


@contextmanager
def session_with(answer: Answer, client: CrashClient | None = None, **settings: Any) -> Iterator[Session]:
    with GrpcPeer(answer) as peer:
        settings = {"request_timeout_ms": 5000, **settings}
        target = Target(peer.address, frozenset())
        yield make_session(client or CrashClient(), target=target, sleep=gevent.sleep, **settings)


def children() -> set[int]:
    """Process ids of our children, ended ones that nobody has waited for included."""
    with open(f"/proc/{os.getpid()}/task/{os.getpid()}/children") as file:
        return set(map(int, file.read().split()))


@pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
def test_the_child_sends_one_whole_request_and_dies_of_the_signal(signal: str) -> None:
    server, before = SlowServer(), children()
    with session_with(server) as session:
        assert Crashing(session).run(CrashingPlan(signal, 0.01, (3, 1, 4))) == 2
    request = service_pb2.ModelInferRequest.FromString(server.request)
    assert request.model_name == SLOW_MODEL
    assert request.raw_input_contents[0] == np.array([3, 1, 4], np.float32).tobytes()
    assert children() == before


def test_afterwards_a_fresh_connection_is_asked_and_closed() -> None:
    fresh = CrashClient()
    with session_with(SlowServer()) as session:
        session.connect = lambda: fresh
        Crashing(session).run(PLAN)
    assert [request.model for request in fresh.requests] == ["custom_nobatch_zero_1_float32"]
    assert fresh.closed == 1
    assert session.client.requests == []


def test_a_child_that_reaches_no_server_is_a_failure() -> None:
    with GrpcPeer(SlowServer()) as peer:
        gone = peer.address
    session = make_session(CrashClient(), target=Target(gone, frozenset()), request_timeout_ms=5000)
    with pytest.raises(ScenarioFailure, match=r"never reached the server: .*ConnectionRefusedError") as caught:
        Crashing(session).run(PLAN)
    assert caught.value.requests == 0


def test_a_request_that_is_answered_before_the_kill_is_a_failure() -> None:
    def hasty(method: str, received: bytes, ended: bool) -> bytes | None:
        return b"" if ended else None

    with (
        session_with(hasty) as session,
        pytest.raises(ScenarioFailure, match=r"never reached the server: ended|ended with 1, not by SIGKILL"),
    ):
        Crashing(session).run(CrashingPlan("SIGKILL", 0.3, (1,)))


@pytest.mark.parametrize("quality", ["live", "ready"])
def test_a_server_that_is_not_live_or_not_ready_fails(quality: str) -> None:
    client = CrashClient()
    setattr(client, quality, False)
    with (
        session_with(SlowServer(), client) as session,
        pytest.raises(
            ScenarioFailure, match=f"killed by SIGKILL in the middle .*: the server is not {quality}"
        ) as caught,
    ):
        Crashing(session).run(PLAN)
    assert caught.value.requests == 2
    assert client.closed == 1


def test_a_server_that_has_gone_fails() -> None:
    client = CrashClient()

    def gone(**kwargs: Any) -> bool:
        raise status_error("UNAVAILABLE", "failed to connect")

    client.is_server_live = gone  # type: ignore[method-assign]
    with session_with(SlowServer(), client) as session, pytest.raises(ScenarioFailure, match="failed to connect"):
        Crashing(session).run(PLAN)


def test_a_fresh_request_that_fails_is_a_failure() -> None:
    client = CrashClient()
    client.answer = lambda request: status_error("INTERNAL", "stub process is not healthy")
    with session_with(SlowServer(), client) as session, pytest.raises(ScenarioFailure, match="not healthy"):
        Crashing(session).run(PLAN)


def test_an_execution_that_ends_later_is_waited_for() -> None:
    client = CrashClient(ends_after=4)
    with session_with(SlowServer(), client) as session:
        session.sleep = lambda seconds: gevent.sleep(0)
        assert Crashing(session).run(PLAN) == 2
    assert client.questions == 5


def test_an_execution_that_never_ends_is_a_failure() -> None:
    with (
        session_with(SlowServer(), CrashClient(ends_after=10**9), request_timeout_ms=300) as session,
        pytest.raises(ScenarioFailure, match=r"has ended no execution for 0\.3 s"),
    ):
        Crashing(session).run(PLAN)


def test_a_request_that_was_only_queued_is_no_crash() -> None:
    with (
        session_with(SlowServer(), CrashClient(queued_s=30)) as session,
        pytest.raises(Skip, match=r"queued for 30\.0 s behind other clients"),
    ):
        Crashing(session).run(PLAN)


def test_a_user_stopped_in_the_middle_takes_its_child_along() -> None:
    before = children()
    started = gevent.event.Event()
    with session_with(SlowServer()) as session:

        def sleep(seconds: float) -> None:
            started.set()
            gevent.sleep(60)

        session.sleep = sleep
        running = gevent.spawn(Crashing(session).run, PLAN)
        assert started.wait(5)
        assert len(children()) == len(before) + 1
        running.kill(GreenletExit, timeout=5)
        assert running.dead
        assert children() == before
        assert session.shared["crashing"].acquire(timeout=0), "the next crash may begin"


def test_one_process_makes_one_crash_at_a_time() -> None:
    with session_with(SlowServer(), request_timeout_ms=50) as session:
        crash = Crashing(session)
        with session.shared["crashing"], pytest.raises(Skip, match="another user's client has been crashing"):
            crash.run(PLAN)


def wait_until(condition: Callable[[], bool], limit_s: float = 5.0) -> bool:
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        gevent.sleep(0.01)
    return condition()


def test_a_child_whose_parent_has_gone_ends_by_itself() -> None:
    with GrpcPeer(SlowServer()) as peer, crashing._Child(peer.address, doomed_request((1,))) as child:
        assert child.say(5) == "reached"
        child._process.stdin.close()
        assert wait_until(lambda: child._process.poll() is not None)
        assert child._process.poll() == 1


def test_over_tls_it_says_that_it_cannot_run() -> None:
    target = Target("127.0.0.1:1", frozenset([SLOW_MODEL, "custom_nobatch_zero_1_float32"]), secure=True)
    assert "speaks no TLS" in Crashing.unavailable(target, Settings(seed=1))


def test_without_its_models_it_says_what_to_load() -> None:
    assert SLOW_MODEL in Crashing.unavailable(Target("a:1", frozenset()), Settings(seed=1))
    assert "custom_nobatch_zero_1_float32" in Crashing.unavailable(
        Target("a:1", frozenset([SLOW_MODEL])), Settings(seed=1)
    )
    ready = frozenset([SLOW_MODEL, "onnx_nobatch_zero_1_float32"])
    assert Crashing.unavailable(Target("a:1", ready), Settings(seed=1)) == ""
