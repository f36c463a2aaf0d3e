"""An open loop's latencies are those of queueing theory; a closed loop's are not. On a virtual clock."""

import statistics

import numpy as np
import pytest

from bench import virtual
from bench.virtual import OpenRun, Server, always, closed_run, constant, exponential, poisson

SERVICE_S = 0.01
RUNS, ARRIVALS, WARM_UP = 12, 6_000, 1_000


def waits(load: float, seed: int, *, even: bool, users: int = 400) -> np.ndarray:
    """Times in the queue of one run, the first ones left out."""
    draws = list[float]()
    service = always(SERVICE_S) if even else exponential(SERVICE_S, seed)

    def drawn() -> float:
        draws.append(service())
        return draws[-1]

    run = OpenRun(poisson(load / SERVICE_S, seed), Server(drawn), users)
    latencies_s = run.run(ARRIVALS * SERVICE_S / load)
    return (np.array(latencies_s) - np.array(draws[: len(latencies_s)]))[WARM_UP:]


@pytest.mark.parametrize("even", [True, False], ids=["M/D/1", "M/M/1"])
@pytest.mark.parametrize("load", [0.5, 0.8, 0.9])
def test_waiting_times_are_those_of_theory_within_the_statistical_error(load: float, even: bool) -> None:
    runs = [waits(load, seed, even=even) for seed in range(RUNS)]
    for of, theory in (
        (lambda each: float(each.mean()), virtual.mean_wait_s(load, SERVICE_S, even=even)),
        (lambda each: float(np.quantile(each, 0.99)), virtual.wait_s(load, SERVICE_S, 0.99, even=even)),
    ):
        found = [of(each) for each in runs]
        error = statistics.stdev(found) / RUNS**0.5
        assert error < 0.15 * theory
        assert statistics.mean(found) == pytest.approx(theory, abs=3.5 * error + 0.02 * theory)


@pytest.mark.parametrize("users", [1, 2])
def test_an_arrival_that_waits_for_a_user_has_the_latency_it_would_have_in_the_server_s_queue(users: int) -> None:
    few, many = waits(0.8, 5, even=True, users=users), waits(0.8, 5, even=True)
    assert few == pytest.approx(many)


def test_the_series_of_m_d_1_is_right_where_it_is_known() -> None:
    assert virtual._md1(0.5, 0.0) == pytest.approx(0.5)  # nobody waits with 1 - load
    assert virtual._md1(0.9, 60.0) == pytest.approx(1.0, abs=1e-5)
    assert virtual.wait_s(0.5, 1.0, 0.4, even=True) == pytest.approx(0.0, abs=1e-9)


class TestAServerThatStallsForTwoSecondsOnceAMinute:
    PER_S, SERVICE_S, STALL_S, EVERY_S, RUN_S = 100.0, 0.002, 2.0, 60.0, 1_800.0

    def server(self) -> Server:
        return Server(always(self.SERVICE_S), self.STALL_S, self.EVERY_S)

    def test_a_closed_run_hides_it(self) -> None:
        latencies_s = closed_run(self.server(), users=10, think_s=10 / self.PER_S - self.SERVICE_S, to_s=self.RUN_S)
        assert len(latencies_s) == pytest.approx(self.PER_S * self.RUN_S, rel=0.05)
        assert np.quantile(latencies_s, 0.99) < 0.05

    @pytest.mark.parametrize("users", [2, 300])
    def test_an_open_run_shows_what_theory_says(self, users: int) -> None:
        run = OpenRun(constant(self.PER_S), self.server(), users)
        latencies_s = run.run(self.RUN_S)
        theory_s = virtual.stalled_s(
            0.99, per_s=self.PER_S, service_s=self.SERVICE_S, stall_s=self.STALL_S, every_s=self.EVERY_S
        )
        assert theory_s == pytest.approx(1.52, abs=0.01)
        assert np.quantile(latencies_s, 0.99) == pytest.approx(theory_s, rel=0.05)
        assert run.counts.missed == 0
