"""Which request a response belongs to, whatever the order in which a server answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2

from triton_users.client.stream_requests import (
    AFTER_AN_UNMARKED,
    AFTER_THE_LAST,
    ENDED_KEPT,
    FINAL,
    TO_NOTHING,
    WANTS_FINAL,
    Stray,
    StreamedCall,
    StreamRequests,
    end_of,
)


def answer(requests: StreamRequests, request_id: str, at_s: float = 1.0, **more: object) -> StreamedCall | Stray:
    fields: dict[str, object] = {"empty": False, "final": True, **more}
    return requests.received(request_id, at_s, 10, **fields)  # type: ignore[arg-type]


def test_answers_a_b_a_belong_to_the_requests_that_they_name() -> None:
    requests = StreamRequests()
    a, b = (requests.sent(name, "m", 1, 0.0) for name in "AB")
    assert answer(requests, "A", 1.0, final=False) is a
    assert answer(requests, "B", 2.0) is b
    assert answer(requests, "A", 3.0, final=False) is a
    assert answer(requests, "A", 4.0, empty=True) is a
    assert (a.responses, a.first_s, a.answered_s, a.last_s) == (2, 1.0, 3.0, 4.0)
    assert a.ended_s == 3.0
    assert a.gaps is not None
    assert (a.gaps.total, a.gaps.sum_us) == (1, 2_000_000)
    assert b.gaps is None
    assert not requests.waiting()


def test_no_response_at_all_is_a_result_and_takes_until_the_final_marker() -> None:
    requests = StreamRequests()
    call = requests.sent("A", "m", 1, 0.5)
    assert answer(requests, "A", 2.0, empty=True) is call
    assert (call.responses, call.ended_s, call.error) == (0, 2.0, "")
    assert call.over


def test_an_answer_after_the_final_one_is_told_with_its_model() -> None:
    requests = StreamRequests()
    requests.sent("A", "m", 1, 0.0)
    answer(requests, "A")
    assert answer(requests, "A") == Stray("A", "m", AFTER_THE_LAST)


def test_an_answer_to_nothing_is_told() -> None:
    requests = StreamRequests()
    requests.sent("A", "m", 1, 0.0)
    assert answer(requests, "Z") == Stray("Z", "", TO_NOTHING)
    assert len(requests.waiting()) == 1


def test_an_answer_without_an_id_is_the_oldest_requests_and_says_so() -> None:
    requests = StreamRequests()
    first, second = (requests.sent(name, "m", 1, 0.0) for name in "AB")
    assert answer(requests, "") is first
    assert answer(requests, "B") is second
    assert (first.by_order, second.by_order) == (True, False)
    assert answer(requests, "") == Stray("", "", TO_NOTHING)


def test_an_error_in_the_middle_does_not_end_a_request_and_is_not_forgotten() -> None:
    requests = StreamRequests()
    call = requests.sent("A", "m", 1, 0.0)
    answer(requests, "A", 1.0, final=False)
    answer(requests, "A", 2.0, final=False, error="broke")
    assert not call.over
    answer(requests, "A", 3.0, final=False)
    answer(requests, "A", 4.0, empty=True)
    assert (call.error, call.responses) == ("broke", 2)
    assert call.over


def test_an_error_that_triton_gives_before_a_model_saw_the_request_ends_it() -> None:
    requests = StreamRequests()
    call = requests.sent("A", "m", 1, 0.0)
    assert answer(requests, "A", final=None, error="no such model") is call
    assert call.over


def test_a_server_without_final_responses_ends_a_request_with_its_first() -> None:
    requests = StreamRequests()
    call = requests.sent("A", "m", 1, 0.0)
    answer(requests, "A", final=None)
    assert (call.over, call.responses) == (True, 1)


def test_what_a_server_without_final_responses_answers_further_is_told_as_what_it_is() -> None:
    requests = StreamRequests()
    requests.sent("A", "m", 1, 0.0)
    answer(requests, "A", final=None)
    assert answer(requests, "A", final=None) == Stray("A", "m", AFTER_AN_UNMARKED)


def asked(requests: StreamRequests, request_id: str = "") -> service_pb2.ModelInferRequest:
    request = service_pb2.ModelInferRequest(id=request_id, model_name="m")
    requests.ask(request)
    return request


def test_a_request_without_an_id_gets_one_of_its_own_and_asks_for_its_end() -> None:
    requests = StreamRequests()
    sent = [asked(requests) for _ in range(3)]
    assert len({each.id for each in sent}) == 3
    assert all(each.id and each.parameters[WANTS_FINAL].bool_param for each in sent)
    assert [(call.users_id, call.wants_end) for call in requests.waiting()] == [("", False)] * 3


def test_a_users_id_stays_unless_another_request_that_waits_has_it() -> None:
    requests = StreamRequests()
    first, second = asked(requests, "A"), asked(requests, "A")
    assert first.id == "A"
    assert second.id not in ("A", "")
    answer(requests, second.id)
    answer(requests, "A")
    assert asked(requests, "A").id == "A"


def test_an_id_that_is_made_is_none_that_a_user_gave() -> None:
    requests = StreamRequests()
    asked(requests, "#1")
    assert asked(requests).id == "#2"


def test_an_end_that_the_user_asked_for_is_known_as_such() -> None:
    requests = StreamRequests()
    request = service_pb2.ModelInferRequest(id="A")
    request.parameters[WANTS_FINAL].bool_param = True
    assert requests.ask(request).wants_end


def test_a_request_that_was_handed_over_has_not_left_before_it_is_sent() -> None:
    requests = StreamRequests()
    call = requests.add("A", "m")
    assert (call.sent_s, requests.waiting()) == (None, (call,))
    assert requests.sent("A", "m", 7, 1.5) is call
    assert (call.sent_s, call.sent_bytes, requests.waiting(), requests.taken) == (1.5, 7, (call,), 1)


@pytest.mark.parametrize(
    ("fields", "final", "found"),
    [
        ({"id": "A", "model_name": "m"}, True, (True, True)),
        ({"id": "A", "model_name": "m", "model_version": "1"}, True, (False, True)),
        ({"id": "A"}, False, (False, False)),
        ({"id": "A"}, None, (False, None)),
    ],
    ids=["an empty end", "a response without outputs", "not the last", "a server that does not say"],
)
def test_an_empty_end_is_told_from_a_response(fields: dict[str, str], final: bool | None, found: object) -> None:
    response = service_pb2.ModelInferResponse(**fields)
    if final is not None:
        response.parameters[FINAL].bool_param = final
    assert end_of(response) == found


def test_requests_of_one_id_are_answered_oldest_first() -> None:
    requests = StreamRequests()
    first, second = (requests.sent("A", "m", 1, at_s) for at_s in (0.0, 1.0))
    assert answer(requests, "A") is first
    assert answer(requests, "A") is second


def test_what_is_kept_of_requests_that_are_over_is_bounded() -> None:
    requests = StreamRequests()
    for number in range(ENDED_KEPT + 1):
        requests.sent(str(number), "m", 1, 0.0)
        answer(requests, str(number))
    assert answer(requests, "1") == Stray("1", "m", AFTER_THE_LAST)
    assert answer(requests, "0") == Stray("0", "", TO_NOTHING)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_every_response_is_counted_once_for_the_request_it_names(counts: list[int], random: object) -> None:
    requests = StreamRequests()
    calls = [requests.sent(str(i), "m", 1, 0.0) for i in range(len(counts))]
    left = [[False] * count + [True] for count in counts]
    at_s = 0.0
    while any(left):
        index = random.choice([i for i, answers in enumerate(left) if answers])  # type: ignore[attr-defined]
        final = left[index].pop(0)
        at_s += 1.0
        assert answer(requests, str(index), at_s, final=final, empty=final) is calls[index]
        assert calls[index].over == final
    assert [call.responses for call in calls] == counts
    assert not requests.waiting()
