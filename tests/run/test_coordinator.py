"""What the local runner or the master does, from the start of a run to its end, with fakes of Locust and of nodes."""

from __future__ import annotations

import io
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.capacity.answers import FOUND
from tests.run.fakes import HOST, FakeCommand, FakeNodes, Refused, options, target
from tests.transport.support import free_port
from triton_users.ledger import Recorder
from triton_users.run import coordinator as module
from triton_users.run.capacity import CapacitySearch
from triton_users.run.configuration import RunConfiguration
from triton_users.run.coordinator import Coordinator, print_what_the_terminal_can_show
from triton_users.run.preflight import Preflight
from triton_users.run.server_state import ServerState
from triton_users.run.watch import ServerWatch
from triton_users.settings import UsageError
from triton_users.users import TritonGrpcUser


@pytest.fixture(autouse=True)
def a_server_that_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "look_at", lambda *_, **__: Preflight(target(), {}, ServerState()))
    monkeypatch.setattr(ServerWatch, "at_the_end", lambda *_: [])


class Run:
    """A coordinator with all its surroundings."""

    def __init__(self, folder: Path, *arguments: str, headless: bool = True, distributed: bool = False) -> None:
        self.command = FakeCommand(options(folder, *arguments, headless=headless), distributed=distributed)
        self.nodes = FakeNodes()
        self.coordinator = Coordinator(self.command, self.nodes)
        self.folder = folder

    @property
    def epoch(self) -> str:
        assert self.command.sent is not None
        return str(self.command.sent["epoch"])

    def count(self, epoch: str, worker: str = "w", outcome: str = "passed", final: bool = True) -> bool:
        recorder = Recorder(worker, epoch)
        recorder.run_finished("Timeout", outcome, 1, 1_000)
        recorder.row("Timeout", "m").record(1_000, 0, 1, 1)
        return self.coordinator.merge(recorder.snapshot(0.1, final=final))

    def end(self) -> None:
        self.coordinator.stopping()
        self.coordinator.stopped()

    def reports(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("*/report.json"))]


def test_a_run_is_settled_before_its_nodes_begin_and_travels_whole(tmp_path: Path) -> None:
    run = Run(tmp_path, "--seed", "7")
    run.coordinator.start()
    assert run.nodes.asked == ["start"]
    assert run.nodes.configuration is not None
    assert run.nodes.configuration.settings.seed == 7
    assert run.command.sent is not None
    assert RunConfiguration.unpack(run.command.sent) == run.nodes.configuration
    run.end()


