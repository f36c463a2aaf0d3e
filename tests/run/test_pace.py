"""The master's side of an open loop: what it orders makes of all workers one schedule."""

from __future__ import annotations

from pathlib import Path

import pytest

from triton_users.arrivals.rate import parse_rate
from triton_users.arrivals.settings import ArrivalSettings, parse_kind
from triton_users.arrivals.timetable import Timetable
from triton_users.declaration import UsageError
from triton_users.run.pace import LEAD_S, Order, Pace, parts_of, shares_of, trace_of


class Cluster:
    """A pace with a clock that is set by hand, and workers that follow its orders without a delay."""

    def __init__(self, rate: str, kind: str = "poisson") -> None:
        self.clock_s = 5.0
        settings = ArrivalSettings(rate=parse_rate(rate), arrivals=parse_kind(kind))
        self.pace = Pace(settings, seed=7, clock=lambda: self.clock_s)
        self.workers: dict[str, Timetable] = {}
        self.found: list[float] = []

    def follow(self, order: Order, *names: str) -> None:
        now_s = max(0.0, float(order["elapsed_s"]))
        for name in names:
            timetable = self.workers.setdefault(name, Timetable(from_s=now_s))
            timetable.change(now_s, parts_of(order, None), shares_of(order, name))

    def until(self, at_s: float) -> None:
        """Seconds of the cluster."""
        self.clock_s = self.pace.zero_s + at_s
        for timetable in self.workers.values():
            while timetable.next_s < at_s:
                self.found.append(timetable.take()[0])


@pytest.mark.parametrize("kind", ["constant", "poisson", "gamma:0.5"])
def test_over_joins_leaves_and_rates_each_arrival_is_issued_once(kind: str) -> None:
    cluster = Cluster("100 for 2s, 300", kind)
    pace = cluster.pace
    pace.begin(["a", "b"])
    cluster.follow(pace.order(), "a", "b")
    cluster.until(3.0)
    assert pace.workers_are(["a", "b", "c"])
    assert not pace.workers_are(["c", "b", "a"])
    cluster.follow(pace.order(), "a", "b", "c")
    cluster.until(6.0)
    pace.set_rate("50 for 1s, 500")
    cluster.follow(pace.order(), "a", "b", "c")
    cluster.until(6.2)
    assert pace.workers_are(["b", "c"])  # before the rate has changed
    cluster.follow(pace.order(), "a", "b", "c")
    cluster.until(9.0)
    assert len(cluster.found) == pace.intended()
    assert len(set(cluster.found)) == len(cluster.found)
    assert pace.rate == "50 for 1s, 500"
    assert cluster.workers["a"].next_s == float("inf")


def test_what_is_intended_is_counted_once() -> None:
    cluster = Cluster("10", "constant")
    assert cluster.pace.intended() == 0
    cluster.pace.begin(["a"])
    cluster.until(1.0)
    assert cluster.pace.intended() == 10
    assert cluster.pace.intended() == 0
    cluster.until(2.05)
    assert cluster.pace.intended() == 11


def test_arrivals_begin_a_little_after_the_order_so_that_all_workers_have_it() -> None:
    cluster = Cluster("10")
    cluster.pace.begin(["a"])
    assert cluster.pace.order()["elapsed_s"] == -LEAD_S
    assert cluster.pace.intended() == 0


def test_a_schedule_that_ends_is_over() -> None:
    cluster = Cluster("10 for 1s")
    cluster.pace.begin(["a"])
    assert not cluster.pace.over()
    cluster.until(1.1)
    cluster.pace.intended()
    assert cluster.pace.over()


def test_a_rate_can_be_set_only_while_users_run_at_one_and_to_one() -> None:
    cluster = Cluster("10")
    with pytest.raises(UsageError, match="users are not there yet"):
        cluster.pace.set_rate("20")
    cluster.pace.begin(["a"])
    for text in ("", "fast", "0"):
        with pytest.raises(UsageError, match="rate: "):
            cluster.pace.set_rate(text)
    assert cluster.pace.rate == "10"


def test_a_trace_says_by_itself_when_arrivals_are_due(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,bert\n1\n")
    pace = Pace(ArrivalSettings(arrivals=parse_kind(str(tmp_path / "t.csv"))), 1, lambda: 0.0)
    assert set(pace.named) == {("bert", ""), ("", "")}
    pace.begin(["a"])
    with pytest.raises(UsageError, match="replays"):
        pace.set_rate("20")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"arrivals": parse_kind("poisson")}, "arrivals: poisson needs a rate"),
        ({"arrivals": parse_kind("t.csv"), "rate": parse_rate("5")}, "cannot both say when"),
    ],
)
def test_settings_that_contradict_each_other_are_an_error(settings: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ArrivalSettings(**settings).check()  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["gamma:", "gamma:x", "gamma:0", "gamma:-1", "gamma:nan", "gamma:1e9"])
def test_a_gamma_without_a_shape_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match=r"gamma needs a shape from 0\.01"):
        parse_kind(text)


def test_a_trace_is_read_once_until_its_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("0.1\n0.2\n")
    settings = ArrivalSettings(arrivals=parse_kind(str(file)))
    first = trace_of(settings)
    assert trace_of(settings) is first
    file.write_text("0.1\n0.2\n0.3\n")
    again = trace_of(settings)
    assert again is not first
    assert first is not None
    assert again is not None
    assert again.digest != first.digest
