"""What passes between a worker and its master, and how the end of a run waits for it."""

from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.run.fakes import FakeCommand, FakeMaster, FakeWorker, configuration, options
from triton_users.ledger.counts import Ledger
from triton_users.run import snapshots
from triton_users.run.node import Node
from triton_users.run.snapshots import (
    KEY,
    RESET_MESSAGE,
    STOP_MESSAGE,
    STOPPED_MESSAGE,
    LocalNode,
    SnapshotCollector,
    SnapshotSender,
)


def stops_a_user(node: Node) -> None:
    """Of the only user, killed now: its request is answered soon, and it ends then."""
    command: Any = node._command
    command.killed = 1

    def answer() -> None:
        node.recorder.row("", "m").record(1_000, 0, 1, 1)
        command.killed = 0

    gevent.spawn_later(0.03, answer)


def counted(snapshot: dict[str, Any]) -> int:
    """Requests in a snapshot."""
    return sum(row.requests for row in Ledger.load(snapshot["ledger"]).rows.values())


class TestTheWorker:
    @pytest.fixture
    def node(self) -> Node:
        return Node(FakeCommand(options("reports")), "w")

    @pytest.fixture
    def worker(self) -> FakeWorker:
        return FakeWorker()

    @pytest.fixture
    def sender(self, node: Node, worker: FakeWorker) -> SnapshotSender:
        sender = SnapshotSender(node, worker)
        worker.on_report = sender.add_to
        return sender

    def test_before_its_first_run_it_has_no_snapshot(self, sender: SnapshotSender) -> None:
        report: dict[str, Any] = {}
        sender.add_to(report)
        assert not report

    def test_a_run_that_begins_accepts_users_and_is_reported_at_once(
        self, sender: SnapshotSender, worker: FakeWorker, node: Node
    ) -> None:
        sender.start(configuration("one"))
        node.end()
        assert worker.asked == ["accept users", "report"]
        snapshot = worker.reports[0][KEY]
        assert (snapshot["epoch"], snapshot["worker"], snapshot["final"]) == ("one", "w", False)

    def test_as_it_stops_it_refuses_users_and_its_last_snapshot_comes_before_its_answer(
        self, sender: SnapshotSender, worker: FakeWorker, node: Node
    ) -> None:
        sender.start(configuration())
        worker.asked.clear()

        def stop() -> None:
            sender.stopping()
            sender.stopped()

        worker.on_stop = stop
        worker.listeners[STOP_MESSAGE]({"at": 7.0})
        node.end()
        assert worker.asked == [("stop", 7.0), "refuse users", "report", STOPPED_MESSAGE]
        assert worker.reports[-1][KEY]["final"]

    def test_what_a_user_still_waits_for_when_all_are_told_to_stop_is_in_its_last_snapshot(
        self, sender: SnapshotSender, worker: FakeWorker, node: Node
    ) -> None:
        sender.start(configuration())
        stops_a_user(node)
        sender.stopped()
        node.end()
        assert counted(worker.reports[-1][KEY]) == 1

    def test_its_end_waits_until_the_master_has_its_answer(self, sender: SnapshotSender, worker: FakeWorker) -> None:
        with gevent.Timeout(5):
            sender.answered()  # nobody has told it to stop
        told = Event()
        worker.on_stop = lambda: told.wait(5) or None
        stopping = gevent.spawn(worker.listeners[STOP_MESSAGE], {"at": 7.0})
        gevent.sleep(0)
        assert STOPPED_MESSAGE not in worker.asked
        gevent.spawn_later(0.02, told.set)
        sender.answered()
        assert worker.asked[-1] == STOPPED_MESSAGE
        stopping.get(timeout=5)

    def test_it_answers_also_when_stopping_goes_wrong(self, sender: SnapshotSender, worker: FakeWorker) -> None:
        def fail() -> None:
            raise ValueError("no")

        worker.on_stop = fail
        with pytest.raises(ValueError, match="no"):
            worker.listeners[STOP_MESSAGE]({"at": 7.0})
        assert worker.asked[-1] == STOPPED_MESSAGE

    def test_another_run_counts_from_nothing_and_is_not_over(
        self, sender: SnapshotSender, worker: FakeWorker, node: Node
    ) -> None:
        sender.start(configuration("one"))
        node.recorder.run_finished("Timeout", "passed", 1, 1_000)
        sender.stopped()
        sender.start(configuration("two"))
        node.end()
        snapshot = worker.reports[-1][KEY]
        assert (snapshot["epoch"], snapshot["final"]) == ("two", False)
        assert not any(counts for counts in snapshot["ledger"].values() if counts)

    def test_a_reset_forgets_both_counts_before_it_is_reported(
        self, sender: SnapshotSender, worker: FakeWorker, node: Node
    ) -> None:
        sender.start(configuration("one"))
        worker.asked.clear()
        worker.listeners[RESET_MESSAGE]({"epoch": "two"})
        node.end()
        assert worker.asked == ["forget statistics", "report"]
        assert worker.reports[-1][KEY]["epoch"] == "two"


