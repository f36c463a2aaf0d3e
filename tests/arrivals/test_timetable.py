"""The union of all workers' arrivals is the cluster's schedule: whoever joins or leaves, whatever the rate becomes."""

import math
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_users.arrivals.rate import parse_rate
from triton_users.arrivals.schedule import Even, Renewal, Schedule, Trace
from triton_users.arrivals.timetable import ALL, Part, Share, Timetable


def schedule(kind: str, text: str = "300", seed: int = 1) -> Schedule:
    rate = parse_rate(text)
    assert rate is not None
    if kind == "constant":
        return Even(rate)
    if kind == "trace":
        return Trace(np.arange(20_000) / 331)
    return Renewal(rate, 1.0 if kind == "poisson" else 0.4, (seed, 0), by_lot=kind == "poisson")


kinds = st.sampled_from(["constant", "poisson", "gamma", "trace"])


def until(timetable: Timetable, to_s: float) -> list[float]:
    found = []
    while timetable.next_s < to_s:
        due_s, _ = timetable.take()
        found.append(due_s)
    return found


def all_of(parts: list[Part], to_s: float) -> list[float]:
    return until(Timetable(parts), to_s)


@settings(deadline=None)
@given(kinds, st.integers(1, 7))
def test_the_union_of_all_workers_is_the_cluster_s_schedule(kind: str, workers: int) -> None:
    parts = [Part(0.0, schedule(kind))]
    shares = [until(Timetable(parts, [Share(0.0, i, workers)]), 20.0) for i in range(workers)]
    assert sorted(chain.from_iterable(shares)) == all_of(parts, 20.0)
    assert max(map(len, shares)) - min(map(len, shares)) <= (1 if kind != "poisson" else 6000)


@settings(deadline=None)
@given(kinds, st.lists(st.tuples(st.floats(0.5, 5), st.integers(1, 5)), min_size=1, max_size=6), st.data())
def test_so_it_is_over_workers_that_join_and_leave(
    kind: str, steps: list[tuple[float, int]], data: st.DataObject
) -> None:
    """Each hears of a change at another moment before it holds, and none from before it was there is told to it."""
    parts = [Part(0.0, schedule(kind))]
    at_s, count, found = 0.0, 2, list[float]()
    workers = {i: Timetable(parts, [Share(0.0, i, count)]) for i in range(count)}
    share = Share(0.0, 0, count)
    for length_s, after in steps:
        change_s = at_s + length_s
        for i in range(max(count, after)):
            hears_s = data.draw(st.floats(at_s, change_s))
            coming = Share(change_s, i if i < after else -1, after)
            if i in workers and i < count:
                found += until(workers[i], hears_s)
                workers[i].change(hears_s, shares=[Share(share.from_s, i, count), coming])
            else:
                workers[i] = Timetable(parts, [Share(share.from_s, -1, count), coming], from_s=hears_s)
        for timetable in workers.values():
            found += until(timetable, change_s)
        for gone in [i for i in workers if i >= after]:
            assert until(workers.pop(gone), change_s + 10) == []
        at_s, count, share = change_s, after, Share(change_s, 0, after)
    assert sorted(found) == all_of(parts, at_s)


@settings(deadline=None)
@given(kinds, st.floats(1, 10), st.floats(0, 0.9))
def test_another_rate_begins_when_it_is_to_and_what_was_due_before_stays(kind: str, at_s: float, ahead: float) -> None:
    parts = [Part(0.0, schedule(kind)), Part(at_s, schedule("poisson", "1000 for 2s, 50", seed=2))]
    timetable = Timetable(parts[:1])
    begun = until(timetable, at_s * ahead / 2)
    timetable.change(at_s * ahead, parts)
    found = begun + until(timetable, at_s + 5)
    assert found == all_of(parts, at_s + 5)
    assert [due_s for due_s in found if due_s < at_s] == all_of(parts[:1], at_s)


def test_a_change_that_is_heard_too_late_holds_from_then_on() -> None:
    timetable = Timetable([Part(0.0, schedule("constant", "10"))])
    assert len(until(timetable, 1.95)) == 20
    timetable.change(3.0, [Part(0.0, schedule("constant", "10")), Part(2.0, schedule("constant", "1"))])
    assert until(timetable, 6.0) == pytest.approx([*np.arange(2.0, 3.0, 0.1), 3.0, 4.0, 5.0])


def test_a_worker_without_a_share_has_no_arrivals_and_does_not_look_for_them_for_ever() -> None:
    timetable = Timetable([Part(0.0, schedule("poisson"))], [Share(0.0, -1, 2)])
    assert timetable.next_s == math.inf
    timetable.change(1.0, shares=[Share(0.0, -1, 2), Share(2.0, 0, 1)])
    assert 2.0 <= timetable.next_s < 2.2


def test_what_a_worker_that_joins_late_has_missed_is_not_its_own() -> None:
    late = Timetable([Part(0.0, schedule("constant"))], [ALL], from_s=1_000.0)
    assert late.next_s == pytest.approx(1_000.0)


@settings(deadline=None)
@given(kinds, st.floats(0, 30))
def test_what_is_skipped_is_counted(kind: str, to_s: float) -> None:
    parts = [Part(0.0, schedule(kind))]
    timetable = Timetable(parts)
    assert timetable.skip_until(to_s) == len(all_of(parts, to_s))
    assert timetable.next_s >= to_s


def test_a_schedule_that_ends_has_no_more_arrivals() -> None:
    timetable = Timetable([Part(0.0, schedule("constant", "10 for 1s"))])
    assert len(until(timetable, 100.0)) == 10
    assert timetable.next_s == math.inf
    timetable.clear()
    assert timetable.next_s == math.inf
