"""What Locust's `request` event says of each RPC and of each request of a stream."""

from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from gevent import GreenletExit
from locust.event import EventHook
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from triton_users.client.client import TritonClient
from triton_users.client.rpc_events import (
    ENDED_EARLY,
    ENDED_IDLE,
    BusyWhenStopped,
    RequestFailure,
    RpcEvents,
    requests_of,
)
from triton_users.transport import CallError
from triton_users.transport.errors import Outcome
from triton_users.transport.observer import StreamInfo

INFER = "/inference.GRPCInferenceService/ModelInfer"


class Heard:
    """A listener of `request` that remembers."""

    def __init__(self) -> None:
        self.hook = EventHook()
        self.events: list[dict[str, Any]] = []
        self.hook.add_listener(lambda **event: self.events.append(event))

    @property
    def only(self) -> dict[str, Any]:
        (event,) = self.events
        return event


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def rpc_events(heard: Heard, unanswered: Heard) -> RpcEvents:
    return RpcEvents(heard.hook, unanswered=unanswered.hook)


def error(code: grpc.StatusCode, details: str, cause: BaseException | None = None, local: bool = False) -> CallError:
    made = CallError(Outcome(code, details, local=local))
    made.__cause__ = cause
    return made


@pytest.fixture
def unanswered() -> Heard:
    return Heard()


def infer_done(rpc_events: RpcEvents, model: str = "m", failure: CallError | None = None) -> None:
    request = SimpleNamespace(model_name=model)
    rpc_events.unary_done(INFER, request, object(), failure, 1.0, 1.25, 1.5, 70, 90)


def request(identity: str = "", model: str = "m") -> Any:
    return SimpleNamespace(id=identity, model_name=model)


def stream() -> StreamInfo:
    return StreamInfo("/inference.GRPCInferenceService/ModelStreamInfer", 0.5)


def response(identity: str = "", message: str = "", final: bool | None = True, empty: bool = False) -> Any:
    """One as Triton gives it; `final` None as a server does that does not know it."""
    made = service_pb2.ModelStreamInferResponse(error_message=message)
    made.infer_response.id = identity
    if final is not None:
        made.infer_response.parameters["triton_final_response"].bool_param = final
    if not empty and not message:
        made.infer_response.model_version = "1"
        made.infer_response.outputs.add(name="OUT")
    return made


def test_an_inference_is_a_row_of_its_model(heard: Heard, rpc_events: RpcEvents) -> None:
    infer_done(rpc_events, model="my_model")
    assert (heard.only["request_type"], heard.only["name"], heard.only["exception"]) == ("grpc", "my_model", None)


def test_the_latency_leaves_out_the_wait_in_the_client(heard: Heard, rpc_events: RpcEvents) -> None:
    infer_done(rpc_events)
    assert heard.only["response_time"] == pytest.approx(250.0)
    assert heard.only["queue_time_ms"] == pytest.approx(250.0)
    assert (heard.only["request_length"], heard.only["response_length"]) == (70, 90)


def test_within_a_scenario_the_row_names_it(heard: Heard, rpc_events: RpcEvents) -> None:
    rpc_events.scenario = "ResNet"
    infer_done(rpc_events, model="resnet_v1_50")
    assert heard.only["name"] == "ResNet resnet_v1_50"


def test_another_rpc_is_a_row_of_its_own_name(heard: Heard, rpc_events: RpcEvents) -> None:
    rpc_events.unary_done("/inference.GRPCInferenceService/ServerLive", object(), object(), None, 1.0, 1.0, 1.1, 0, 2)
    assert heard.only["name"] == "ServerLive"


def test_failures_that_differ_in_ids_only_share_a_row(heard: Heard, rpc_events: RpcEvents) -> None:
    for number in (17, 42_000_000):
        failure = error(grpc.StatusCode.INVALID_ARGUMENT, f"inference request for sequence {number} to model 'm2'")
        infer_done(rpc_events, failure=failure)
    first, second = (repr(event["exception"]) for event in heard.events)
    assert first == second
    assert "m2" in first
    assert "INVALID_ARGUMENT" in first


