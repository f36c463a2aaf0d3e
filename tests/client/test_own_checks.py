"""A check of the user's own makes the request it speaks of one failed row, with its evidence."""

from __future__ import annotations

from typing import Any

import pytest
from locust.event import EventHook

from triton_users.client.client import TritonClient
from triton_users.client.own_checks import CheckFailure
from triton_users.client.rpc_events import RpcEvents

Fired = list[dict[str, Any]]


class Channel:
    """What a client without a server has."""

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **more: None


class Request:
    model_name = "bert"


@pytest.fixture
def fired() -> Fired:
    return []


@pytest.fixture
def events(fired: Fired) -> RpcEvents:
    hook = EventHook()
    hook.add_listener(lambda **event: fired.append(event))
    return RpcEvents(hook)


@pytest.fixture
def client(events: RpcEvents) -> TritonClient:
    return TritonClient("grpc://127.0.0.1:1", rpc_events=events, channel=Channel())  # type: ignore[arg-type]


def answered(events: RpcEvents, error: Any = None) -> None:
    """As the channel tells of a ModelInfer that has ended."""
    events.unary_done("/s/ModelInfer", Request(), "answer", error, 1.0, 1.0, 1.5, 10, 20)


def test_a_failure_is_the_request_s_one_row_and_its_latency_stays(
    client: TritonClient, events: RpcEvents, fired: Fired
) -> None:
    with client.catch_response() as response:
        answered(events)
        assert not fired
        response.failure("the sum is wrong", expected=6, got=7)
    (row,) = fired
    assert (row["name"], row["response_time"], row["model"]) == ("bert", 500.0, "bert")
    assert isinstance(row["exception"], CheckFailure)
    assert str(row["exception"]) == "the sum is wrong"
    assert row["exception"].evidence == {"expected": 6, "got": 7}


def test_an_assertion_says_the_same_and_ends_there(client: TritonClient, events: RpcEvents, fired: Fired) -> None:
    with client.catch_response():
        answered(events)
        raise AssertionError("7 is not 6")
    assert [str(row["exception"]) for row in fired] == ["7 is not 6"]


def test_without_a_word_the_request_is_what_it_was(client: TritonClient, events: RpcEvents, fired: Fired) -> None:
    with client.catch_response():
        answered(events)
    assert [row["exception"] for row in fired] == [None]


def test_another_exception_goes_on_and_the_request_is_counted(
    client: TritonClient, events: RpcEvents, fired: Fired
) -> None:
    def check() -> None:
        with client.catch_response():
            answered(events)
            raise KeyError("OUT")

    with pytest.raises(KeyError):
        check()
    assert [row["exception"] for row in fired] == [None]


def test_the_newest_of_several_requests_is_judged(client: TritonClient, events: RpcEvents, fired: Fired) -> None:
    with client.catch_response() as response:
        answered(events)
        answered(events)
        response.failure("no")
    assert [str(row["exception"]) for row in fired] == ["None", "no"]


def test_the_last_word_counts(client: TritonClient, events: RpcEvents, fired: Fired) -> None:
    with client.catch_response() as response:
        answered(events)
        response.failure("no")
        response.success()
    assert [row["exception"] for row in fired] == [None]


def test_blocks_may_stand_in_each_other(client: TritonClient, events: RpcEvents, fired: Fired) -> None:
    with client.catch_response() as outer:
        with client.catch_response() as inner:
            answered(events)
            inner.failure("inner")
        assert not fired
        answered(events)
        outer.failure("outer")
    answered(events)
    assert [str(row["exception"]) for row in fired] == ["inner", "outer", "None"]


def test_a_word_on_no_request_is_the_user_s_mistake(client: TritonClient, fired: Fired) -> None:
    with pytest.raises(ValueError, match="no request ended inside the block"), client.catch_response() as response:
        response.failure("no")
    assert not fired


def test_a_client_without_locust_lets_assertions_through() -> None:
    alone = TritonClient("grpc://127.0.0.1:1", channel=Channel())  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="no"), alone.catch_response():
        raise AssertionError("no")
