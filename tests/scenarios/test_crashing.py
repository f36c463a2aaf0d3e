"""The Crashing scenario: the child process against a gRPC server of `h2`, the proof against made-up statistics."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import pytest
from gevent import GreenletExit
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived
from tritonclient.grpc import service_pb2

from tests.scenarios.fakes import FakeClient, FakeClock, Request, make_session, status_error
from tests.scenarios.grpc_peer import Answer, GrpcPeer
from triton_users.scenarios.base import SENT_ELSEWHERE, ScenarioFailure, Session, Skip, Target
from triton_users.scenarios.crash_client import Answer as Answered
from triton_users.scenarios.crash_client import ClientProcess
from triton_users.scenarios.crashing import Crashing, CrashingPlan, doomed_request
from triton_users.scenarios.models import SLOW_MODEL, WITNESS_MODEL
from triton_users.settings import Settings
from triton_users.system.priority import yields

PLAN = CrashingPlan("SIGKILL", 100, 0.01, (3, 1, 4))


class CrashClient(FakeClient):
    """Its witness says that the request executes, from after `begins` questions until after `ends`."""

    def __init__(self, begins: int = 0, ends: int = 2) -> None:
        super().__init__(self.reply)
        self.begins, self.ends = begins, ends
        self.asked: list[list[int]] = []
        self.live = self.ready = True
        self.index = service_pb2.RepositoryIndexResponse()
        self.closed = 0

    def reply(self, request: Request) -> Any:
        if request.model != WITNESS_MODEL:
            return request.array
        self.asked.append(request.array.tolist())
        return np.array([self.begins < len(self.asked) <= self.ends], np.int64)

    def is_server_live(self, **kwargs: Any) -> bool:
        return self.live

    def is_server_ready(self, **kwargs: Any) -> bool:
        return self.ready

    def get_model_repository_index(self, **kwargs: Any) -> service_pb2.RepositoryIndexResponse:
        return self.index

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
        assert Crashing(session).run(CrashingPlan(signal, 100, 0.01, (3, 1, 4))) == 1 + 3 + 2
    request = service_pb2.ModelInferRequest.FromString(server.request)
    assert request.model_name == SLOW_MODEL
    assert request.parameters["sequence_id"].int64_param == session.correlation_ids[100]
    assert session.client.asked == [[session.correlation_ids[100], -1]] * 3
    assert request.raw_input_contents[0] == np.array([3, 1, 4], np.float32).tobytes()
    assert children() == before


def test_the_child_yields_to_the_users_while_it_lives() -> None:
    seen: list[bool] = []

    class Looking(CrashClient):
        def reply(self, request: Request) -> Any:
            seen.extend(yields(pid) for pid in children() - before)
            return super().reply(request)

    before = children()
    with session_with(SlowServer(), Looking()) as session:
        Crashing(session).run(PLAN)
    assert seen[0]


def test_afterwards_a_fresh_connection_is_asked_and_closed() -> None:
    fresh = CrashClient()
    with session_with(SlowServer()) as session:
        session.connect = lambda: fresh
        Crashing(session).run(PLAN)
    assert [request.model for request in fresh.requests] == ["custom_nobatch_zero_1_float32"] * 2
    assert fresh.closed == 2, "one right after the kill and one when the execution had ended"
    assert {request.model for request in session.client.requests} == {WITNESS_MODEL}


def test_a_child_that_reaches_no_server_is_a_failure() -> None:
    with GrpcPeer(SlowServer()) as peer:
        gone = peer.address
    session = make_session(CrashClient(), target=Target(gone, frozenset()), request_timeout_ms=5000)
    with pytest.raises(ScenarioFailure, match=r"never reached the server: .*ConnectionRefusedError") as caught:
        Crashing(session).run(PLAN)
    assert caught.value.requests == 0


def test_what_a_proxy_answers_in_the_servers_place_is_told() -> None:
    page = ("503", b"<html><h1>Service Unavailable</h1>\nno backend" + b"." * 5000)
    with GrpcPeer(SlowServer(), page=page) as peer:
        session = make_session(CrashClient(begins=10**9), target=Target(peer.address, frozenset()), sleep=gevent.sleep)
        with pytest.raises(
            ScenarioFailure,
            match=r"was seen to execute it: the server answered :status 503, content-type text/html; "
            r"<html><h1>Service Unavailable</h1> no backend\.+$",
        ):
            Crashing(session).run(PLAN)


def test_a_goaway_in_the_place_of_an_answer_is_told() -> None:
    answer = Answered()
    answer.take(f"frame 7 0 {(0).to_bytes(4, 'big').hex()}{(11).to_bytes(4, 'big').hex()}{b'too_many_pings'.hex()}")
    assert str(answer) == "the server sent GOAWAY with HTTP/2 error 11 too_many_pings"


def test_a_kill_that_came_too_late_proves_nothing() -> None:
    """The machine had no time for us, and the execution has its end."""
    clock = FakeClock()
    with session_with(SlowServer(), CrashClient(ends=1)) as session:
        session.clock = clock

        def oversleep(seconds: float) -> None:
            clock.sleep(12.0)

        session.sleep = oversleep
        with pytest.raises(Skip, match="the kill was due while custom_zero_1_float32 executed the request"):
            Crashing(session).run(PLAN)


def test_a_slow_model_that_still_executes_what_others_left_is_waited_for() -> None:
    client = CrashClient(begins=60, ends=64)
    ended = iter(range(10**6))
    client.statistics = lambda: ((done := next(ended)), done * 10.0)
    with session_with(SlowServer(), client, request_timeout_ms=500) as session:
        Crashing(session).run(PLAN)


def test_a_request_that_is_answered_before_the_kill_is_a_failure() -> None:
    def hasty(method: str, received: bytes, ended: bool) -> bytes | None:
        return b"" if ended else None

    with (
        session_with(hasty) as session,
        pytest.raises(ScenarioFailure, match=r"never reached the server: ended|ended with 1, not by SIGKILL"),
    ):
        Crashing(session).run(CrashingPlan("SIGKILL", 100, 0.3, (1,)))


def not_ready_for(model: str) -> CrashClient:
    client = CrashClient()
    client.ready = False
    client.index.models.add(name=model, version="1", state="UNAVAILABLE", reason="unloaded")
    return client


def test_a_server_that_is_not_ready_for_a_model_the_killed_client_never_asked_proves_nothing() -> None:
    with session_with(SlowServer()) as session:
        session.connect = lambda: not_ready_for("custom_sequence_int32")
        with pytest.raises(Skip, match=r"had to do with: custom_sequence_int32 \(UNAVAILABLE: unloaded\)"):
            Crashing(session).run(PLAN)


def test_a_server_that_is_not_ready_for_the_killed_client_s_model_fails_and_names_it() -> None:
    with session_with(SlowServer()) as session:
        session.connect = lambda: not_ready_for(SLOW_MODEL)
        with pytest.raises(ScenarioFailure, match=rf"not ready: {SLOW_MODEL} \(UNAVAILABLE: unloaded\)"):
            Crashing(session).run(PLAN)


def test_the_slow_model_counts_as_one_that_was_sent_requests() -> None:
    with session_with(SlowServer()) as session:
        Crashing(session).run(PLAN)
    assert session.shared[SENT_ELSEWHERE] == {
        SLOW_MODEL: (1, "clients that were killed"),
        WITNESS_MODEL: (None, f"{SLOW_MODEL}, inside the server,"),
    }


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
    assert caught.value.requests == 3
    assert client.closed == 1


def test_a_server_that_has_gone_fails() -> None:
    client = CrashClient()

    def gone(**kwargs: Any) -> bool:
        raise status_error("UNAVAILABLE", "failed to connect")

    client.is_server_live = gone  # type: ignore[method-assign]
    with session_with(SlowServer(), client) as session, pytest.raises(ScenarioFailure, match="failed to connect"):
        Crashing(session).run(PLAN)


def test_a_fresh_request_that_fails_is_a_failure() -> None:
    fresh = FakeClient(lambda request: status_error("INTERNAL", "stub process is not healthy"))
    with session_with(SlowServer()) as session:
        session.connect = lambda: fresh
        with pytest.raises(ScenarioFailure, match="not healthy"):
            Crashing(session).run(PLAN)


def test_the_kill_waits_until_the_request_executes() -> None:
    client = CrashClient(begins=5, ends=9)
    with session_with(SlowServer(), client) as session:
        assert Crashing(session).run(PLAN) == 1 + 10 + 2
    assert len(client.asked) == 10


def test_a_request_that_is_read_but_never_executed_is_a_failure() -> None:
    with (
        session_with(SlowServer(), CrashClient(begins=10**9), request_timeout_ms=500) as session,
        pytest.raises(ScenarioFailure, match=r"has read request \d+ but not begun it, after \d\.\d s; .* did nothing"),
    ):
        Crashing(session).run(PLAN)


def test_a_request_that_is_over_before_the_kill_is_a_failure() -> None:
    with (
        session_with(SlowServer(), CrashClient(ends=1)) as session,
        pytest.raises(ScenarioFailure, match=r"executed request \d+ for less than 0\.01 s"),
    ):
        Crashing(session).run(PLAN)


def test_an_execution_that_outlives_its_client_for_too_long_is_a_failure() -> None:
    with (
        session_with(SlowServer(), CrashClient(ends=10**9), request_timeout_ms=500) as session,
        pytest.raises(
            ScenarioFailure, match=r"still executes request \d+, whose client is gone, after \d\.\d s; .* did nothing"
        ),
    ):
        Crashing(session).run(PLAN)


def test_a_server_that_dies_when_it_notices_is_a_failure() -> None:
    client = CrashClient()

    def dying(request: Request) -> Any:
        return (
            status_error("UNAVAILABLE", "gone") if len(client.asked) >= 2 and client.closed else client.reply(request)
        )

    client.answer = dying
    with (
        session_with(SlowServer(), client) as session,
        pytest.raises(ScenarioFailure, match=r"killed by SIGKILL .*gone"),
    ):
        Crashing(session).run(PLAN)


def test_a_witness_that_does_not_answer_is_a_failure() -> None:
    client = CrashClient()
    client.answer = lambda request: status_error("UNAVAILABLE", "gone")
    with (
        session_with(SlowServer(), client) as session,
        pytest.raises(ScenarioFailure, match=r"before the kill: .*gone"),
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


def wait_until(condition: Callable[[], bool], limit_s: float = 5.0) -> bool:
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        gevent.sleep(0.01)
    return condition()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("authority", ["", "triton.example"])
def test_a_child_s_authority_is_the_address_unless_the_ingress_routes_by_another(host: str, authority: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as ingress:
        ingress.settimeout(10)
        address = f"[{host}]:{ingress.getsockname()[1]}" if ":" in host else f"{host}:{ingress.getsockname()[1]}"
        with ClientProcess(Target(address, MODELS, authority=authority), doomed_request(1, (1,))):
            connection, _ = ingress.accept()
            with connection:
                connection.settimeout(10)
                assert (authority or address).encode() in connection.recv(4096)


@pytest.mark.parametrize("length", [0, 126, 127, 128, 254, 255, 1000, 9000])
def test_a_child_sends_the_run_s_headers_and_its_command_line_does_not_have_them(length: int) -> None:
    value = "s3cret!" * length
    headers = (("authorization", value[:length]), ("x-b-bin", b"\x00\x01"))
    with socket.create_server(("127.0.0.1", 0)) as ingress:
        ingress.settimeout(10)
        address = f"127.0.0.1:{ingress.getsockname()[1]}"
        with ClientProcess(Target(address, MODELS), doomed_request(1, (1,)), headers) as child:
            connection, _ = ingress.accept()
            with connection:
                connection.settimeout(10)
                h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
                h2.initiate_connection()
                events: list[object] = []
                while not any(isinstance(event, RequestReceived) for event in events):
                    events += h2.receive_data(connection.recv(65536))
            command_line = Path(f"/proc/{child._process.pid}/cmdline").read_bytes()
    (request,) = [event for event in events if isinstance(event, RequestReceived)]
    assert request.headers[-2:] == [("authorization", value[:length]), ("x-b-bin", "AAE")]
    assert b"s3cret" not in command_line


def test_a_child_whose_parent_has_gone_ends_by_itself() -> None:
    with GrpcPeer(SlowServer()) as peer, ClientProcess(Target(peer.address, MODELS), doomed_request(1, (1,))) as child:
        assert [child.says(5) for _ in range(3)] == ["started", "connected", "reached"]
        child._process.stdin.close()
        assert wait_until(lambda: child._process.poll() is not None)
        assert child._process.poll() == 1


MODELS = frozenset([SLOW_MODEL, WITNESS_MODEL, "onnx_nobatch_zero_1_float32"])


def test_with_its_models_it_can_run() -> None:
    assert Crashing.unavailable(Target("a:1", MODELS), Settings(seed=1)) == ""


@pytest.mark.parametrize(("address", "secure"), [("a:1", True), ("unix:/run/triton", False)])
def test_where_its_client_cannot_connect_it_says_so(address: str, secure: bool) -> None:
    assert "speaks plain TCP alone" in Crashing.unavailable(Target(address, MODELS, secure=secure), Settings(seed=1))


@pytest.mark.parametrize(
    ("missing", "named"),
    [(SLOW_MODEL, SLOW_MODEL), (WITNESS_MODEL, WITNESS_MODEL), ("onnx_nobatch_zero_1_float32", "custom_nobatch_zero")],
)
def test_without_one_of_its_models_it_says_what_to_load(missing: str, named: str) -> None:
    assert named in Crashing.unavailable(Target("a:1", MODELS - {missing}), Settings(seed=1))
