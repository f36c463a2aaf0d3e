"""A stream that the server ends: seen, counted, and told to the user's callback, whatever it ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import numpy as np
import pytest
from h2.errors import ErrorCodes
from locust.event import EventHook
from tritonclient.grpc import InferInput, service_pb2
from tritonclient.utils import InferenceServerException

from tests.transport.peers.h2_server import RESPONSE, H2Connection, H2Server, h2_server
from triton_users.client.client import TritonClient
from triton_users.client.rpc_events import RpcEvents


@pytest.fixture
def server() -> Iterator[H2Server]:
    with h2_server() as server:
        yield server


class Heard:
    """What was told of a stream: rows of Locust, requests given up, and what the callback got."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str | None]] = []
        self.given_up = 0
        self.told: list[Any] = []
        request, unanswered = EventHook(), EventHook()
        request.add_listener(self._on_request)
        unanswered.add_listener(self._on_unanswered)
        self.rpc_events = RpcEvents(request, unanswered=unanswered)

    def _on_request(self, name: str, exception: Exception | None, **_: Any) -> None:
        self.rows.append((name, None if exception is None else str(exception)))

    def _on_unanswered(self, **_: Any) -> None:
        self.given_up += 1

    def callback(self, result: Any, error: InferenceServerException | None) -> None:
        self.told.append(error)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def client(server: H2Server, heard: Heard) -> Iterator[TritonClient]:
    client = TritonClient(f"grpc://{server.target}", rpc_events=heard.rpc_events)
    yield client
    client.close()


def infer(client: TritonClient) -> None:
    tensor = InferInput("INPUT", [1], "INT32")
    tensor.set_data_from_numpy(np.zeros(1, np.int32))
    client.async_stream_infer("m", [tensor])


def until(what: Callable[[], Any]) -> None:
    with gevent.Timeout(5):
        while not what():
            gevent.sleep(0.005)


def with_status(number: int) -> Callable[[H2Connection, int], None]:
    def end(connection: H2Connection, stream_id: int) -> None:
        connection.h2.send_headers(stream_id, [("grpc-status", str(number)), ("grpc-message", "max_age")], True)

    return end


def with_reset(connection: H2Connection, stream_id: int) -> None:
    connection.h2.reset_stream(stream_id, ErrorCodes.CANCEL)


ENDS = pytest.mark.parametrize(
    ("end", "row", "told"),
    [
        (with_status(0), "ended the stream with OK", "[StatusCode.UNAVAILABLE] the server ended the stream with OK"),
        (with_status(1), "[StatusCode.CANCELLED] max_age", "max_age"),
        (with_status(14), "[StatusCode.UNAVAILABLE] max_age", "[StatusCode.UNAVAILABLE] max_age"),
        (with_reset, "[StatusCode.CANCELLED] the server reset", "the server reset the stream with CANCEL"),
    ],
    ids=["OK", "CANCELLED", "UNAVAILABLE", "RST_STREAM"],
)
End = Callable[[H2Connection, int], None]


@ENDS
def test_while_requests_wait(
    server: H2Server, client: TritonClient, heard: Heard, end: End, row: str, told: str
) -> None:
    server.on_headers = lambda connection, stream_id: connection.h2.send_headers(stream_id, RESPONSE)
    client.start_stream(heard.callback)
    for _ in range(3):
        infer(client)
    until(lambda: server.connections and len(server.connections[0].requests.get(1, ({}, b""))[1]) > 30)
    end(server.connections[0], 1)
    server.connections[0].flush()
    until(lambda: heard.told and len(heard.rows) == 3)
    assert [(name, row in str(why)) for name, why in heard.rows] == [("m", True)] * 3
    assert [told in str(error) for error in heard.told] == [True]
    assert heard.given_up == 0


@ENDS
def test_while_nothing_waits(
    server: H2Server, client: TritonClient, heard: Heard, end: End, row: str, told: str
) -> None:
    answer = service_pb2.ModelStreamInferResponse()
    answer.infer_response.model_name = "m"
    body = answer.SerializeToString()
    framed = b"\0" + len(body).to_bytes(4, "big") + body

    def answer_once(connection: H2Connection, stream_id: int) -> None:
        connection.h2.send_headers(stream_id, RESPONSE)
        connection.h2.send_data(stream_id, framed)

    server.on_headers = answer_once
    client.start_stream(heard.callback)
    infer(client)
    until(lambda: heard.told == [None])
    end(server.connections[0], 1)
    server.connections[0].flush()
    until(lambda: len(heard.told) == 2 and len(heard.rows) == 2)
    assert heard.rows[0] == ("m", None)
    assert heard.rows[1][0] == "ModelStreamInfer"
    assert row in str(heard.rows[1][1])
    assert told in str(heard.told[1])
    for _ in range(2):
        with pytest.raises(InferenceServerException, match="no longer in valid state"):
            infer(client)
    assert [(name, "no longer in valid state" in str(why)) for name, why in heard.rows[2:]] == [("m", True)] * 2
    client.stop_stream()


@pytest.mark.parametrize("stop", [lambda client: client.stop_stream(cancel_requests=True), TritonClient.close])
def test_what_this_client_ends_is_no_failure(
    server: H2Server, client: TritonClient, heard: Heard, stop: Callable[[TritonClient], None]
) -> None:
    server.on_headers = lambda connection, stream_id: connection.h2.send_headers(stream_id, RESPONSE)
    client.start_stream(heard.callback)
    infer(client)
    until(lambda: server.connections and server.connections[0].requests)
    stop(client)
    until(lambda: heard.given_up)
    assert (heard.rows, heard.given_up) == ([], 1)


def test_a_stream_that_this_client_closes_ends_without_a_word(
    server: H2Server, client: TritonClient, heard: Heard
) -> None:
    server.on_request = lambda connection, stream_id, headers, body: connection.answer(stream_id, b"")
    client.start_stream(heard.callback)
    client.stop_stream()
    gevent.sleep(0.05)
    assert (heard.rows, heard.told) == ([], [])
