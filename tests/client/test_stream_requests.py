"""Which request a response belongs to, whatever the order in which a server answers."""

from hypothesis import given
from hypothesis import strategies as st

from triton_users.client.stream_requests import ENDED_KEPT, Stray, StreamedCall, StreamRequests


def answer(requests: StreamRequests, request_id: str, at_s: float = 1.0, **more: object) -> StreamedCall | Stray:
    fields: dict[str, object] = {"outputs": 1, "final": True, **more}
    return requests.received(request_id, at_s, 10, **fields)  # type: ignore[arg-type]


def test_answers_a_b_a_belong_to_the_requests_that_they_name() -> None:
    requests = StreamRequests()
    a, b = (requests.sent(name, "m", 1, 0.0) for name in "AB")
    assert answer(requests, "A", 1.0, final=False) is a
    assert answer(requests, "B", 2.0) is b
    assert answer(requests, "A", 3.0, final=False) is a
    assert answer(requests, "A", 4.0, outputs=0) is a
    assert (a.responses, a.first_s, a.answered_s, a.last_s) == (2, 1.0, 3.0, 4.0)
    assert a.latency_s == 3.0
    assert not len(requests)


def test_no_response_at_all_is_a_result_and_takes_until_the_final_marker() -> None:
    requests = StreamRequests()
    call = requests.sent("A", "m", 1, 0.5)
    assert answer(requests, "A", 2.0, outputs=0) is call
    assert (call.responses, call.latency_s, call.error) == (0, 1.5, "")
    assert requests.is_over(call)


def test_an_answer_after_the_final_one_is_told_with_its_model() -> None:
    requests = StreamRequests()
    requests.sent("A", "m", 1, 0.0)
    answer(requests, "A")
    assert answer(requests, "A") == Stray("A", "m", "an answer after the final one")


def test_an_answer_to_nothing_is_told() -> None:
    requests = StreamRequests()
    requests.sent("A", "m", 1, 0.0)
    assert answer(requests, "Z") == Stray("Z", "", "an answer to no request")
    assert len(requests) == 1


def test_an_answer_without_an_id_is_the_oldest_requests_and_says_so() -> None:
    requests = StreamRequests()
    first, second = (requests.sent(name, "m", 1, 0.0) for name in "AB")
    assert answer(requests, "") is first
    assert answer(requests, "B") is second
    assert (first.by_order, second.by_order) == (True, False)
    assert answer(requests, "") == Stray("", "", "an answer to no request")


def test_an_error_in_the_middle_does_not_end_a_request_and_is_not_forgotten() -> None:
    requests = StreamRequests()
    call = requests.sent("A", "m", 1, 0.0)
    answer(requests, "A", 1.0, final=False)
    answer(requests, "A", 2.0, final=False, outputs=0, error="broke")
    assert not requests.is_over(call)
    answer(requests, "A", 3.0, final=False)
    answer(requests, "A", 4.0, outputs=0)
    assert (call.error, call.responses) == ("broke", 2)
    assert requests.is_over(call)


def test_an_error_that_triton_gives_before_a_model_saw_the_request_ends_it() -> None:
    requests = StreamRequests()
    call = requests.sent("A", "m", 1, 0.0)
    assert answer(requests, "A", final=None, outputs=0, error="no such model") is call
    assert requests.is_over(call)


def test_a_server_without_final_responses_ends_a_request_with_its_first() -> None:
    requests = StreamRequests()
    call = requests.sent("A", "m", 1, 0.0)
    answer(requests, "A", final=None, outputs=0)
    assert (requests.is_over(call), call.responses) == (True, 1)


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
    assert answer(requests, "1") == Stray("1", "m", "an answer after the final one")
    assert answer(requests, "0") == Stray("0", "", "an answer to no request")


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
        assert answer(requests, str(index), at_s, final=final, outputs=not final) is calls[index]
        assert requests.is_over(calls[index]) == final
    assert [call.responses for call in calls] == counts
    assert not requests.waiting()
