"""A load that a server cannot take piles requests up; one that it can goes up and down."""

import random

import pytest

from triton_users.capacity.saturation import grows, saturated


def test_requests_that_pile_up_are_seen_within_six_looks() -> None:
    assert saturated([10, 20, 30, 40, 50, 60], [1e4, 2e4, 3e4, 4e4, 5e4, 6e4], 40)


def test_five_looks_are_too_few_for_a_significant_growth() -> None:
    assert not grows([1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("in_flight", "took"),
    [
        ([10, 20, 30, 40, 50, 60], [1e4] * 6),
        ([5, 5, 5, 5, 5, 5], [1e4, 2e4, 3e4, 4e4, 5e4, 6e4]),
        ([1, 2, 3, 4, 5, 6], [1e4, 2e4, 3e4, 4e4, 5e4, 6e4]),
        ([100, 101, 102, 103, 104, 105], [1e4, 1.01e4, 1.02e4, 1.03e4, 1.04e4, 1.05e4]),
        ([], []),
    ],
    ids=["answers take no longer", "no more under way", "no pile", "by little", "nothing"],
)
def test_what_grows_alone_or_by_little_is_no_saturation(in_flight: list[float], took: list[float]) -> None:
    assert not saturated(in_flight, took, 40)


def test_one_moment_of_standstill_is_no_saturation() -> None:
    assert not saturated([4, 5, 4, 90, 5, 4, 4, 5], [1e4, 1e4, 1e4, 9e5, 2e4, 1e4, 1e4, 1e4], 40)


def test_a_busy_queue_that_goes_up_and_down_is_hardly_ever_called_saturated() -> None:
    """M/M/1 at 0.9 of its capacity, 100 a second, looked at once a second."""
    draw, wrong, trials = random.Random(1), 0, 300
    for _ in range(trials):
        queue, in_flight = draw.randrange(20), []
        for _ in range(10):
            for _ in range(211):
                up = draw.random() < 0.9 / 1.9
                queue = queue + 1 if up else max(0, queue - 1)
            in_flight.append(float(queue))
        wrong += saturated(in_flight, [1e4 * (1 + each) for each in in_flight], 100)
    assert wrong <= 0.02 * trials