def test_an_error_that_was_wanted_counts_as_a_success(heard: Heard, rpc_events: RpcEvents) -> None:
    rpc_events.expected = lambda failure: failure.status() == "StatusCode.DEADLINE_EXCEEDED"
    infer_done(rpc_events, failure=error(grpc.StatusCode.DEADLINE_EXCEEDED, "too late"))
    infer_done(rpc_events, failure=error(grpc.StatusCode.UNAVAILABLE, "gone"))
    wanted, unwanted = heard.events
    assert wanted["exception"] is None
    assert isinstance(wanted["expected_error"], RequestFailure)
    assert "gone" in str(unwanted["exception"])


@pytest.mark.parametrize(("end", "busy"), [(GreenletExit(), False), (BusyWhenStopped(), True)])
def test_a_request_that_locust_interrupted_is_unanswered_and_nothing_else(
    heard: Heard, unanswered: Heard, rpc_events: RpcEvents, end: GreenletExit, busy: bool
) -> None:
    rpc_events.scenario = "Crashing"
    infer_done(rpc_events, failure=error(grpc.StatusCode.CANCELLED, "interrupted", cause=end))
    assert heard.events == []
    assert unanswered.only == {
        "scenario": "Crashing", "model": "m", "method": "ModelInfer", "waited_s": 0.25, "busy": busy
    }  # fmt: skip


def test_what_a_scenario_asks_for_evidence_is_not_its_traffic_but_a_users_own_question_is(
    heard: Heard, rpc_events: RpcEvents
) -> None:
    def asked() -> None:
        rpc_events.unary_done(
            "/inference.GRPCInferenceService/ModelStatistics", object(), object(), None, 1.0, 1.0, 2.0, 10, 20
        )

    rpc_events.scenario = "ResNet"
    asked()
    assert heard.events == []
    rpc_events.scenario = ""
    asked()
    assert heard.only["name"] == "ModelStatistics"


def test_a_request_that_this_client_cancelled_is_unanswered_and_one_that_the_server_cancelled_has_failed(
    heard: Heard, unanswered: Heard, rpc_events: RpcEvents
) -> None:
    infer_done(rpc_events, failure=error(grpc.StatusCode.CANCELLED, "Locally cancelled by application!", local=True))
    assert heard.events == []
    assert unanswered.only["model"] == "m"
    infer_done(rpc_events, failure=error(grpc.StatusCode.CANCELLED, "the server reset the stream with CANCEL"))
    assert "reset the stream" in str(heard.only["exception"])


