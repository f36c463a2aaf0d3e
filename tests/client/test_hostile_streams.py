"""Streams whose server mixes answers up, leaves ids out or answers too often: each request's row is told truly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import gevent
import numpy as np
import pytest
from locust.event import EventHook
from tritonclient.grpc import InferInput, service_pb2

from tests.transport.peers.h2_server import RESPONSE, H2Connection, H2Server, h2_server
from triton_users.client.client import TritonClient
from triton_users.client.encoded import EncodedRequest, EncodedStream, StreamSilent
from triton_users.client.rpc_events import RpcEvents
from triton_users.client.stream_requests import Stray, StreamedCall


class Hostile:
    """A server and a stream to it; a test is the server."""

    def __init__(self, server: H2Server) -> None:
        self.rows: list[tuple[str, str | None]] = []
        self.by_order: list[bool] = []
        self.told: list[tuple[str, int]] = []
        """What the callback got: id and number of outputs."""
        hook = EventHook()
        hook.add_listener(self._on_request)
        self._server = server
        server.on_headers = lambda connection, stream_id: connection.h2.send_headers(stream_id, RESPONSE)
        self.client = TritonClient(f"grpc://{server.target}", rpc_events=RpcEvents(hook))
        self.client.start_stream(self._callback)

    def _on_request(self, name: str, exception: Exception | None, by_order: bool = False, **_: Any) -> None:
        self.rows.append((name, None if exception is None else str(exception)))
        self.by_order.append(by_order)

    def _callback(self, result: Any, error: Exception | None) -> None:
        response = result.get_response() if result is not None else None
        self.told.append((str(error), 0) if response is None else (response.id, len(response.outputs)))

    def send(self, *models: str, request_id: str = "") -> list[str]:
        """One request to each; gives their ids as the server sees them."""
        before = len(self.received())
        for model in models:
            tensor = InferInput("IN", [1], "INT32").set_data_from_numpy(np.zeros(1, np.int32))
            self.client.async_stream_infer(model, [tensor], request_id=request_id)
        until(lambda: len(self.received()) == before + len(models))
        return [request.id for request in self.received()[before:]]

    def received(self) -> list[Any]:
        """The requests that the server has got."""
        if not self._server.connections or 1 not in self._server.connections[0].requests:
            return []
        body, found = bytes(self._server.connections[0].requests[1][1]), []
        while len(body) >= 5 and len(body) >= 5 + (size := int.from_bytes(body[1:5], "big")):
            found.append(service_pb2.ModelInferRequest.FromString(body[5 : 5 + size]))
            body = body[5 + size :]
        return found

    @property
    def connection(self) -> H2Connection:
        return self._server.connections[0]

    def answer(
        self, request_id: str, *, final: bool | None = True, empty: bool = False, error: str = "", stream_id: int = 1
    ) -> None:
        made = service_pb2.ModelStreamInferResponse(error_message=error)
        made.infer_response.id = request_id
        if final is not None:
            made.infer_response.parameters["triton_final_response"].bool_param = final
        if not empty:
            made.infer_response.model_version = "1"
            made.infer_response.outputs.add(name="OUT", datatype="INT32", shape=[1])
            made.infer_response.raw_output_contents.append(bytes(4))
        body = made.SerializeToString()
        connection = self.connection
        connection.h2.send_data(stream_id, b"\0" + len(body).to_bytes(4, "big") + body)
        connection.flush()

    def end(self) -> None:
        connection = self.connection
        connection.h2.send_headers(1, [("grpc-status", "0")], end_stream=True)
        connection.flush()


def until(what: Callable[[], Any]) -> None:
    with gevent.Timeout(5):
        while not what():
            gevent.sleep(0.005)


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with h2_server() as server:
        made = Hostile(server)
        yield made
        made.client.close()


def test_answers_a_b_a_to_requests_without_ids_are_credited_to_the_right_ones(hostile: Hostile) -> None:
    a, b = hostile.send("a", "b")
    hostile.answer(a, final=False)
    hostile.answer(b)
    until(lambda: hostile.rows)
    assert hostile.rows == [("b", None)]
    hostile.answer(a, final=False)
    hostile.answer(a, empty=True)
    until(lambda: len(hostile.rows) == 2)
    assert hostile.rows[1] == ("a", None)
    assert hostile.told == [("", 1)] * 3, "the user gave no ids and asked for no empty end"


def test_requests_of_one_id_that_wait_together_are_told_apart_and_the_user_sees_the_own_id(hostile: Hostile) -> None:
    a, b = [*hostile.send("a", request_id="x"), *hostile.send("b", request_id="x")]
    assert a == "x" != b
    hostile.answer(b)
    until(lambda: hostile.rows)
    assert hostile.rows == [("b", None)]
    assert hostile.told == [("x", 1)]


def test_an_answer_to_one_request_does_not_pass_for_another_ones(hostile: Hostile) -> None:
    a, _ = hostile.send("a", "b")
    hostile.answer(a)
    hostile.answer(a)
    hostile.end()
    until(lambda: len(hostile.rows) == 3)
    (first, second, third) = hostile.rows
    assert first == ("a", None)
    assert second == ("a", f"an answer after the final one: a response with the id '{a}'")
    assert third[0] == "b"
    assert "had not answered" in third[1]


def test_an_answer_to_no_request_is_a_failure(hostile: Hostile) -> None:
    (a,) = hostile.send("a")
    hostile.answer("nobody's")
    hostile.answer(a)
    until(lambda: len(hostile.rows) == 2)
    assert hostile.rows == [
        ("ModelStreamInfer", """an answer to no request: a response with the id "nobody's\""""),
        ("a", None),
    ]


