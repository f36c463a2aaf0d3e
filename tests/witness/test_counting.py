"""What a server counted over a run in which it, or a model of it, was started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from triton_users.witness.counting import Counting, Restart
from triton_users.witness.statistics import ModelCounts, Statistics


def counts(**success: int) -> Statistics:
    return {name: ModelCounts(success=number, executions=number) for name, number in success.items()}


def begun(**success: int) -> Counting:
    counting = Counting()
    counting.begin(counts(**success), 0.0)
    return counting


def took(counting: Counting, now_s: float, *, reconnected: bool = False, **success: int) -> None:
    counting.take(counts(**success), now_s, reconnected=reconnected)


def total(counting: Counting) -> dict[str, int]:
    return {name: each.success for name, each in counting.total.items() if each.success}


@given(st.lists(st.lists(st.integers(0, 50), max_size=8), min_size=1, max_size=6), st.integers(0, 100))
def test_what_is_seen_is_counted_through_any_number_of_restarts(lives: list[list[int]], before: int) -> None:
    counting, now_s, expected, value = begun(m=before), 0.0, 0, before
    for life in lives:
        for grown in life:
            now_s, value, expected = now_s + 1.0, value + grown, expected + grown
            took(counting, now_s, m=value)
        now_s += 1.0
        took(counting, now_s, reconnected=True, m=(value := 0))

    assert total(counting).get("m", 0) == expected


def test_a_server_that_was_started_again_is_one_restart_with_the_time_it_did_not_answer() -> None:
    counting = begun(a=10, b=5)
    took(counting, 1.0, a=20, b=6)
    took(counting, 9.0, reconnected=True, a=3, b=0)

    assert counting.restarts == [Restart("", 1.0, 9.0)]
    assert total(counting) == {"a": 13, "b": 1}


def test_a_connection_that_was_made_again_alone_is_no_restart() -> None:
    counting = begun(a=10)
    took(counting, 1.0, reconnected=True, a=20)

    assert counting.restarts == []
    assert counting.reconnected, "since nobody can be sure"


def test_lower_counts_on_a_new_connection_are_another_servers_where_the_old_ones_are_still_found() -> None:
    counting = begun(a=10)
    took(counting, 1.0, a=20)
    counting.take(counts(a=3), 2.0, reconnected=True, still_there=True)

    assert counting.restarts == []
    assert counting.several


def test_a_model_whose_counts_went_back_on_a_connection_that_lasted_was_loaded_again() -> None:
    counting = begun(a=10, b=5)
    took(counting, 1.0, a=12, b=6)
    took(counting, 2.0, a=1, b=7)

    assert counting.restarts == [Restart("a", 1.0, 2.0)]
    assert total(counting) == {"a": 3, "b": 2}


def test_a_model_that_went_away_and_came_back_is_told_with_how_long_it_was_away() -> None:
    counting = begun(a=10, b=5)
    took(counting, 1.0, a=12, b=6)
    took(counting, 2.0, b=7)
    took(counting, 3.0, b=7)
    took(counting, 4.0, a=0, b=8)
    took(counting, 5.0, a=4, b=8)

    assert counting.restarts == [Restart("a", 1.0, 4.0)]
    assert total(counting) == {"a": 6, "b": 3}


def test_a_model_that_is_loaded_in_the_middle_of_a_run_counts_and_is_no_restart() -> None:
    counting = begun(a=1)
    took(counting, 1.0, a=1, new=4)

    assert counting.restarts == []
    assert total(counting) == {"new": 4}


def test_the_answers_of_several_servers_in_turn_are_no_restarts() -> None:
    counting, first, second = begun(a=500), 500, 400
    for second_of_run in range(1, 13):
        first, second = first + 7, second + 5
        took(counting, float(second_of_run), a=first if second_of_run % 2 else second)

    assert counting.several
    assert counting.restarts == []


def test_a_model_that_is_loaded_again_and_again_is_not_taken_for_several_servers() -> None:
    counting = begun(a=500)
    for second in range(1, 13):
        took(counting, float(second), a=40 - 3 * second if second % 2 else 600)

    assert not counting.several
    assert len(counting.restarts) == 6


def test_beginning_again_forgets_what_was_before() -> None:
    counting = begun(a=1)
    took(counting, 1.0, reconnected=True, a=0)
    counting.begin(counts(a=7), 2.0)
    took(counting, 3.0, a=9)

    assert counting.restarts == []
    assert total(counting) == {"a": 2}
