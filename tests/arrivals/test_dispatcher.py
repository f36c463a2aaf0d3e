"""Who takes which arrival, and what becomes of one that nobody takes."""

import math
from functools import partial

import numpy as np
import pytest

from bench.virtual import OpenRun, Server, always, constant
from triton_users.arrivals.dispatcher import IN_A_ROW, TOGETHER_S, Arrival, Dispatcher
from triton_users.arrivals.schedule import Trace
from triton_users.arrivals.timetable import Part, Timetable
from triton_users.ledger import ArrivalCounts


class Desk:
    """A dispatcher over arrivals at these times, with a clock that is set by hand."""

    def __init__(self, *times_s: float, wait_s: float = 10.0, **named: object) -> None:
        self.now_s = 0.0
        self.counts = ArrivalCounts()
        self.started: list[tuple[str, int]] = []
        self.arrivals: list[Arrival] = []
        self.restless: set[str] = set()
        """Users that are free again at once."""
        self.alarms: list[float] = []
        self.dispatcher: Dispatcher[str] = Dispatcher(
            Timetable([Part(0.0, Trace(np.array(times_s)))]),
            self.counts,
            wait_s=wait_s,
            clock=lambda: self.now_s,
            alarm=self.alarms.append,
            **named,  # type: ignore[arg-type]
        )

    def offer(self, *users: str) -> None:
        for user in users:
            self.dispatcher.offer(user, partial(self._start, user))

    def _start(self, user: str, arrival: Arrival) -> None:
        self.started.append((user, arrival.number))
        self.arrivals.append(arrival)
        if user in self.restless:
            self.offer(user)

    def at(self, now_s: float) -> None:
        self.now_s = now_s
        self.dispatcher.run()


def test_users_that_are_free_take_arrivals_in_turn() -> None:
    desk = Desk(1, 2, 3)
    desk.offer(*"abc")
    assert desk.alarms == [1]
    desk.at(1)
    desk.at(2.0001)
    assert desk.started == [("a", 0), ("b", 1)]
    assert desk.alarms[-1] == 3
    assert (desk.counts.prompt, desk.counts.issued) == (2, 2)


def test_an_arrival_waits_for_a_user_with_its_clock_running() -> None:
    desk = Desk(1, 2)
    desk.now_s = 4.0
    desk.offer("a")
    assert desk.alarms[-1] <= desk.now_s, "nobody else would give it what waits"
    desk.at(4.0)
    desk.offer("a")
    desk.at(4.0)
    assert desk.arrivals == [Arrival(1, 0), Arrival(2, 1)]
    assert desk.counts.waited == 2
    assert desk.counts.delay.max_us == 3_000_000


def test_no_alarm_is_set_while_nobody_is_free() -> None:
    desk = Desk(1, 2)
    desk.offer("a")
    desk.at(1)
    assert desk.alarms[-1] == math.inf


def test_users_that_are_free_again_at_once_do_not_keep_all_else_from_going_on() -> None:
    desk = Desk(*range(100), wait_s=1_000)
    desk.restless = {"a", "b"}
    desk.offer("a", "b")
    desk.at(99)
    assert desk.started == [("a", 0), ("b", 1)]
    assert desk.alarms[-1] <= desk.now_s
    desk.at(99)
    assert desk.started[2:] == [("a", 2), ("b", 3)]


def test_no_arrival_waits_for_another_where_a_worker_has_time_to_wake_up_for_each() -> None:
    desk = Desk(1, 1.0001, *range(2, 100))
    desk.offer("a", "b")
    desk.at(1.00005)
    assert desk.alarms[-1] == 1.0001


def test_those_of_a_rate_that_leaves_no_time_for_that_go_together() -> None:
    desk = Desk(*(n / 10_000 for n in range(100)))
    users = [f"user {n}" for n in range(64)]
    desk.offer(*users)
    desk.at(0.0)
    assert desk.alarms[-1] == TOGETHER_S
    desk.at(TOGETHER_S)
    assert [number for _, number in desk.started] == [0, 1, 2, 3, 4]
    assert desk.counts.delay.max_us == 300