def test_a_stream_that_ends_before_the_final_response_is_a_failure(hostile: Hostile) -> None:
    (a,) = hostile.send("a")
    hostile.answer(a, final=False)
    hostile.end()
    until(lambda: hostile.rows)
    ((model, why),) = hostile.rows
    assert model == "a"
    assert why.endswith(f"1 responses to request '{a}' had come, and no final one")


def test_a_server_that_answers_without_ids_is_matched_by_order_and_says_so(hostile: Hostile) -> None:
    hostile.send("a", "b")
    for _ in range(2):
        hostile.answer("", final=None)
    until(lambda: len(hostile.rows) == 2)
    assert hostile.rows == [("a", None), ("b", None)]
    assert hostile.by_order == [True, True]


def test_an_error_with_the_final_mark_is_one_failure(hostile: Hostile) -> None:
    (a,) = hostile.send("a")
    hostile.answer(a, empty=True, error="no room")
    until(lambda: hostile.rows)
    assert (hostile.rows, hostile.told) == ([("a", "no room")], [("no room", 0)])


def test_a_server_that_never_stops_answering_does_not_get_more_time_for_it(hostile: Hostile) -> None:
    hostile.send("first")
    stream = EncodedStream(hostile.client.channel)
    stream.send(EncodedRequest("m", "A", service_pb2.ModelInferRequest(model_name="m", id="A").SerializeToString()))
    until(lambda: 3 in hostile.connection.requests)

    def answer_for_ever() -> None:
        while hostile.connection.h2.local_flow_control_window(3) > 1000:
            hostile.answer("A", final=False, stream_id=3)
            gevent.sleep(0)

    def read_until_silent() -> StreamedCall | Stray:
        deadline_s = perf_counter() + 0.3
        while True:
            try:
                _, owner = stream.receive(deadline_s - perf_counter())
            except StreamSilent:
                return owner

    server = gevent.spawn(answer_for_ever)
    with gevent.Timeout(5):
        owner = read_until_silent()
    assert not server.ready(), "it still answers"
    server.kill()
    assert isinstance(owner, StreamedCall)
    assert not owner.over


def test_each_request_asks_for_its_end(hostile: Hostile) -> None:
    hostile.send("a")
    (request,) = hostile.received()
    assert request.parameters["triton_enable_empty_final_response"].bool_param