class TestTheMaster:
    def collector(self, master: FakeMaster) -> SnapshotCollector:
        return SnapshotCollector(master, FakeCommand(options("reports"), distributed=True))

    def test_a_snapshot_is_taken_out_of_the_report_it_came_in(self) -> None:
        master, merged = FakeMaster(), []
        report = {KEY: {"epoch": "one"}, "stats": [1]}
        self.collector(master).take_out_of(report, lambda snapshot: bool(merged.append(snapshot)) or True)
        assert merged == [{"epoch": "one"}]
        assert report == {"stats": [1]}
        assert not master.discounted

    def test_nothing_of_a_report_counts_whose_snapshot_is_of_another_epoch(self) -> None:
        master = FakeMaster()
        report = {KEY: {"epoch": "old"}, "stats": [1]}
        self.collector(master).take_out_of(report, lambda snapshot: False)
        assert master.discounted == [report]

    def test_a_report_without_a_snapshot_is_locusts_alone(self) -> None:
        master = FakeMaster()
        self.collector(master).take_out_of({"stats": [1]}, lambda snapshot: pytest.fail("there is none"))
        assert not master.discounted

    def test_the_ramp_up_ends_first_then_all_are_told_then_it_waits_until_each_has_answered(self) -> None:
        master = FakeMaster(a=0.0, b=1.0)
        collector = self.collector(master)

        def answer(message: str) -> None:
            for number, worker in enumerate(("a", "b")):
                gevent.spawn_later(0.01 * number, master.listeners[STOPPED_MESSAGE], worker)

        master.on_send = answer
        with gevent.Timeout(5):
            collector.stopping(0.0)
        assert master.asked == ["end ramp-up", STOP_MESSAGE, "hear", "heard"]

    def test_one_that_is_known_no_more_or_silent_for_long_is_not_waited_for(self) -> None:
        master = FakeMaster(silent=snapshots.UNHEARD_LIMIT_S, gone=0.0)
        master.on_send = lambda message: master.silence.pop("gone") and None
        with gevent.Timeout(5):
            self.collector(master).stopping(600.0)

    def test_one_that_lives_but_never_answers_is_waited_for_so_long_and_named(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(snapshots, "FINAL_LIMIT_S", 0.5)
        monkeypatch.setattr(snapshots, "LOG_AFTER_S", 0.01)
        caplog.set_level("INFO")
        with gevent.Timeout(5):
            self.collector(FakeMaster(stuck=0.0)).stopping(0.0)
        assert "for the last counts of stuck" in caplog.text
        assert "No last counts came from: stuck" in caplog.text

    def test_an_answer_to_an_earlier_end_does_not_count_for_this_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(snapshots, "FINAL_LIMIT_S", 0.5)
        master = FakeMaster(a=0.0)
        collector = self.collector(master)
        master.listeners[STOPPED_MESSAGE]("a")
        collector.stopping(0.0)
        assert collector._waiting == {"a"}

    def test_a_worker_that_joins_while_the_end_waits_is_not_waited_for(self) -> None:
        master = FakeMaster(a=0.0)

        def answer(message: str) -> None:
            master.silence["late"] = 0.0
            master.listeners[STOPPED_MESSAGE]("a")

        master.on_send = answer
        with gevent.Timeout(5):
            self.collector(master).stopping(600.0)

    def test_a_reset_goes_to_all(self) -> None:
        master = FakeMaster(a=0.0)
        self.collector(master).reset("two")
        assert master.asked == [RESET_MESSAGE]


class TestALocalRun:
    def test_what_a_user_still_waits_for_is_in_its_last_counts(self) -> None:
        node = Node(FakeCommand(options("reports")), "local")
        local = LocalNode(node)
        local.start(configuration())
        stops_a_user(node)
        last = local.last()
        assert last is not None
        assert counted(last) == 1

    def test_its_last_counts_are_final_and_its_folder_is_removed(self) -> None:
        node = Node(FakeCommand(options("reports")), "local")
        local = LocalNode(node)
        assert local.poll() is None
        local.start(configuration("one"))
        scratch = node._command.run.scratch  # type: ignore[attr-defined]  # the fake's
        assert scratch.is_dir()
        poll, last = local.poll(), local.last()
        assert poll is not None
        assert last is not None
        assert (poll["final"], last["final"]) == (False, True)
        assert not scratch.exists()