def test_they_wait_for_no_others_when_they_have_waited_for_a_user() -> None:
    desk = Desk(*(n / 10_000 for n in range(100)))
    desk.offer("a")
    desk.at(0.0)
    desk.now_s = 0.00025
    desk.offer("a")
    assert desk.alarms[-1] <= desk.now_s


class TestAUserThatIsFreeWhenAnArrivalIsDue:
    def test_begins_with_it_at_once(self) -> None:
        desk = Desk(1, 2, 3)
        desk.offer("a")
        desk.now_s = 2.5
        assert desk.dispatcher.take_due("b") == Arrival(1, 0)
        assert desk.dispatcher.take_due("b") == Arrival(2, 1)
        assert desk.dispatcher.take_due("b") is None
        assert (desk.counts.issued, desk.counts.delay.max_us) == (2, 1_500_000)
        desk.at(3)
        assert desk.started == [("a", 2)]

    def test_waits_for_one_that_is_not_due_yet(self) -> None:
        assert Desk(1).dispatcher.take_due("a") is None
        assert Desk().dispatcher.take_due("a") is None

    def test_leaves_what_has_waited_too_long(self) -> None:
        desk = Desk(1, 2, wait_s=1.5)
        desk.now_s = 3.0
        assert desk.dispatcher.take_due("a") is None
        desk.offer("a")
        desk.at(3.0)
        assert desk.started == [("a", 1)]
        assert desk.counts.missed == 1

    def test_leaves_it_to_one_of_another_class_that_has_waited(self) -> None:
        """Else users whose requests are answered soonest would have most of the arrivals."""
        desk = Desk(1, 2)
        desk.offer("a")
        desk.now_s = 1.0
        assert desk.dispatcher.take_due(b"another") is None  # type: ignore[arg-type]  # it is of another class
        desk.at(1.0)
        assert desk.started == [("a", 0)]

    def test_does_not_go_on_for_ever(self) -> None:
        """Its tasks may never wait for anything, and all else must have its turn."""
        desk = Desk(*(n / 10_000 for n in range(100)))
        desk.now_s = 1.0
        taken = [desk.dispatcher.take_due("a") for _ in range(50)]
        assert len([each for each in taken if each is not None]) == IN_A_ROW
        desk.offer("a")
        desk.at(1.0)
        assert desk.dispatcher.take_due("a") is not None

    def test_is_not_asked_where_a_trace_says_whose_it_is(self) -> None:
        desk = Desk(1, named=lambda number: ("model", ""))
        desk.now_s = 1.0
        assert desk.dispatcher.take_due("a") is None

    def test_leaves_those_of_a_time_together_while_they_are_not_late(self) -> None:
        desk = Desk(*(n / 10_000 for n in range(100)))
        desk.offer(*(f"user {n}" for n in range(64)))
        desk.at(0.0)
        desk.now_s = 0.00025
        assert desk.dispatcher.take_due("b") is None
        desk.now_s = 0.00065
        assert desk.dispatcher.take_due("b") == Arrival(0.0001, 1)
        assert desk.dispatcher.take_due("b") == Arrival(0.0002, 2)
        assert desk.dispatcher.take_due("b") is None
        desk.offer("b")
        assert desk.alarms[-1] == TOGETHER_S, "it is set for that already"


def test_what_has_waited_too_long_is_missed_and_never_issued() -> None:
    desk = Desk(1, 2, 3, wait_s=1.5)
    desk.now_s = 4.0
    desk.offer("a")
    desk.at(4.0)
    assert desk.started == [("a", 2)]
    assert (desk.counts.missed_busy, desk.counts.missed_slow, desk.counts.issued) == (2, 0, 1)


def test_whose_fault_it_was_is_told_by_whether_a_user_was_free_when_it_was_due() -> None:
    """Users were busy until 2.2, then the client stood still until 5."""
    desk = Desk(1, 2, 3, 4, wait_s=2.5)
    desk.now_s = 2.2
    desk.offer("a", "b")
    desk.at(5.0)
    assert desk.started == [("a", 2), ("b", 3)]
    assert (desk.counts.missed_busy, desk.counts.missed_slow) == (2, 0)
    assert (desk.counts.waited, desk.counts.late) == (0, 2)


