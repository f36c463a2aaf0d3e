"""The whole cluster's arrivals: even, random or from a trace, the same from every block of them on."""

import math

import numpy as np
import pytest

from triton_users.arrivals.rate import Rate, Times, parse_rate
from triton_users.arrivals.schedule import BLOCK, Even, Renewal, Schedule, Trace


def rate(text: str) -> Rate:
    found = parse_rate(text)
    assert found is not None
    return found


def times(schedule: Schedule, blocks: int = 10_000) -> Times:
    found = []
    for index in range(blocks):
        block = schedule.block(index)
        if block is None:
            break
        assert block.first == index * BLOCK
        found.append(block.times_s)
    return np.concatenate(found) if found else np.empty(0)


def poisson(text: str, seed: int = 1) -> Renewal:
    return Renewal(rate(text), 1.0, (seed, 0), by_lot=True)


def test_a_constant_rate_has_not_drifted_after_ten_minutes_nor_after_a_day() -> None:
    even = Even(rate("10000"))
    last = even.block(600 * 10_000 // BLOCK)
    assert last is not None
    assert last.times_s[0] == pytest.approx(last.first / 10_000, abs=1e-9)
    much_later = even.block(86_400 * 10_000 // BLOCK)
    assert much_later is not None
    assert much_later.times_s[7] == pytest.approx((much_later.first + 7) / 10_000, abs=1e-9)


def test_each_phase_has_as_many_arrivals_as_it_says() -> None:
    found = times(Even(rate("100 for 1m, 100 to 500 in 5m, 2000 for 10s")))
    counted, _ = np.histogram(found, [0, 60, 360, 370, 1e9])
    assert counted.tolist() == [6_000, 90_000, 20_000, 0]
    first_half, second_half = np.histogram(found, [60, 210, 359.999999])[0]
    assert (first_half, second_half) == (30_000, 60_000)


def test_a_pause_is_a_phase_without_arrivals() -> None:
    found = times(Even(rate("10 for 1s, 0 for 5s, 10 for 1s")))
    assert len(found) == 20
    assert found[9] < 1 <= 6 <= found[10]


def test_distances_of_a_poisson_process_are_exponential_and_independent() -> None:
    distances = np.diff(times(poisson("1000"), 100)) * 1000
    assert distances.mean() == pytest.approx(1, abs=0.02)
    assert distances.std() == pytest.approx(1, abs=0.03)
    assert np.quantile(distances, 0.99) == pytest.approx(-math.log(0.01), rel=0.03)
    assert np.corrcoef(distances[:-1], distances[1:])[0, 1] == pytest.approx(0, abs=0.015)


def test_numbers_of_arrivals_in_a_poisson_process_vary_as_they_must() -> None:
    counted, _ = np.histogram(times(poisson("1000"), 200), np.arange(0, 200, 0.1))
    assert counted.mean() == pytest.approx(100, rel=0.01)
    assert counted.var() == pytest.approx(100, rel=0.15)


@pytest.mark.parametrize("shape", [0.2, 0.5, 4.0, 100.0])
def test_the_shape_of_gamma_says_how_uneven_the_distances_are(shape: float) -> None:
    distances = np.diff(times(Renewal(rate("500"), shape, (3, 0), by_lot=False), 200)) * 500
    assert distances.mean() == pytest.approx(1, abs=0.03 / math.sqrt(shape))
    assert distances.std() == pytest.approx(1 / math.sqrt(shape), rel=0.03)


def test_a_ramp_stretches_random_distances_too() -> None:
    counted, _ = np.histogram(times(poisson("0 to 2000 in 100s")), np.linspace(0, 100, 11))
    assert counted.sum() == pytest.approx(100_000, rel=0.02)
    assert counted[-1] / counted[0] == pytest.approx(19, rel=0.1)


def test_a_seed_gives_the_same_arrivals_again_and_another_one_others() -> None:
    assert (times(poisson("100"), 5) == times(poisson("100"), 5)).all()
    assert not np.isin(times(poisson("100"), 5), times(poisson("100", seed=2), 5)).any()


@pytest.mark.parametrize(
    "make", [lambda: Even(rate("500 for 60s, 500 to 50 in 60s, 100")), lambda: poisson("500 for 60s, 50")]
)
@pytest.mark.parametrize("at_s", [0.0, 0.5, 59.9, 61.0, 4_000.0])
def test_the_middle_of_a_run_is_found_without_its_beginning(make, at_s: float) -> None:  # type: ignore[no-untyped-def]
    whole, fresh = make(), make()
    everything = times(whole, 500)
    index = fresh.block_at(at_s)
    block = fresh.block(index)
    assert block is not None
    assert (block.times_s == everything[block.first : block.first + len(block.times_s)]).all()
    assert block.times_s[-1] >= at_s
    assert index == 0 or everything[block.first - 1] < at_s


def test_a_trace_is_replayed_as_it_stands() -> None:
    trace = Trace(np.arange(3_000) / 7)
    assert (times(trace) == np.arange(3_000) / 7).all()
    block = trace.block(trace.block_at(400.0))
    assert block is not None
    assert block.times_s[0] <= 400.0 <= block.times_s[-1]
    assert trace.block(3) is None
