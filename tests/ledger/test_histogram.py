"""The histogram: exact where it says so, within 1/128 elsewhere, the same in whatever order it is merged."""

import math

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from triton_users.ledger.histogram import MAX_US, Histogram, bounds_us, key_of

values = st.integers(0, 100) | st.integers(0, 100_000) | st.integers(0, MAX_US)


def filled(recorded: list[int]) -> Histogram:
    histogram = Histogram()
    for value in recorded:
        histogram.record(value)
    return histogram


@given(values)
def test_a_value_lies_in_its_bucket_and_the_bucket_is_narrow(value: int) -> None:
    low, width = bounds_us(key_of(value))
    assert low <= value < low + width
    assert width == 1 or (width - 1) / 2 <= low / 128


@given(values)
def test_buckets_follow_each_other_without_a_gap(value: int) -> None:
    low, width = bounds_us(key_of(value))
    assert key_of(low + width) == key_of(value) + 1


@given(st.lists(values, min_size=1), st.floats(0, 1))
def test_a_quantile_is_within_one_part_in_128_of_the_value_at_its_rank(recorded: list[int], q: float) -> None:
    exact = sorted(recorded)[max(1, math.ceil(q * len(recorded))) - 1]
    answer = filled(recorded).quantile(q)
    assert answer is not None
    assert abs(answer - exact) <= exact / 128


@given(st.lists(st.integers(1, 3_600_000_000), min_size=1), st.sampled_from([0.5, 0.9, 0.95, 0.99, 0.999, 1.0]))
def test_hdrhistogram_gives_the_same_quantile_within_both_errors(recorded: list[int], q: float) -> None:
    peer = HdrHistogram(1, 3_600_000_000, 3)
    for value in recorded:
        peer.record_value(value)
    answer = filled(recorded).quantile(q)
    # hdrhistogram rounds the rank half up; compare where both name the same one.
    rank = max(1, math.ceil(q * len(recorded)))
    if int(q * len(recorded) + 0.5) == rank:
        assert answer == pytest.approx(peer.get_value_at_percentile(q * 100), rel=1 / 128 + 1 / 1000)


@given(st.lists(values), values)
def test_how_many_are_within_a_limit_is_right_but_for_those_in_its_bucket(recorded: list[int], limit: int) -> None:
    low, width = bounds_us(key_of(limit))
    within = filled(recorded).within(limit)
    assert sum(value < low for value in recorded) <= within <= sum(value < low + width for value in recorded)
    assert within >= sum(value <= limit for value in recorded)


def test_an_empty_histogram_has_no_quantiles_and_no_mean() -> None:
    assert Histogram().quantiles([0.5, 0.99]) == [None, None]
    assert Histogram().mean_us() is None


def test_sum_mean_and_maximum_are_exact() -> None:
    histogram = filled([1_000_003, 5, 77_777])
    assert (histogram.sum_us, histogram.max_us, histogram.total) == (1_077_785, 1_000_003, 3)
    assert histogram.mean_us() == pytest.approx(1_077_785 / 3)
    assert histogram.quantile(1.0) <= 1_000_003


def test_values_out_of_range_count_as_the_nearest_in_range() -> None:
    histogram = filled([-5, MAX_US * 8])
    assert histogram.quantile(0.0) == 0
    assert histogram.max_us == MAX_US


@given(st.lists(st.lists(values), min_size=1), st.randoms())
def test_merging_in_any_order_equals_recording_in_one_place(parts: list[list[int]], order) -> None:
    together = filled([value for part in parts for value in part])
    order.shuffle(parts)
    merged = Histogram()
    for part in parts:
        merged.add(filled(part))
    assert merged == together


@given(st.lists(values), st.lists(values))
def test_an_earlier_state_plus_what_came_since_is_the_later_state(before: list[int], after: list[int]) -> None:
    older, newer = filled(before), filled(before + after)
    since = newer.since(older)
    assert since.total == len(after)
    assert since.max_us >= max(after, default=0)
    older.add(since)
    assert older == newer


@given(st.lists(values))
def test_a_dump_loads_as_the_same_histogram(recorded: list[int]) -> None:
    assert Histogram.load(filled(recorded).dump()) == filled(recorded)


@pytest.mark.parametrize("flat", [[], [1], [1, 2, 3]])
def test_what_is_no_dump_is_refused(flat: list[int]) -> None:
    with pytest.raises(ValueError, match="a histogram is dumped as"):
        Histogram.load(flat)
