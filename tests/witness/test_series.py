from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from triton_users.witness import series
from triton_users.witness.series import Key, Samples

MEMORY, FILES = Key("memory", "MiB"), Key("descriptors")


def filled(rows: int, capacity: int = 16) -> Samples:
    samples = Samples(capacity)
    for second in range(rows):
        samples.add(float(second), {MEMORY: 2.0 * second})
    return samples


@given(st.integers(1, 700), st.integers(2, 40))
def test_any_run_keeps_its_first_and_its_newest_row_and_no_more_than_it_may(rows: int, capacity: int) -> None:
    kept = filled(rows, capacity).times

    assert kept[0] == 0.0
    assert kept[-1] == rows - 1.0
    assert len(kept) <= capacity


@given(st.integers(100, 700))
def test_what_is_kept_stands_evenly_over_the_whole_run(rows: int) -> None:
    kept = filled(rows).times

    gaps = {later - earlier for earlier, later in zip(kept[:-2], kept[1:-1], strict=True)}
    assert len(gaps) == 1  # all but the newest row, which gives way
    assert kept[-1] - kept[-2] <= gaps.pop()
    assert len(kept) >= 8


@given(st.integers(1, 300))
def test_each_value_stays_with_its_time(rows: int) -> None:
    samples = filled(rows)

    assert samples.columns() == {MEMORY: tuple(2.0 * time for time in samples.times)}


def test_a_value_that_comes_late_or_is_missing_for_a_while_has_values_where_it_was() -> None:
    samples = Samples()
    samples.add(0.0, {MEMORY: 1.0})
    samples.add(1.0, {MEMORY: 2.0, FILES: 30.0})
    samples.add(2.0, {FILES: 31.0})

    assert str(samples.columns()) == str({MEMORY: (1.0, 2.0, math.nan), FILES: (math.nan, 30.0, 31.0)})


def test_a_row_that_is_not_later_than_the_newest_is_left_out() -> None:
    samples = Samples()
    samples.add(5.0, {MEMORY: 1.0})
    samples.add(5.0, {MEMORY: 2.0})
    samples.add(4.0, {MEMORY: 3.0})

    assert (samples.times, samples.columns()) == ((5.0,), {MEMORY: (1.0,)})


def test_a_server_with_thousands_of_models_has_a_bounded_number_of_series() -> None:
    samples = Samples()
    samples.add(0.0, {Key("requests", "", f"model_{number}"): 1.0 for number in range(5_000)})
    samples.add(1.0, {Key("requests", "", "one_more"): 1.0})

    assert len(samples.columns()) == series.MAX_SERIES


def test_after_a_reset_nothing_is_left_of_what_was_before() -> None:
    samples = filled(100)
    samples.clear()
    samples.add(0.5, {FILES: 1.0})

    assert samples.times == (0.5,)
    assert list(samples.columns()) == [FILES]
