"""tritonclient's own streams against a real Triton: one row a request, with what lies between its responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import numpy as np
import pytest
from locust.env import Environment
from tritonclient.grpc import InferInput

from tests.any_model.commands import locust_on
from triton_users.server import EmbeddedTriton
from triton_users.users import TritonGrpcUser

pytestmark = pytest.mark.triton


class Told:
    """A user with a stream, what its callback got and what Locust's event said."""

    def __init__(self, triton: EmbeddedTriton) -> None:
        self.environment = Environment(host=f"grpc://{triton.grpc_url}", user_classes=[])
        self.runner = self.environment.create_local_runner()  # it makes Locust's statistics
        self.events: list[dict[str, Any]] = []
        self.environment.events.request.add_listener(lambda **event: self.events.append(event))
        self.answers: list[Any] = []
        """Each response's id and number, or the text of an error."""

        class Streaming(TritonGrpcUser):
            host = self.environment.host

        self.user = Streaming(self.environment)
        self.user.client.start_stream(self._callback)

    def _callback(self, result: Any, error: Exception | None) -> None:
        if error is not None:
            self.answers.append(str(error))
            return
        out = result.as_numpy("OUT")
        self.answers.append((result.get_response().id, None if out is None else out.item()))

    def ask(self, model: str, count: int, tensor: str = "COUNT", **more: Any) -> None:
        value = InferInput(tensor, [1], "INT32").set_data_from_numpy(np.array([count], np.int32))
        self.user.client.async_stream_infer(model, [value], **more)

    def rows(self, number: int) -> list[dict[str, Any]]:
        until(lambda: len(self.events) >= number)
        return self.events


def until(what: Callable[[], Any]) -> None:
    with gevent.Timeout(20):
        while not what():
            gevent.sleep(0.005)


@pytest.fixture
def told(any_triton: EmbeddedTriton) -> Iterator[Told]:
    made = Told(any_triton)
    yield made
    made.user.client.stop_stream()
    made.user.client.close()
    made.runner.quit()


@pytest.mark.parametrize("count", [0, 1, 8, 200])
def test_a_decoupled_model_is_one_row_however_often_it_answers(told: Told, count: int) -> None:
    told.ask("repeat", count)
    (event,) = told.rows(1)
    assert (event["name"], event["exception"]) == ("repeat", None)
    measures = event["measures"]
    assert measures["responses"] == (count,)
    assert ("first_response" in measures) == (count > 0)
    assert (measures["inter_response"].total if count > 1 else 0) == max(0, count - 1)
    if count:
        between_us = measures["inter_response"].sum_us if count > 1 else 0
        assert measures["first_response"][0] + between_us == pytest.approx(event["response_time"] * 1e3, abs=count + 1)
    assert told.answers == [("", number) for number in range(count)], "no id and no empty end was asked for"
    stats = told.environment.stats.get("repeat", "grpc")
    assert (stats.num_requests, stats.num_failures) == (1, 0)


def test_who_asks_for_empty_ends_gets_them(told: Told) -> None:
    told.ask("repeat", 2, request_id="mine", enable_empty_final_response=True)
    told.rows(1)
    assert told.answers == [("mine", 0), ("mine", 1), ("mine", None)]


def test_answers_to_several_requests_that_come_mixed_are_each_ones_own(told: Told) -> None:
    counts = (8, 0, 3, 5)
    for number, count in enumerate(counts):
        told.ask("mixed", count, request_id="" if number < 2 else f"r{number}")
    events = told.rows(4)
    assert sorted(event["measures"]["responses"][0] for event in events) == sorted(counts)
    order = [identity for identity, _ in told.answers]
    assert order != sorted(order), "they did come mixed"
    assert [n for identity, n in told.answers if identity == "r3"] == list(range(5))
    assert all(event["exception"] is None for event in events)


def test_an_error_in_the_middle_is_one_failed_request_and_the_callback_gets_all(told: Told) -> None:
    told.ask("repeat", -1)
    (event,) = told.rows(1)
    assert "broke in the middle" in str(event["exception"])
    assert [each if isinstance(each, str) else each[1] for each in told.answers] == [0, "broke in the middle", 1]
    assert (told.environment.stats.total.num_requests, told.environment.stats.total.num_failures) == (1, 1)


def test_what_triton_refuses_before_a_model_sees_it_is_one_failed_request(told: Told) -> None:
    told.ask("nobody", 1)
    (event,) = told.rows(1)
    assert (event["model"], "unknown model" in str(event["exception"])) == ("nobody", True)


def test_a_sequence_of_a_model_that_answers_once_is_a_row_a_request(told: Told) -> None:
    for step, value in enumerate((5, 7, -3)):
        told.ask("accumulate", value, "IN", sequence_id=77, sequence_start=step == 0, sequence_end=step == 2)
    events = told.rows(3)
    assert [answer for _, answer in told.answers] == [5, 12, 9]
    for event in events:
        assert event["measures"]["responses"] == (1,)
        assert event["measures"]["first_response"][0] == pytest.approx(event["response_time"] * 1e3, abs=2)


USERS = """
import gevent.event
from locust import constant, task
from tritonclient.grpc import InferInput

from triton_users.users import TritonGrpcUser


class Mine(TritonGrpcUser):
    wait_time = constant(0.01)

    def on_start(self):
        self.count = InferInput("COUNT", [1], "INT32").set_data_from_numpy(np.array([8], np.int32))
        self.client.start_stream(self.answer)

    def answer(self, result, error):
        self.came += 1
        if self.came == 8:
            self.whole.set()

    @task
    def infer(self):
        self.came, self.whole = 0, gevent.event.Event()
        self.client.async_stream_infer("repeat", [self.count])
        assert self.whole.wait(10)
"""


def test_a_locustfile_with_streams_is_reported_and_judged_by_requests(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    ended = locust_on(
        f"grpc://{any_triton.grpc_url}", tmp_path, USERS, "-t", "3s",
        "--goodput", "repeat:latency_ms<5000,first_response_ms<5000,inter_response_ms<5000",
        "--thresholds", "repeat:first_response_p50_ms<5000,repeat:responses_p50>=8,repeat:goodput>=0.9",
    )  # fmt: skip
    assert ended.exit_code == 0, ended.output
    (row,) = ended.scenario("")["rows"]
    assert (row["model"], row["failed"], row["goodput"]) == ("repeat", 0, 1.0)
    measures = row["measures"]
    assert {measures["responses"][name] for name in ("mean", "p50", "max")} == {8}
    assert measures["first_response_ms"]["p50"] <= row["latency_ms"]["p50"]
    assert [check["passed"] for check in ended.report["verdict"]["thresholds"]] == [True] * 3
    assert "100.00%" in ended.output


def test_a_name_that_goodput_does_not_know_is_an_error_before_the_run(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    options = ["-t", "1s", "--goodput", "nobody:latency_ms<5"]
    ended = locust_on(f"grpc://{any_triton.grpc_url}", tmp_path, USERS, *options)
    assert ended.exit_code == 2, ended.output
    assert "goodput: 'nobody:latency_ms<5': there is no scenario 'nobody'" in ended.output