class TestStream:
    def test_responses_belong_to_requests_in_order(self, heard: Heard, rpc_events: RpcEvents) -> None:
        call = stream()
        rpc_events.stream_sent(call, request(model="a"), 1.0, 10)
        rpc_events.stream_sent(call, request(model="b"), 2.0, 20)
        rpc_events.stream_received(call, response(), 2.5, 5)
        rpc_events.stream_received(call, response(), 2.6, 5)
        assert [(event["name"], round(event["response_time"])) for event in heard.events] == [("a", 1500), ("b", 600)]

    def test_an_error_without_an_id_belongs_to_the_oldest_request(self, heard: Heard, rpc_events: RpcEvents) -> None:
        call = stream()
        rpc_events.stream_sent(call, request("1"), 1.0, 10)
        rpc_events.stream_received(call, response("", "no slot"), 1.5, 5)
        assert str(heard.only["exception"]) == "no slot"

    def test_answers_a_b_a_are_two_requests_each_with_its_own_times(self, heard: Heard, rpc_events: RpcEvents) -> None:
        call = stream()
        rpc_events.stream_sent(call, request("A", "a"), 1.0, 10)
        rpc_events.stream_sent(call, request("B", "b"), 1.5, 20)
        rpc_events.stream_received(call, response("A", final=False), 2.0, 5)
        rpc_events.stream_received(call, response("B"), 3.0, 5)
        rpc_events.stream_received(call, last := response("A", final=False), 4.0, 5)
        rpc_events.stream_received(call, response("A", empty=True), 6.0, 2)
        b, a = heard.events
        assert [event["name"] for event in (a, b)] == ["a", "b"]
        assert [event["response_time"] for event in (a, b)] == [3000.0, 1500.0]
        assert [(event["request_length"], event["response_length"]) for event in (a, b)] == [(10, 12), (20, 5)]
        assert a["response"] is last
        assert {name: list(values) for name, values in b["measures"].items()} == {
            "responses": [1],
            "first_response": [1_500_000],
        }
        assert (a["measures"]["responses"], a["measures"]["first_response"]) == ((2,), (1_000_000,))
        assert a["measures"]["inter_response"].sum_us == 2_000_000

    def test_no_response_is_a_legal_answer_that_takes_until_its_end(self, heard: Heard, rpc_events: RpcEvents) -> None:
        call = stream()
        rpc_events.stream_sent(call, request("A"), 1.0, 10)
        rpc_events.stream_received(call, response("A", empty=True), 2.0, 5)
        assert (heard.only["exception"], heard.only["response_time"]) == (None, 1000.0)
        assert heard.only["measures"] == {"responses": (0,)}

    def test_an_error_in_the_middle_fails_the_request_once_when_it_is_over(
        self, heard: Heard, rpc_events: RpcEvents
    ) -> None:
        call = stream()
        rpc_events.stream_sent(call, request("A"), 1.0, 10)
        rpc_events.stream_received(call, response("A", final=False), 2.0, 5)
        rpc_events.stream_received(call, broke := response("A", "broke", final=False), 3.0, 5)
        rpc_events.stream_received(call, response("A", "and again", final=False), 3.5, 5)
        assert heard.events == []
        rpc_events.stream_received(call, response("A", empty=True), 4.0, 5)
        assert (str(heard.only["exception"]), heard.only["response_time"]) == ("broke", 3000.0)
        assert heard.only["response"] is broke
        assert "measures" not in heard.only

    def test_an_error_is_wanted_that_was_so_when_it_came(self, heard: Heard, rpc_events: RpcEvents) -> None:
        call = stream()
        rpc_events.stream_sent(call, request("A"), 1.0, 10)
        rpc_events.expected = lambda failure: "broke" in str(failure)
        rpc_events.stream_received(call, response("A", "broke", final=False), 3.0, 5)
        rpc_events.expected = None
        rpc_events.stream_received(call, response("A", empty=True), 4.0, 5)
        assert (heard.only["exception"], str(heard.only["expected_error"])) == (None, "broke")

    @pytest.mark.parametrize(
        ("identity", "what", "row"),
        [("A", "an answer after the final one", "a"), ("Z", "an answer to no request", "ModelStreamInfer")],
    )
    def test_an_answer_that_nobody_waits_for_is_a_failure_with_its_id(
        self, heard: Heard, rpc_events: RpcEvents, identity: str, what: str, row: str
    ) -> None:
        call = stream()
        for each in "AB":
            rpc_events.stream_sent(call, request(each, "a"), 1.0, 10)
        rpc_events.stream_received(call, response("A"), 2.0, 5)
        rpc_events.stream_received(call, response(identity), 2.0, 5)
        assert [event["exception"] is None for event in heard.events] == [True, False]
        assert heard.events[1]["name"] == row
        assert str(heard.events[1]["exception"]) == f"{what}: a response with the id '{identity}'"
        rpc_events.stream_done(call, None, 3.0)
        assert str(heard.events[2]["exception"]) == ENDED_EARLY, "B did not pass for answered"

    def test_an_answer_before_any_request_is_a_failure(self, heard: Heard, rpc_events: RpcEvents) -> None:
        rpc_events.stream_received(stream(), response("A"), 2.0, 5)
        assert "an answer to no request" in str(heard.only["exception"])

    def test_a_stream_that_ends_before_a_final_response_is_a_failure_that_says_what_came(
        self, heard: Heard, rpc_events: RpcEvents
    ) -> None:
        call = stream()
        rpc_events.stream_sent(call, request("A"), 1.0, 10)
        for at_s in (2.0, 3.0):
            rpc_events.stream_received(call, response("A", final=False), at_s, 5)
        rpc_events.stream_done(call, None, 4.0)
        text = f"{ENDED_EARLY}; 2 responses to request 'A' had come, and no final one"
        assert str(heard.only["exception"]) == text
        assert heard.only["response_length"] == 10

    def test_a_request_that_had_failed_when_we_ended_the_stream_stays_failed(
        self, heard: Heard, unanswered: Heard, rpc_events: RpcEvents
    ) -> None:
        call = stream()
        rpc_events.stream_sent(call, request("A"), 1.0, 10)
        rpc_events.stream_received(call, response("A", "broke", final=False), 3.0, 5)
        rpc_events.stream_done(call, error(grpc.StatusCode.CANCELLED, "by us", local=True), 3.0)
        assert (str(heard.only["exception"]), unanswered.events) == ("broke", [])

    def test_requests_that_waited_to_be_sent_when_the_stream_broke_have_failed_and_are_no_row_of_the_stream(
        self, heard: Heard, rpc_events: RpcEvents
    ) -> None:
        call = stream()
        requests_of(call).add("A", "a")
        rpc_events.stream_done(call, error(grpc.StatusCode.UNAVAILABLE, "refused", local=True), 4.0)
        assert (heard.only["name"], heard.only["request_length"]) == ("a", 0)
        assert "refused" in str(heard.only["exception"])

    def test_answers_without_ids_are_taken_in_order_and_their_events_say_so(
        self, heard: Heard, rpc_events: RpcEvents
    ) -> None:
        call = stream()
        for identity, model in (("A", "a"), ("B", "b")):
            rpc_events.stream_sent(call, request(identity, model), 1.0, 10)
        for identity in ("", "B"):
            rpc_events.stream_received(call, response(identity), 2.0, 5)
        assert [(event["name"], event["by_order"]) for event in heard.events] == [("a", True), ("b", False)]

    def test_answers_out_of_turn_find_their_requests_by_id(self, heard: Heard, rpc_events: RpcEvents) -> None:
        call = stream()
        rpc_events.stream_sent(call, request("1", "a"), 1.0, 10)
        rpc_events.stream_sent(call, request("2", "b"), 1.0, 10)
        for identity in ("2", "1"):
            rpc_events.stream_received(call, response(identity), 2.0, 5)
        assert [event["name"] for event in heard.events] == ["b", "a"]

    def test_requests_that_a_broken_stream_leaves_unanswered_have_failed(
        self, heard: Heard, rpc_events: RpcEvents
    ) -> None:
        call = stream()
        rpc_events.stream_sent(call, request(), 1.0, 10)
        rpc_events.stream_sent(call, request(), 1.0, 10)
        rpc_events.stream_received(call, response(), 1.1, 5)
        rpc_events.stream_done(call, error(grpc.StatusCode.UNAVAILABLE, "reset"), 1.2)
        assert [event["exception"] is None for event in heard.events] == [True, False]

    def test_a_stream_that_we_cancelled_has_not_failed(
        self, heard: Heard, unanswered: Heard, rpc_events: RpcEvents
    ) -> None:
        call = stream()
        rpc_events.stream_sent(call, request(), 1.0, 10)
        rpc_events.stream_sent(call, request(), 2.0, 10)
        rpc_events.stream_received(call, response(), 2.5, 10)
        heard.events.clear()
        rpc_events.stream_done(call, error(grpc.StatusCode.CANCELLED, "by us", local=True), 3.0)
        assert heard.events == []
        assert (unanswered.only["model"], unanswered.only["waited_s"]) == ("m", 1.0)

    def test_a_stream_that_somebody_else_cancelled_fails_each_request_that_waited(
        self, heard: Heard, unanswered: Heard, rpc_events: RpcEvents
    ) -> None:
        call = stream()
        for identity in ("1", "2"):
            rpc_events.stream_sent(call, request(identity), 1.0, 10)
        rpc_events.stream_done(call, error(grpc.StatusCode.CANCELLED, "the server reset the stream with CANCEL"), 3.0)
        assert [str(event["exception"]) for event in heard.events] == [
            "[StatusCode.CANCELLED] the server reset the stream with CANCEL"
        ] * 2
        assert unanswered.events == []

    def test_an_end_with_ok_fails_each_request_that_waited(self, heard: Heard, rpc_events: RpcEvents) -> None:
        call = stream()
        rpc_events.stream_sent(call, request("1"), 1.0, 10)
        rpc_events.stream_sent(call, request("2"), 1.0, 10)
        rpc_events.stream_received(call, response("1"), 1.5, 5)
        rpc_events.stream_done(call, None, 2.0)
        assert [str(event["exception"]) for event in heard.events] == ["None", ENDED_EARLY]

    @pytest.mark.parametrize("sent", [True, False])
    @pytest.mark.parametrize("code", [None, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
    def test_an_end_while_nothing_waits_is_a_failure_of_the_stream(
        self, heard: Heard, rpc_events: RpcEvents, sent: bool, code: grpc.StatusCode | None
    ) -> None:
        call = stream()
        if sent:
            rpc_events.stream_sent(call, request(), 1.0, 10)
            rpc_events.stream_received(call, response(), 1.5, 5)
            heard.events.clear()
        rpc_events.stream_done(call, None if code is None else error(code, "max_age"), 2.0)
        assert heard.only["name"] == "ModelStreamInfer"
        assert ("max_age" if code is not None else ENDED_IDLE) in str(heard.only["exception"])

    def test_the_end_of_a_stream_that_we_closed_is_none(self, heard: Heard, rpc_events: RpcEvents) -> None:
        call = stream()
        rpc_events.stream_sent(call, request(), 1.0, 10)
        rpc_events.stream_received(call, response(), 1.5, 5)
        heard.events.clear()
        call.half_closed = True
        rpc_events.stream_done(call, None, 2.0)
        assert heard.events == []

    def test_a_deadline_of_our_own_is_no_failure_while_nothing_waits(self, heard: Heard, rpc_events: RpcEvents) -> None:
        call = stream()
        rpc_events.stream_sent(call, request(), 1.0, 10)
        rpc_events.stream_received(call, response(), 1.5, 5)
        heard.events.clear()
        rpc_events.stream_done(call, error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", local=True), 2.0)
        assert heard.events == []


def test_a_connection_that_was_made_again_is_told_and_the_first_is_not(heard: Heard) -> None:
    reconnected = Heard()
    rpc_events = RpcEvents(heard.hook, reconnected=reconnected.hook)
    rpc_events.connection_opened(None)
    rpc_events.connection_opened("GOAWAY NO_ERROR")
    assert reconnected.only == {"reason": "GOAWAY NO_ERROR"}
    assert not heard.events


def test_a_server_that_cannot_be_connected_to_is_told_from_one_that_answers_with_an_error() -> None:
    seen: list[Any] = []
    hook = EventHook()
    hook.add_listener(lambda exception, **_: seen.append(exception))
    with TritonClient("grpc://127.0.0.1:9", rpc_events=RpcEvents(hook)) as client:
        with pytest.raises(InferenceServerException):
            client.is_server_live()
    assert seen[0].unreachable
    assert not RequestFailure("StatusCode.UNAVAILABLE", "cannot connect to the database").unreachable