def test_it_is_counted_as_missed_though_no_user_ever_comes() -> None:
    desk = Desk(1, 2, 3, wait_s=1.5)
    desk.now_s = 4.0
    desk.dispatcher.expire()
    desk.dispatcher.expire()
    assert desk.counts.missed_busy == 2


def test_a_client_that_stood_still_is_told_from_users_that_are_busy() -> None:
    desk = Desk(1, 2, 3, wait_s=1.5)
    desk.offer("a", "b")
    desk.at(4.0)  # the alarm was late
    assert desk.started == [("a", 2)]
    assert (desk.counts.missed_slow, desk.counts.late, desk.counts.waited) == (2, 1, 0)


def test_a_user_that_has_gone_is_given_nothing() -> None:
    desk = Desk(1)
    desk.offer("a", "b")
    desk.dispatcher.withdraw("a")
    desk.at(1)
    assert desk.started == [("b", 0)]


def test_after_the_stop_nothing_arrives_and_nothing_more_is_missed() -> None:
    desk = Desk(1, 2, wait_s=1.0)
    desk.now_s = 1.5
    desk.dispatcher.stop()
    desk.offer("a")
    desk.at(9.0)
    desk.dispatcher.expire()
    assert desk.started == []
    assert desk.counts.ended == 0


class TestATraceThatNamesModels:
    def desk(self, *models: str, wait_s: float = 10.0) -> Desk:
        return Desk(
            *range(1, len(models) + 1),
            wait_s=wait_s,
            named=lambda number: (models[number], f"input {number}"),
            can=lambda user, model: not model or model in user,
        )

    def test_each_goes_to_a_user_that_can_send_it(self) -> None:
        desk = self.desk("b", "a", "")
        desk.offer("a", "b", "ab")
        for now_s in (1, 2, 3):
            desk.at(now_s)
        assert desk.started == [("b", 0), ("a", 1), ("ab", 2)]

    def test_one_that_nobody_free_can_send_waits_and_holds_up_no_other(self) -> None:
        desk = self.desk("b", "a")
        desk.offer("a")
        desk.at(1)
        desk.at(2)
        assert desk.started == [("a", 1)]
        desk.offer("b")
        assert desk.alarms[-1] <= desk.now_s
        desk.at(2)
        assert desk.arrivals[-1] == Arrival(1, 0, "b", "input 0")

    def test_so_it_is_for_a_user_that_comes_later(self) -> None:
        desk = self.desk("b", "a", "b", "b")
        desk.offer("a")
        desk.at(3.0)
        desk.at(3.0)
        assert desk.started == [("a", 1)]
        for _ in range(3):
            desk.offer("b")
            desk.at(4.0)
        assert desk.arrivals[1:] == [Arrival(due, due - 1, "b", f"input {due - 1}") for due in (1, 3, 4)]

    def test_it_is_missed_when_it_has_waited_for_too_long(self) -> None:
        desk = self.desk("b", "a", wait_s=1.0)
        desk.offer("a")
        desk.at(1)
        desk.now_s = 2.5
        desk.dispatcher.expire()
        assert desk.counts.missed == 1


@pytest.mark.parametrize("users", [1, 3, 50])
def test_every_arrival_is_issued_missed_or_still_waiting(users: int) -> None:
    run = OpenRun(constant(100), Server(always(0.02)), users, wait_s=3.0)  # twice what the server can
    run.run(60.0)
    run.expire()
    waiting = 100 * 3.0
    assert run.counts.missed > 1_000
    assert 6_000 - run.counts.ended == pytest.approx(waiting, abs=3)
    assert run.counts.delay.max_us <= 3_000_001


def test_nothing_re_anchors_after_a_stall() -> None:
    """The arrivals of a stall are issued at once when it is over, with the latency that their users would have seen."""
    run = OpenRun(constant(100), Server(always(0.0001), stall_s=2.0, every_s=20.0), users=5)
    latencies_s = run.run(19.999)
    assert run.counts.issued == 2_000
    assert max(latencies_s) == pytest.approx(2.0, rel=0.01)
    assert sorted(latencies_s)[-200] == pytest.approx(0.03, abs=0.01)
    assert run.due_s == pytest.approx(np.arange(2_000) / 100)
