"""A run's history: fixed in size, nothing dropped, throughput free of the rhythm in which snapshots come."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_users.ledger import Change, Histogram, Ledger
from triton_users.ledger.timeline import Buckets, Timeline


def change(now_s: float, span_s: float, requests: int = 0, failed: int = 0, latency_us: int = 1000) -> Change:
    counted = Ledger()
    row = counted.row("S", "m")
    for _ in range(requests):
        row.record(latency_us, 1, 0, 0)
    counted.scenario("S").passed = requests
    counted.scenario("S").failed = failed
    return Change("w", now_s, span_s, counted)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.floats(0, 40), st.floats(0, 30), st.integers(0, 3), st.integers(0, 3)), max_size=80),
    st.integers(8, 20),
)
def test_whatever_comes_nothing_is_dropped_and_the_size_stays(changes, capacity: int) -> None:
    timeline = Timeline(interval_s=5.0, capacity=capacity, recent=4)
    now = 0.0
    for later, span, requests, failed in changes:
        now += later
        timeline.add(change(now, span, requests, failed))
    points = timeline.points
    assert len(points) <= capacity
    assert all(one.end_s == other.start_s for one, other in pairwise(points))
    parts = [point.slice("S") for point in points]
    assert sum(part.failures for part in parts) == sum(failed for *_, failed in changes)
    assert sum(part.runs for part in parts) == sum(requests + failed for *_, requests, failed in changes)
    assert sum(part.latency.total for part in parts) == sum(requests for _, _, requests, _ in changes)
    assert sum(part.requests for part in parts) == pytest.approx(sum(requests for _, _, requests, _ in changes))


def test_twelve_hours_fit_and_the_last_twenty_minutes_keep_their_resolution() -> None:
    timeline = Timeline()
    for now in range(0, 12 * 3600, 20):
        timeline.add(change(now + 20.0, 20.0, requests=1))
    points = timeline.points
    assert len(points) == 720
    assert points[0].start_s == 0
    assert points[-1].end_s >= 12 * 3600
    assert all(point.span_s == 5.0 for point in points[-240:])
    older = [point.span_s for point in points[:-240]]
    assert max(older) <= 2.1 * min(older[:-1])


def test_snapshots_every_three_seconds_show_an_even_rate_as_even() -> None:
    timeline = Timeline(interval_s=5.0)
    for number in range(1, 41):
        timeline.add(change(number * 3.0, 3.0, requests=30))
    rates = [point["scenarios"]["S"]["requests_per_s"] for point in timeline.dump(end_s=120.0)]
    assert rates == pytest.approx([10.0] * 24)


def test_a_worker_that_was_cut_off_gets_its_requests_where_they_were_made() -> None:
    timeline = Timeline(interval_s=5.0)
    timeline.add(change(5.0, 5.0, requests=50))
    timeline.add(change(65.0, 60.0, requests=600))
    rates = [point["scenarios"]["S"]["requests_per_s"] for point in timeline.dump(end_s=65.0)]
    assert rates == pytest.approx([10.0] * 13)


def test_hours_without_a_word_take_few_points() -> None:
    timeline = Timeline(interval_s=5.0, capacity=20, recent=4)
    timeline.add(change(1.0, 1.0))
    timeline.add(change(100_000.0, 3.0))
    assert len(timeline.points) <= 4
    assert timeline.points[-1].start_s <= 100_000.0 < timeline.points[-1].end_s


def test_a_gauge_shows_the_highest_value_also_after_merging() -> None:
    timeline = Timeline(interval_s=1.0, capacity=4, recent=2)
    for now, users in enumerate([1, 9, 2, 3, 4, 5, 6]):
        timeline.gauge(now + 0.5, {"users": users})
    points = timeline.dump(end_s=7.0)
    assert max(point["users"] for point in points) == 9
    assert [point["users"] for point in points[-2:]] == [5, 6]


def test_the_last_point_ends_with_the_run_and_its_rate_is_taken_over_that() -> None:
    timeline = Timeline(interval_s=5.0)
    timeline.add(change(2.0, 2.0, requests=20))
    (point,) = timeline.dump(end_s=2.0)
    assert point["end_s"] == 2.0
    assert point["scenarios"]["S"]["requests_per_s"] == 10.0


@given(st.lists(st.integers(0, 10_000_000), min_size=1), st.sampled_from([0.5, 0.99]))
def test_a_kept_quantile_is_within_its_error_of_the_ledgers(recorded: list[int], q: float) -> None:
    histogram = Histogram()
    for value in recorded:
        histogram.record(value)
    exact = histogram.quantile(q)
    assert exact is not None
    assert Buckets.of(histogram).quantile_us(q) == pytest.approx(exact, rel=0.04, abs=2)


@given(st.lists(st.integers(0, 10_000_000)), st.lists(st.integers(0, 10_000_000)))
def test_kept_histograms_merge_as_if_recorded_together(one: list[int], other: list[int]) -> None:
    histograms = []
    for recorded in (one, other, one + other):
        histograms.append(Histogram())
        for value in recorded:
            histograms[-1].record(value)
    merged = Buckets.of(histograms[0]).plus(Buckets.of(histograms[1]))
    together = Buckets.of(histograms[2])
    assert merged.total == together.total
    assert merged.quantile_us(0.9) == together.quantile_us(0.9)
