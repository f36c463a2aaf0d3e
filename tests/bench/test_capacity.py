"""What perf_analyzer's report of a search says."""

from bench.capacity import found_in

HEAD = "Request Rate,Inferences/Second,Client Send,p99 latency,Avg latency\n"


def test_the_highest_rate_under_the_limit_held_and_the_first_over_it_did_not() -> None:
    found = found_in("pa", HEAD + "400,399.8,1,25000,9\n200,199.9,1,4000,2\n300,299.5,1,9000,2\n", 20.0, 30.0)
    assert (found.held, found.failed, found.levels) == (300, 400, 3)
    assert found.why == "p99 25 ms, 400 of 400/s reached"


def test_a_rate_that_was_not_reached_did_not_hold_however_quick_the_answers() -> None:
    found = found_in("pa", HEAD + "200,199.9,1,4000,2\n800,410,1,5000,2\n", 20.0, 30.0)
    assert (found.held, found.failed) == (200, 800)


def test_nothing_that_held_is_nothing() -> None:
    found = found_in("pa", HEAD + "200,199.9,1,44000,2\n", 20.0, 30.0)
    assert (found.held, found.failed) == (None, 200)
