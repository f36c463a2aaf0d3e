"""What a person writes as a rate, and how many arrivals are due by when."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triton_users.arrivals.rate import Phase, Rate, parse_rate
from triton_users.declaration import UsageError

phases = st.lists(
    st.builds(Phase, st.floats(0, 2_000), st.floats(0, 2_000), st.floats(0.1, 100))
    | st.builds(lambda rate, s: Phase(rate, rate, s), st.floats(0, 2_000), st.floats(0.1, 100)),
    min_size=1,
    max_size=5,
)


def test_one_number_is_a_rate_that_lasts() -> None:
    assert parse_rate("200") == Rate((Phase(200, 200, math.inf),), "200")
    assert parse_rate("0.5/s").due(10) == 5  # type: ignore[union-attr]


def test_phases_follow_each_other_and_the_last_one_may_last() -> None:
    rate = parse_rate("100 for 1m, 100 to 500 in 5m,  2000 for 10s, 50")
    assert rate is not None
    assert rate.phases == (Phase(100, 100, 60), Phase(100, 500, 300), Phase(2000, 2000, 10), Phase(50, 50, math.inf))
    assert rate.due(60) == 6_000
    assert rate.due(360) == 6_000 + 90_000
    assert rate.due(371) == 96_000 + 20_000 + 50


def test_times_are_written_as_people_write_them() -> None:
    rate = parse_rate("1 for 90, 1 for 10s, 1 for 1.5m, 1 for 1h30m, 1 for 1h1m1s")
    assert rate is not None
    assert [phase.duration_s for phase in rate.phases] == [90, 10, 90, 5400, 3661]


def test_nothing_written_is_no_rate() -> None:
    assert parse_rate("") is None
    assert parse_rate(" , ") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fast", "'fast' is no number of arrivals a second"),
        ("-1", "'-1' is no number of arrivals a second"),
        ("nan", "'nan' is no number of arrivals"),
        ("inf", "'inf' is no number of arrivals"),
        ("2000000", "from 0 to 1000000"),
        ("100 for", "'100 for' is no rate"),
        ("100 for 0s", "'0s' is no length of time over 0"),
        ("100 for ever", "'ever' is no length of time"),
        ("100 to 200", "'100 to 200' is no rate"),
        ("100 to x in 5m", "'x' is no number of arrivals"),
        ("100, 200", "'100' does not say for how long"),
        ("0", "lets nothing arrive"),
        ("0 for 5s, 0", "lets nothing arrive"),
        (",".join(["1 for 1s"] * 1001), "1001 phases"),
    ],
)
def test_what_is_no_rate_is_an_error_that_says_what_would_be_one(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="rate: ") as error:
        parse_rate(text)
    assert said in str(error.value)


@settings(deadline=None)
@given(phases, st.floats(0, 500))
def test_when_is_the_inverse_of_due(phases: list[Phase], at_s: float) -> None:
    rate = Rate(tuple(phases))
    due = rate.due(at_s)
    assert 0 <= due <= rate.total * (1 + 1e-12)
    if due < rate.total * (1 - 1e-9):
        (found,) = rate.when(np.array([due]))
        assert rate.due(found) == pytest.approx(due, rel=1e-9, abs=1e-6)


@settings(deadline=None)
@given(phases)
def test_times_ascend_and_what_is_beyond_the_last_phase_is_never_due(phases: list[Phase]) -> None:
    rate = Rate(tuple(phases))
    times_s = rate.when(np.linspace(0, rate.total * 1.2, 200))
    assert (np.diff(times_s[np.isfinite(times_s)]) >= -1e-9).all()
    assert not np.isfinite(rate.when(np.array([rate.total + 0.1]))).any()
    assert (times_s[np.isfinite(times_s)] <= rate.duration_s * (1 + 1e-9)).all()
