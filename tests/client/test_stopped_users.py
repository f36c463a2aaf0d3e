"""What is under way when a user is stopped is let to its end, for a while: nobody wants a run to end with cancels.

Triton 2.51 crashes now and then when a client cancels requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import gevent
import numpy as np
import pytest
from gevent.queue import Queue
from h2.errors import ErrorCodes
from locust.event import EventHook
from tritonclient.grpc import InferInput, service_pb2

from tests.transport.peers.h2_server import RESPONSE, H2Connection, H2Server, h2_server
from tests.transport.support import wait_until
from triton_users.client.client import TritonClient
from triton_users.client.encoded import EncodedRequest, EncodedStream
from triton_users.client.rpc_events import RpcEvents
from triton_users.transport import ChannelOptions
from triton_users.users import TritonGrpcUser


@pytest.fixture
def server() -> Iterator[H2Server]:
    """A server that answers nothing by itself."""
    with h2_server() as server:
        server.on_request = lambda *_: None
        yield server


class Heard:
    """Rows of Locust's statistics, and requests that nobody waited for any more."""

    def __init__(self) -> None:
        self.rows: list[str | None] = []
        self.given_up = 0
        request, unanswered = EventHook(), EventHook()
        request.add_listener(self._on_request)
        unanswered.add_listener(self._on_unanswered)
        self.rpc_events = RpcEvents(request, unanswered=unanswered)

    def _on_request(self, exception: Exception | None, **_: Any) -> None:
        self.rows.append(None if exception is None else str(exception))

    def _on_unanswered(self, **_: Any) -> None:
        self.given_up += 1


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def connect(server: H2Server, heard: Heard) -> Iterator[Callable[[float], TritonClient]]:
    clients = []

    def connect(drain_s: float) -> TritonClient:
        options = ChannelOptions(drain_s=drain_s)
        clients.append(TritonClient(server.target, rpc_events=heard.rpc_events, channel_options=options))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def at_the_server(server: H2Server) -> H2Connection:
    wait_until(lambda: server.connections and server.connections[0].requests)
    gevent.sleep(0.01)
    connection: H2Connection = server.connections[0]
    return connection


def kill_while(job: gevent.Greenlet[..., Any], what: Callable[[], Any]) -> None:
    """Kill `job`, do something while it still goes on, and wait for its end."""
    killer = gevent.spawn(job.kill)
    gevent.sleep(0.05)
    assert not job.dead
    what()
    killer.join(timeout=5)
    assert job.dead


def test_a_users_connections_are_drained() -> None:
    assert TritonGrpcUser.channel_options.drain_s > 0


def test_the_answer_of_a_request_is_awaited_and_counted(
    server: H2Server, connect: Callable[[float], TritonClient], heard: Heard
) -> None:
    client, after = connect(5.0), []

    def user() -> None:
        client.is_server_live()
        after.append("went on")

    job = gevent.spawn(user)
    connection = at_the_server(server)
    kill_while(job, lambda: connection.answer(1, bytes(5)))
    assert (heard.rows, heard.given_up, connection.resets) == ([None], 0, {})
    assert after == []


def test_an_answer_that_is_an_error_is_a_failure_and_ends_the_user_all_the_same(
    server: H2Server, connect: Callable[[float], TritonClient], heard: Heard
) -> None:
    client, after = connect(5.0), []

    def user() -> None:
        try:
            client.is_server_live()
        except Exception as error:  # noqa: BLE001 - as a careless user does
            after.append(error)

    job = gevent.spawn(user)
    connection = at_the_server(server)
    kill_while(job, lambda: connection.answer(1, b"", status=13))
    assert (len(heard.rows), heard.rows[0] is not None, heard.given_up, connection.resets) == (1, True, 0, {})
    assert after == []


def test_a_request_that_takes_longer_is_cancelled(
    server: H2Server, connect: Callable[[float], TritonClient], heard: Heard
) -> None:
    job = gevent.spawn(connect(0.1).is_server_live)
    connection = at_the_server(server)
    began_s = perf_counter()
    job.kill()
    assert 0.09 < perf_counter() - began_s < 2
    wait_until(lambda: connection.resets)
    assert (heard.rows, heard.given_up, connection.resets) == ([], 1, {1: ErrorCodes.CANCEL})


def test_who_is_killed_twice_waits_no_longer(
    server: H2Server, connect: Callable[[float], TritonClient], heard: Heard
) -> None:
    job = gevent.spawn(connect(60.0).is_server_live)
    at_the_server(server)
    kill_while(job, lambda: job.kill(timeout=5))
    assert (heard.rows, heard.given_up) == ([], 1)