def test_each_run_has_an_epoch_of_its_own(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.coordinator.start()
    first = run.epoch
    run.end()
    run.coordinator.start()
    assert run.epoch != first
    assert not run.count(first)
    assert run.count(run.epoch)
    run.end()
    assert [report["totals"]["runs"] for report in run.reports()] == [0, 1]


def test_a_run_that_cannot_start_begins_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UsageError("there is nobody")

    monkeypatch.setattr(module, "look_at", refuse)
    run = Run(tmp_path)
    with pytest.raises(Refused, match="there is nobody"):
        run.coordinator.start()
    assert run.nodes.asked == []
    assert run.coordinator.reporting is None


def test_options_are_checked_again_at_each_start(tmp_path: Path) -> None:
    run = Run(tmp_path, "--scenarios", "Nothing", headless=False)
    with pytest.raises(Refused, match="there is no 'Nothing'"):
        run.coordinator.start()


def test_a_reset_begins_another_epoch_and_another_report(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.coordinator.start()
    first = run.epoch
    run.count(first, outcome="failed", final=False)
    run.coordinator.reset()
    assert run.epoch != first
    assert run.nodes.asked == ["start", ("reset", run.epoch)]
    assert not run.count(first)
    run.count(run.epoch)
    run.end()
    old, new = run.reports()
    assert (old["totals"]["failed"], new["totals"]["runs"], new["totals"]["failed"]) == (1, 1, 0)


def test_a_reset_before_the_first_run_or_after_the_last_does_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.coordinator.reset()
    run.coordinator.start()
    run.end()
    epoch = run.epoch
    run.coordinator.reset()
    assert run.epoch == epoch
    assert not any(asked for asked in run.nodes.asked if asked[0] == "reset")


def test_at_the_end_the_nodes_stop_before_their_last_counts_are_asked_for(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.coordinator.start()
    recorder = Recorder("local", run.epoch)
    recorder.run_finished("Timeout", "passed", 1, 1_000)
    recorder.row("Timeout", "m").record(1_000, 0, 1, 1)
    run.nodes.snapshot = recorder.snapshot(1.0, final=True)
    run.end()
    assert run.nodes.asked == ["start", "stopping", "last"]
    (report,) = run.reports()
    assert report["state"] == "finished"
    assert [worker["state"] for worker in report["workers"]] == ["finished"]
    assert run.command.exit_code == 0


def test_a_run_that_ends_twice_at_once_has_one_report_and_one_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def slowly(*_: Any) -> list[str]:
        asked.append("ready?")
        gevent.sleep(0.05)
        return []

    monkeypatch.setattr(ServerWatch, "at_the_end", slowly)
    run = Run(tmp_path)
    run.coordinator.start()
    ends = [gevent.spawn(run.end) for _ in range(2)]
    gevent.joinall(ends, timeout=5, raise_error=True)
    assert asked == ["ready?"]
    assert [report["state"] for report in run.reports()] == ["finished"]


def test_quitting_in_the_middle_of_a_run_interrupts_it_and_after_it_does_not(tmp_path: Path) -> None:
    for at_once in (True, False):
        run = Run(tmp_path / str(at_once))
        run.command.on_stop = run.end
        run.coordinator.start()
        run.count(run.epoch)
        if not at_once:
            run.end()
        run.coordinator.quit()
        (report,) = run.reports()
        assert report["state"] == ("interrupted" if at_once else "finished")
        assert run.command.exit_code == 0


def test_a_headless_command_that_ends_before_its_test_began_has_not_passed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.coordinator.quit()
    assert run.command.exit_code == 1


def test_who_quits_second_does_not_go_on_before_the_first(tmp_path: Path) -> None:
    run = Run(tmp_path)
    done: list[str] = []

    def stop() -> None:
        gevent.sleep(0.05)
        done.append("stopped")

    run.command.on_stop = stop
    first = gevent.spawn(run.coordinator.quit)
    gevent.sleep(0)
    run.command.on_stop = lambda: None
    run.coordinator.quit()
    assert done == ["stopped"]
    first.get(timeout=1)


def test_a_run_that_ends_before_its_run_time_has_not_passed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.command.run_time_s = 60.0
    run.coordinator.start()
    run.count(run.epoch)
    run.end()
    (report,) = run.reports()
    assert report["verdict"]["reasons"] == ["it ended after 0:00:00 of the 0:01:00 it was to run"]
    assert run.command.exit_code == 1


def test_a_run_all_of_whose_workers_were_lost_has_not_passed_and_ends_the_master(tmp_path: Path) -> None:
    run = Run(tmp_path, distributed=True)
    run.coordinator.start()
    run.count(run.epoch, "one", final=False)
    run.count(run.epoch, "two", final=False)
    run.end()
    (report,) = run.reports()
    assert "it ended because all its workers were lost" in report["verdict"]["reasons"]
    assert run.command.asked == ["quit"]


def test_a_worker_that_joins_late_counts_like_any_other(tmp_path: Path) -> None:
    run = Run(tmp_path, distributed=True)
    run.coordinator.start()
    run.count(run.epoch, "first")
    run.count(run.epoch, "late")
    run.end()
    (report,) = run.reports()
    assert report["totals"]["runs"] == 2
    assert {worker["worker"] for worker in report["workers"]} == {"first", "late"}


def test_a_node_that_has_not_begun_yet_when_the_run_is_polled_misses_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.coordinator.start()
    assert run.coordinator._run is not None
    run.coordinator._run.poll()
    run.end()
    (report,) = run.reports()
    assert not any("counts are missing" in reason for reason in report["verdict"]["reasons"])


def test_what_comes_before_the_first_run_is_of_nobody(tmp_path: Path) -> None:
    assert Run(tmp_path).count("an earlier master's")


def test_prometheus_is_answered_from_the_set_up_on_until_the_end(tmp_path: Path) -> None:
    port = free_port()
    run = Run(tmp_path, "--prometheus-port", str(port))
    run.coordinator.set_up()
    run.coordinator.start()
    run.count(run.epoch)
    told = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()
    assert 'triton_users_runs_total{outcome="passed",scenario="Timeout"} 1.0' in told
    run.coordinator.quit()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_what_a_terminal_cannot_encode_is_printed_as_escapes() -> None:
    shown = io.BytesIO()
    terminal = io.TextIOWrapper(shown, encoding="ascii")
    print_what_the_terminal_can_show("caf\xe9 \u2713", terminal)
    assert shown.getvalue() == b"caf\\xe9 \\u2713\n"


class Own(TritonGrpcUser):
    host = "grpc://own:1"


class TestTheHost:
    def test_a_class_s_own_one_is_tested_and_not_replaced(self, tmp_path: Path, no_embedded: None) -> None:
        run = Run(tmp_path)
        run.command.host = ""
        run.command.user_classes = [Own]
        run.coordinator.set_up()
        run.coordinator.start()
        assert run.command.host == ""
        assert run.nodes.configuration is not None
        assert run.nodes.configuration.host == "grpc://own:1"
        run.end()
        (report,) = run.reports()
        assert report["server"]["address"] == "grpc://own:1"

    def test_that_of_the_command_line_counts_more(self, tmp_path: Path, no_embedded: None) -> None:
        run = Run(tmp_path)
        run.command.user_classes = [Own]
        run.coordinator.set_up()
        assert run.coordinator.host == HOST

    @pytest.fixture
    def no_embedded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module.server, "EmbeddedTriton", lambda **_: pytest.fail("there is a host"))


SEARCH = ("--find-capacity", "p99_ms<50")


def begun(folder: Path, *arguments: str, search: Any = None, monkeypatch: pytest.MonkeyPatch | None = None) -> Run:
    """A run with a search that has its users; `search` is what the search does, else it waits."""
    if monkeypatch is not None:
        monkeypatch.setattr(CapacitySearch, "run", search)
    run = Run(folder, *SEARCH, *arguments)
    run.coordinator.start()
    run.coordinator.spawned()
    gevent.sleep(0)
    return run


def found(search: Any) -> None:
    """A search that has its answer."""
    search.levels.extend(FOUND.levels)
    search.told(search.answer())


def test_a_search_that_has_its_answer_ends_the_run_which_passes_by_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(tmp_path, search=found, monkeypatch=monkeypatch)
    assert "end run" in run.command.asked
    run.count(run.epoch)
    run.end()
    (report,) = run.reports()
    assert (report["capacity"]["held"], report["capacity"]["stopped"]) == (297, "")
    assert (run.command.exit_code, report["verdict"]["reasons"]) == (0, [])


def test_a_search_that_finds_less_than_is_asked_for_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(
        tmp_path,
        "--capacity-at-least",
        "300",
        search=lambda search: search.levels.extend(FOUND.levels) or search.told(search.answer()),
        monkeypatch=monkeypatch,
    )
    run.count(run.epoch)
    run.end()
    assert run.command.exit_code == 1
    assert run.reports()[0]["verdict"]["reasons"][0].startswith("the capacity is not at least 300 arrivals/s: 297")


def test_a_run_that_is_ended_in_the_middle_of_a_search_reports_what_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def long(search: Any) -> None:
        search.levels.extend(FOUND.levels[:2])
        search.told(search.answer())
        gevent.sleep(60)

    run = begun(tmp_path, search=long, monkeypatch=monkeypatch)
    run.count(run.epoch)
    run.end()
    capacity = run.reports()[0]["capacity"]
    assert (capacity["held"], capacity["stopped"], capacity["settled"]) == (200, "the run was ended", False)
    assert "end run" not in run.command.asked


def test_a_search_that_breaks_off_ends_the_run_and_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(search: Any) -> None:
        raise ValueError("a mistake of ours")

    run = begun(tmp_path, search=broken, monkeypatch=monkeypatch)
    assert "end run" in run.command.asked
    run.count(run.epoch)
    run.end()
    assert run.command.exit_code == 1
    assert "it broke off: a mistake of ours" in run.reports()[0]["verdict"]["reasons"][0]


def test_a_search_that_is_done_before_the_run_time_is_not_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(
        tmp_path,
        search=lambda search: search.levels.extend(FOUND.levels) or search.told(search.answer()),
        monkeypatch=monkeypatch,
    )
    run.command.run_time_s = 3600.0
    run.count(run.epoch)
    run.end()
    assert run.command.exit_code == 0


def test_the_rate_of_a_search_is_not_that_of_the_next_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(tmp_path, search=lambda _: None, monkeypatch=monkeypatch)
    assert run.command.options.rate == "100"
    run.end()
    assert run.command.options.rate == ""


def test_requests_that_fail_at_loads_that_are_too_high_fail_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(tmp_path, search=found, monkeypatch=monkeypatch)
    recorder = Recorder("w", run.epoch)
    recorder.row("", "m").record(1_000, 0, 1, 1)
    recorder.row("", "m").record_error("[StatusCode.UNAVAILABLE] the queue is full", 1, 0)
    run.coordinator.merge(recorder.snapshot(0.1, final=True))
    run.end()
    assert run.command.exit_code == 0
    assert any("the queue is full" in warning for warning in run.reports()[0]["verdict"]["warnings"])


def test_wrong_answers_fail_a_search_whatever_the_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begun(
        tmp_path,
        search=lambda search: search.levels.extend(FOUND.levels) or search.told(search.answer()),
        monkeypatch=monkeypatch,
    )
    run.count(run.epoch, outcome="failed")
    run.end()
    assert run.command.exit_code == 1
    assert "Timeout failed 1 of 1 runs" in run.reports()[0]["verdict"]["reasons"][0]


def test_a_worker_that_cannot_take_part_fails_the_run_and_ends_it_where_nobody_watches(tmp_path: Path) -> None:
    run = Run(tmp_path, distributed=True)
    run.coordinator.start()
    run.count(run.epoch)
    run.coordinator.refused("worker w2 cannot take part: no data")
    assert "quit" in run.command.asked
    run.end()
    (report,) = run.reports()
    assert report["verdict"]["reasons"] == ["worker w2 cannot take part: no data"]
    assert run.command.exit_code == 1


def test_a_refusal_is_forgotten_with_its_run(tmp_path: Path) -> None:
    run = Run(tmp_path, headless=False, distributed=True)
    run.coordinator.start()
    run.coordinator.refused("worker w2 cannot take part: no data")
    assert "quit" not in run.command.asked
    run.count(run.epoch)
    run.end()
    run.coordinator.start()
    run.count(run.epoch)
    run.end()
    assert [report["verdict"]["passed"] for report in run.reports()] == [False, True]


class TestARate:
    def test_arrivals_begin_when_the_users_are_there_and_known(self, tmp_path: Path) -> None:
        run = Run(tmp_path, "--rate", "20")
        run.nodes.workers = []
        run.coordinator.start()
        run.coordinator.spawned()  # Locust may say so before it has heard of any worker's users
        assert run.nodes.orders == []
        run.nodes.workers = ["w"]
        run.coordinator.spawned()
        assert run.nodes.orders[0]["shares"] == [[0.0, ["w"]]]
        run.coordinator.set_rate("50 for 1m")
        assert [rate for _, _, rate in run.nodes.orders[-1]["rates"]][-1] == "50 for 1m"
        run.end()
        (report,) = run.reports()
        assert [each["rate"] for each in report["arrivals"]["rates"]] == ["20", "50 for 1m"]

    def test_a_run_without_one_takes_none_and_neither_does_one_that_has_ended(self, tmp_path: Path) -> None:
        closed = Run(tmp_path / "closed")
        closed.coordinator.start()
        closed.coordinator.spawned()
        assert closed.nodes.orders == []
        opened = Run(tmp_path / "open", "--rate", "20")
        opened.coordinator.start()
        opened.coordinator.spawned()
        opened.end()
        for run in (closed, opened):
            with pytest.raises(UsageError, match="there is no run that goes on with a rate"):
                run.coordinator.set_rate("5")
        closed.end()
