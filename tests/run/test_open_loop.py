"""A node in an open loop: it follows the master's orders, by the master's clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from locust import User, constant, task

from tests.locust_compat.conftest import environment, until
from triton_users.arrivals.rate import parse_rate
from triton_users.arrivals.settings import ArrivalSettings, parse_kind
from triton_users.declaration import UsageError
from triton_users.ledger import ArrivalCounts
from triton_users.run import open_loop, pace
from triton_users.run.open_loop import OpenLoop
from triton_users.run.pace import Pace
from triton_users.run.trace_names import names_of


class Visitor(User):
    wait_time = constant(1_000)
    visits: list[float]

    @task
    def visit(self) -> None:
        Visitor.visits.append(self.arrival.due_s)  # type: ignore[attr-defined]  # a node sets it


class GoingVisitor(Visitor):
    @task
    def leave(self) -> None:
        Visitor.visits.append(-1.0)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Pace, OpenLoop, ArrivalCounts]]]:
    monkeypatch.setattr(pace, "LEAD_S", 0.05)
    Visitor.visits = []
    made: list[OpenLoop] = []

    def node(rate: str, arrivals: str = "constant", **more: Any) -> tuple[Pace, OpenLoop, ArrivalCounts]:
        settings = ArrivalSettings(rate=parse_rate(rate), arrivals=parse_kind(arrivals), **more)
        counts, master = ArrivalCounts(), Pace(settings, 1, time.perf_counter)
        made.append(OpenLoop(settings, "here", counts, master.digest))
        made[0].start()
        return master, made[0], counts

    yield node
    for each in made:
        each.close()


def test_users_start_when_they_are_due_and_nothing_arrives_before_the_order_or_after_the_stop(make: Any) -> None:
    master, node, counts = make("100 for 0.2s")
    runner = environment(Visitor).create_local_runner()
    runner.start(3, 3)
    until(lambda: node.idle == 3)
    assert Visitor.visits == []
    master.begin(["here"])
    node.follow(master.order())
    until(lambda: counts.issued == 20)
    assert Visitor.visits == pytest.approx([n / 100 for n in range(20)])
    master.set_rate("1000")
    node.follow(master.order())
    until(lambda: counts.issued > 25)
    node.stop()
    issued = counts.issued
    until(lambda: node.idle == 3)
    assert counts.issued == issued == len(Visitor.visits)
    runner.quit()
    assert node.idle == 0


def test_a_trace_says_which_task_a_user_does(make: Any, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("time,model\n" + "0,leave\n0,\n0,visit\n" * 5)
    master, node, counts = make("", str(trace))
    runner = environment(GoingVisitor).create_local_runner()
    runner.start(2, 2)
    until(lambda: node.idle == 2)
    master.begin(["here"])
    node.follow(master.order())
    until(lambda: counts.issued == 15)
    runner.quit()
    assert 5 <= Visitor.visits.count(-1.0) <= 10  # one without a name may pick it


def test_an_order_that_comes_late_loses_no_arrival(make: Any) -> None:
    master, node, counts = make("100 for 0.2s", arrival_wait_s=60.0)
    master.begin(["here", "there"])
    until(lambda: master.now_s() > 0.3)
    node.follow(master.order())
    runner = environment(Visitor).create_local_runner()
    runner.start(1, 1)
    until(lambda: counts.issued == 10)
    runner.quit()
    assert counts.waited == 10


def test_on_another_machine_the_fastest_order_sets_the_clock(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    master, node, _ = make("100")
    master.begin(["here"])
    elsewhere = {**master.order(), "clock": "of another machine", "zero_s": -1e9}
    monkeypatch.setattr(open_loop.time, "perf_counter", lambda: 1_000.0)
    for elapsed_s, now_s in ((5.0, 5.0), (4.0, 5.0), (5.5, 5.5)):
        node.follow({**elsewhere, "elapsed_s": elapsed_s})
        assert node.now_s() == pytest.approx(now_s)


def test_on_the_master_s_machine_the_clock_is_the_master_s(make: Any) -> None:
    master, node, _ = make("100")
    master.begin(["here"])
    node.follow({**master.order(), "elapsed_s": -9.0})
    assert node.now_s() == pytest.approx(master.now_s(), abs=0.5)
    assert master.zero_s == pytest.approx(time.perf_counter(), abs=5)


def test_a_worker_with_another_trace_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0\n1\n")
    settings = ArrivalSettings(arrivals=parse_kind(str(tmp_path / "t.csv")))
    with pytest.raises(UsageError, match="is another file here than on the master"):
        OpenLoop(settings, "here", ArrivalCounts(), "0123")


def test_a_trace_can_name_tasks_and_the_model_of_a_class_for_one() -> None:
    class Bert(User):
        abstract = True
        model = "bert"

        @task
        def infer(self) -> None: ...

    assert set(names_of(GoingVisitor)) == {"visit", "leave"}
    assert set(names_of(Bert)) == {"infer", "bert"}