def test_a_deadline_holds_meanwhile(server: H2Server, connect: Callable[[float], TritonClient], heard: Heard) -> None:
    job = gevent.spawn(connect(60.0).is_server_live, client_timeout=0.3)
    at_the_server(server)
    job.kill(timeout=5)
    assert job.dead
    assert (len(heard.rows), heard.given_up) == (1, 0)


def test_a_timeout_of_the_users_own_still_cancels_at_once(
    server: H2Server, connect: Callable[[float], TritonClient]
) -> None:
    client = connect(60.0)
    began_s = perf_counter()
    with gevent.Timeout(0.2, False):
        client.is_server_live()
    assert perf_counter() - began_s < 2
    wait_until(lambda: server.connections and server.connections[0].resets)


def response(request_id: str) -> bytes:
    message = service_pb2.ModelStreamInferResponse()
    message.infer_response.id = request_id
    message.infer_response.parameters["triton_final_response"].bool_param = True
    encoded: bytes = message.SerializeToString()
    return b"\0" + len(encoded).to_bytes(4, "big") + encoded


def end(connection: H2Connection, stream_id: int, *_: Any) -> None:
    """As a server does when the client has said that no more requests follow."""
    connection.h2.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)


def answer(connection: H2Connection, numbers: str) -> None:
    """Answer the requests of these ids on the first stream."""
    assert connection.finished == 0, "it was half-closed while requests waited"
    connection.h2.send_headers(1, RESPONSE)
    connection.h2.send_data(1, b"".join(map(response, numbers)))
    connection.flush()


def model_user(client: TritonClient, drain_s: float) -> None:
    """Sends three requests on a stream, and drains it when killed."""
    stream = EncodedStream(client.channel)
    for number in "abc":
        request = service_pb2.ModelInferRequest(model_name="m", id=number)
        stream.send(EncodedRequest("m", number, request.SerializeToString()))
    try:
        while True:
            stream.receive(30.0)
    except gevent.GreenletExit:
        stream.drain(drain_s)
        raise


def test_the_responses_on_a_stream_are_awaited_and_counted_and_the_server_ends_it(
    server: H2Server, connect: Callable[[float], TritonClient], heard: Heard
) -> None:
    server.on_request = end
    job = gevent.spawn(model_user, connect(5.0), 5.0)
    connection = at_the_server(server)
    kill_while(job, lambda: answer(connection, "abc"))
    assert (heard.rows, heard.given_up, connection.resets) == ([None] * 3, 0, {})
    assert connection.finished == 1


def test_what_does_not_come_on_a_stream_is_cancelled(
    server: H2Server, connect: Callable[[float], TritonClient], heard: Heard
) -> None:
    job = gevent.spawn(model_user, connect(5.0), 0.1)
    connection = at_the_server(server)
    connection.h2.send_headers(1, RESPONSE)
    connection.h2.send_data(1, response("a"))
    connection.flush()
    began_s = perf_counter()
    job.kill()
    assert perf_counter() - began_s < 2
    wait_until(lambda: connection.resets)
    assert connection.resets == {1: ErrorCodes.CANCEL}
    wait_until(lambda: heard.given_up)
    assert (heard.rows, heard.given_up) == ([None], 2)


def user_of_tritonclient(client: TritonClient) -> None:
    """Sends two requests with tritonclient's own calls, is killed while it waits, and drains its stream."""
    answers: Queue[Any] = Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    try:
        for number in "ab":
            tensor = InferInput("x", [1], "INT32").set_data_from_numpy(np.ones(1, np.int32))
            client.async_stream_infer("m", [tensor], request_id=number)
        while True:
            answers.get()
    finally:
        client.drain_stream()


def test_a_stream_of_tritonclients_own_calls_is_drained_too(
    server: H2Server, connect: Callable[[float], TritonClient], heard: Heard
) -> None:
    server.on_request = end
    job = gevent.spawn(user_of_tritonclient, connect(5.0))
    connection = at_the_server(server)
    kill_while(job, lambda: answer(connection, "ab"))
    assert (heard.rows, heard.given_up, connection.resets) == ([None] * 2, 0, {})
    assert connection.finished == 1


@pytest.mark.parametrize("drain_s", [0.0, 0.1])
def test_what_does_not_come_on_that_is_cancelled(
    server: H2Server, connect: Callable[[float], TritonClient], heard: Heard, drain_s: float
) -> None:
    job = gevent.spawn(user_of_tritonclient, connect(drain_s))
    connection = at_the_server(server)
    began_s = perf_counter()
    job.kill()
    assert perf_counter() - began_s < 2
    wait_until(lambda: connection.resets)
    assert connection.resets == {1: ErrorCodes.CANCEL}
    wait_until(lambda: heard.given_up)
    assert (heard.rows, heard.given_up) == ([], 2)
