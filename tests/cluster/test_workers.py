"""Workers that come late, come back or lose their master; resets; two masters on one server; the embedded server."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import gevent
import pytest
from locust.rpc.protocol import Message
from locust.rpc.zmqrpc import Server

from tests.cluster import cases
from tests.cluster.commands import ROOT, Locust, locust, until
from tests.transport.support import free_port
from triton_users.run.snapshots import STOP_MESSAGE, STOPPED_MESSAGE
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton


def grpc(triton: EmbeddedTriton) -> str:
    return f"grpc://{triton.grpc_url}"


def test_a_worker_that_joins_late_and_one_that_comes_back_are_counted_once(
    tmp_path: Path, triton: EmbeddedTriton
) -> None:
    before = cases.completed(triton.http_url)
    port = str(free_port())
    with ExitStack() as stack:
        # Without rebalancing Locust 2.47 gives users to the first worker that joins late, and to no other.
        options = ["--master", "--enable-rebalancing", "--master-bind-port", port, "-H", grpc(triton)]
        coordinator = stack.enter_context(locust(tmp_path / "coordinator", *options, "-u", "4", "-r", "4", "-s", "5"))
        first = stack.enter_context(locust(tmp_path / "first", "--worker", "--master-port", port))
        cases.until_sending([coordinator, first], 1)
        late = stack.enter_context(locust(tmp_path / "late", "--worker", "--master-port", port))
        cases.until_sending([coordinator, late], 1)
        first.terminate()
        assert first.wait() == 0
        back = stack.enter_context(locust(tmp_path / "back", "--worker", "--master-port", port))
        cases.until_sending([coordinator, back], 1)
        coordinator.interrupt()
        assert coordinator.wait() == 0, coordinator.log()
        report = coordinator.report()
        cases.until_still(lambda: cases.completed(triton.http_url))
        server = cases.completed(triton.http_url) - before
        journalled = sum(each.journalled() for each in (first, late, back))
        assert report["totals"]["rpcs"] == coordinator.by_locust() == journalled == server
        assert [worker["state"] for worker in report["workers"]] == ["finished"] * 3


def test_separate_workers_end_when_their_master_is_killed(tmp_path: Path, triton: EmbeddedTriton) -> None:
    port = str(free_port())
    with ExitStack() as stack:
        options = ["--master", "--master-bind-port", port, "-H", grpc(triton), "-u", "2", "-r", "2"]
        coordinator = stack.enter_context(locust(tmp_path / "coordinator", *options))
        worker = stack.enter_context(
            locust(tmp_path / "worker", "--worker", "--master-port", port, MASTER_SILENT_S="3")
        )
        cases.until_sending([coordinator, worker], 1)
        until("the master has answered a heartbeat", lambda: cases.sending_for_s(worker) > 2.5)
        coordinator.kill()
        worker.wait(20.0)
        assert not worker.left()
        assert not worker.left_files()


@contextmanager
def master_without_a_mind() -> Iterator[Server]:
    """The socket of a master, which sends what it is told."""
    server = Server("127.0.0.1", 0)
    try:
        yield server
    finally:
        context = server.socket.context
        server.close(linger=0)
        context.term()


def stop_until_it_answers(master: Server, name: str, at: float) -> None:
    """Order the worker to stop; it hears that only when its plugin is installed."""
    with gevent.Timeout(20):
        while True:
            master.send_to_client(Message(STOP_MESSAGE, {"at": at}, name))
            with gevent.Timeout(0.5, False):
                while master.recv_from_client()[1].type != STOPPED_MESSAGE:
                    pass
                return


def test_an_order_to_start_that_the_order_to_stop_overtook_starts_nobody(tmp_path: Path) -> None:
    with ExitStack() as stack:
        master = stack.enter_context(master_without_a_mind())  # a real one does it only when it has hardly any CPU
        worker = stack.enter_context(locust(tmp_path / "worker", "--worker", "--master-port", str(master.port)))
        name, _ = master.recv_from_client()
        master.send_to_client(Message("ack", {"index": 0}, name))
        order = {"user_classes_count": {"OneAtATime": 1}, "host": "grpc://127.0.0.1:9", "stop_timeout": 0}
        stop_until_it_answers(master, name, at=1_000.2)
        master.send_to_client(Message("spawn", {**order, "timestamp": 1_000.1, "parsed_options": {}}, name))
        until("it does not follow it", lambda: "Discard spawn message" in worker.log())
        master.send_to_client(Message("quit", None, name))
        assert worker.wait() == 0, worker.log()
        assert not worker.journalled()


def test_ctrl_c_while_the_master_waits_for_workers_ends_them_all(tmp_path: Path) -> None:
    port = str(free_port())
    with ExitStack() as stack:
        options = ["--master", "--expect-workers", "2", "--master-bind-port", port]
        coordinator = stack.enter_context(locust(tmp_path / "coordinator", *options))
        worker = stack.enter_context(locust(tmp_path / "worker", "--worker", "--master-port", port))
        until("one of two has come", lambda: "1 of 2 connected" in coordinator.log(), limit_s=60.0)
        coordinator.interrupt()
        assert coordinator.wait() == 1, coordinator.log()
        assert "Interrupted before the run began: of 2 workers 1 had come" in coordinator.log()
        assert "Traceback" not in coordinator.log()
        assert worker.wait() == 0, worker.log()
        until("everything has ended", lambda: not coordinator.left() and not worker.left())


NO_PLUGIN = """
from locust import User, constant, task

class OneAtATime(User):
    wait_time = constant(1)

    @task
    def nothing(self): pass
"""


def test_a_worker_whose_master_lacks_the_plugin_says_so_and_ends(tmp_path: Path) -> None:
    locustfile = tmp_path / "plain.py"
    locustfile.write_text(NO_PLUGIN)
    port = str(free_port())
    with ExitStack() as stack:
        master = [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--master", "-t", "5s"]
        plain = subprocess.Popen([*master, "--master-bind-port", port], cwd=tmp_path)
        stack.callback(plain.wait)
        stack.callback(plain.kill)
        worker = stack.enter_context(locust(tmp_path / "worker", "--worker", "--master-port", port))
        assert worker.wait() == 2, worker.log()
        assert "the master of this worker runs without this plugin" in worker.log()
        assert "Traceback" not in worker.log()


@contextmanager
def with_a_starved_worker(folder: Path, host: str) -> Iterator[tuple[Locust, Locust, Locust]]:
    """The master, a healthy worker, and one that gets no CPU for so long that the master misses it."""
    with cases.running("hosts", folder, host) as (coordinator, (healthy, starved)):
        os.killpg(starved.pid, signal.SIGSTOP)
        until("the master misses it", lambda: "setting state to missing" in coordinator.log())
        yield coordinator, healthy, starved


@contextmanager
def with_one_worker(folder: Path, host: str, stop_timeout: str) -> Iterator[tuple[Locust, Locust]]:
    port = str(free_port())
    with ExitStack() as stack:
        options = ["--master", "--master-bind-port", port, "-H", host, "-u", "2", "-r", "2", "-s", stop_timeout]
        coordinator = stack.enter_context(locust(folder / "coordinator", *options))
        yield coordinator, stack.enter_context(locust(folder / "worker", "--worker", "--master-port", port))


def check_that_it_is_waited_for(coordinator: Locust, starved: Locust, *healthy: Locust) -> None:
    """It wakes up when the master waits for it, and nothing is lost."""
    until("the master waits for it", lambda: "for the last counts of" in coordinator.log())
    os.killpg(starved.pid, signal.SIGCONT)
    coordinator.wait()  # requests that waited as long as it slept ran into their time limits, so the exit code is 1
    workers = [starved, *healthy]
    assert (
        coordinator.report()["totals"]["rpcs"] == coordinator.by_locust() == sum(each.journalled() for each in workers)
    )
    assert [worker["state"] for worker in coordinator.report()["workers"]] == ["finished"] * len(workers)


def test_a_worker_that_gets_no_cpu_as_the_run_ends_is_waited_for(tmp_path: Path, triton: EmbeddedTriton) -> None:
    with with_a_starved_worker(tmp_path, grpc(triton)) as (coordinator, healthy, starved):
        coordinator.interrupt()
        check_that_it_is_waited_for(coordinator, starved, healthy)


def test_it_is_also_waited_for_when_the_last_other_worker_ends_the_run(tmp_path: Path, triton: EmbeddedTriton) -> None:
    with with_a_starved_worker(tmp_path, grpc(triton)) as (coordinator, healthy, starved):
        healthy.terminate()
        check_that_it_is_waited_for(coordinator, starved, healthy)


def test_it_is_also_waited_for_when_it_was_the_only_worker(tmp_path: Path, triton: EmbeddedTriton) -> None:
    with with_one_worker(tmp_path, grpc(triton), stop_timeout="60") as (coordinator, starved):
        cases.until_sending([starved], 1)
        os.killpg(starved.pid, signal.SIGSTOP)
        check_that_it_is_waited_for(coordinator, starved)


def test_a_dead_worker_is_waited_for_only_for_seconds_whatever_the_stop_timeout(
    tmp_path: Path, triton: EmbeddedTriton
) -> None:
    with with_one_worker(tmp_path, grpc(triton), stop_timeout="600") as (coordinator, dead):
        until("its first counts have come", lambda: cases.sending_for_s(dead) > 3.5, limit_s=60.0)
        dead.kill()
        assert coordinator.wait(40.0) == 1, coordinator.log()
        assert coordinator.report()["state"] == "finished"
        assert coordinator.report()["verdict"]["reasons"] == ["it ended because all its workers were lost"]
        assert [worker["state"] for worker in coordinator.report()["workers"]] == ["lost"]


def test_a_reset_in_the_web_ui_resets_both_counts_at_once(tmp_path: Path, triton: EmbeddedTriton) -> None:
    port, web = str(free_port()), free_port()
    options = ["--processes", "2", "--master-bind-port", port, "--master-port", port, "--web-port", str(web)]
    users = ["--autostart", "-u", "4", "-r", "4", "-s", "5", "-H", grpc(triton)]
    with locust(tmp_path / "coordinator", *options, *users, headless=False) as coordinator:
        cases.until_sending([coordinator], 2)
        before = coordinator.journalled()
        post(f"http://127.0.0.1:{web}/stats/reset")
        until("requests after the reset", lambda: coordinator.journalled() > before + 200)
        coordinator.interrupt()
        assert coordinator.wait() == 0, coordinator.log()
        old, new = coordinator.reports()
        assert 0 < new["totals"]["rpcs"] == coordinator.by_locust() <= coordinator.journalled() - before
        assert old["state"] == "running"
        assert "reset" in old["verdict"]["warnings"][0]
        told = (
            f"(0 runs, 0 failed; {old['totals']['rpcs']:,} RPCs, 0 with an error) is in {coordinator.folder}/reports/"
        )
        assert told in new["verdict"]["warnings"][0]


def test_reset_stats_resets_both_counts_at_once(tmp_path: Path, triton: EmbeddedTriton) -> None:
    arguments = ["--reset-stats", "-r", "2", "--run-time", "4s"]
    with cases.running("processes", tmp_path, grpc(triton), *arguments) as (coordinator, _):
        assert coordinator.wait() == 0, coordinator.log()
        old, new = coordinator.reports()
        assert 0 < new["totals"]["rpcs"] == coordinator.by_locust() <= coordinator.journalled()
        assert "reset" in old["verdict"]["warnings"][0]


def test_what_is_cut_off_by_the_end_is_in_flight_and_no_failure(tmp_path: Path, triton: EmbeddedTriton) -> None:
    before = cases.completed(triton.http_url)
    users = 6
    with locust(
        tmp_path / "coordinator", "-H", grpc(triton), "-u", str(users), "-r", str(users)
    ) as coordinator:  # no --stop-timeout
        cases.until_sending([coordinator], 1)
        coordinator.interrupt()
        assert coordinator.wait() == 0, coordinator.log()
        cases.until_still(lambda: cases.completed(triton.http_url))
        server = cases.completed(triton.http_url) - before
        report = coordinator.report()
        assert report["totals"]["rpcs_failed"] == 0
        assert report["totals"]["rpcs"] == coordinator.by_locust() == coordinator.journalled()
        assert coordinator.journalled() <= server <= coordinator.journalled() + users


def test_two_masters_on_one_server_do_not_disturb_each_others_sequences(tmp_path: Path, triton: EmbeddedTriton) -> None:
    arguments = ["--scenarios", "SequenceValid,SequenceValidValid", "--seed", "7", "-u", "4", "-r", "4", "-t", "5s"]
    with ExitStack() as stack:
        masters: list[Locust] = []
        for name in ("one", "two"):
            port = str(free_port())
            ports = ["--processes", "2", "--master-bind-port", port, "--master-port", port]
            options = [*arguments, *ports, "-H", grpc(triton), "-s", "5"]
            masters.append(stack.enter_context(locust(tmp_path / name, *options, locustfile=ROOT / "locustfile.py")))
        for master in masters:
            assert master.wait(60.0) == 0, master.log()  # the same seed, so the same values and offsets of ids
            totals = master.report()["totals"]
            assert totals["passed"] > 0
            assert totals["failed"] == totals["sequence_failures"] == 0


FORGETFUL = """
import gevent.os
from traffic import *

gevent.os._reap_children.__defaults__ = (0.5,)  # gevent forgets how a child ended after 60 s
"""


def test_a_worker_that_died_long_before_the_end_leaves_the_verdict_the_last_word(
    tmp_path: Path, triton: EmbeddedTriton
) -> None:
    locustfile = tmp_path / "forgetful.py"
    locustfile.write_text(FORGETFUL)
    port = str(free_port())
    options = ["--processes", "2", "--master-bind-port", port, "--master-port", port, "-H", grpc(triton)]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests' / 'cluster'}"}
    with locust(
        tmp_path / "coordinator", *options, "-u", "2", "-r", "2", locustfile=locustfile, **environment
    ) as coordinator:
        cases.until_sending([coordinator], 2)
        os.kill(coordinator.workers()[0], signal.SIGKILL)
        until("the master misses it", lambda: "missing" in coordinator.log())
        coordinator.interrupt()
        assert coordinator.wait() == 0
        assert "Traceback" not in coordinator.log()
        assert coordinator.log().rstrip().endswith("CPUs")


def test_the_embedded_server_is_gone_soon_after_its_master_was_killed(tmp_path: Path) -> None:
    port = str(free_port())
    ports = ["--master-bind-port", port, "--master-port", port]
    with locust(tmp_path / "coordinator", "-u", "2", "-r", "2", "--processes", "2", *ports) as coordinator:
        cases.until_sending([coordinator], 2)
        coordinator.kill()
        coordinator.wait()
        until("everything has ended", lambda: not coordinator.left(), limit_s=10.0)
        assert not coordinator.left_files()


def test_what_scenarios_started_is_gone_soon_after_a_kill(tmp_path: Path, triton: EmbeddedTriton) -> None:
    arguments = ["--scenarios", "PerfAnalyzer,Crashing", "-u", "3", "-r", "3", "-H", grpc(triton)]
    with locust(tmp_path / "coordinator", *arguments, locustfile=ROOT / "locustfile.py") as coordinator:
        until("perf_analyzer runs", lambda: "perf_analyzer" in coordinator.programs(), limit_s=40.0)
        coordinator.kill()
        coordinator.wait()
        until(
            "everything has ended",
            lambda: not coordinator.left(),
            limit_s=3.0,  # perf_analyzer alone would go on for 9
        )


def test_nothing_is_left_when_the_master_cannot_start(tmp_path: Path) -> None:
    port = str(free_port())
    ports = ["--master-bind-port", port, "--master-port", port]
    with locust(tmp_path / "coordinator", "-H", "http://nowhere", "--processes", "2", *ports) as coordinator:
        assert coordinator.wait(60.0) == 2, coordinator.log()
        until("everything has ended", lambda: not coordinator.left(), limit_s=10.0)


def post(url: str) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10) as answer:
        assert answer.status == 200


def test_at_a_rate_a_worker_that_joins_late_takes_its_share_of_the_arrivals(
    tmp_path: Path, triton: EmbeddedTriton
) -> None:
    """No arrival is issued twice, and none is lost."""
    port = str(free_port())
    with ExitStack() as stack:
        options = ["--master", "--enable-rebalancing", "--master-bind-port", port, "-H", grpc(triton)]
        options += ["-u", "20", "-r", "20", "--rate", "100", "--arrivals", "poisson", "--stop-timeout", "5"]
        coordinator = stack.enter_context(locust(tmp_path / "coordinator", *options))
        first = stack.enter_context(locust(tmp_path / "first", "--worker", "--master-port", port))
        cases.until_sending([coordinator, first], 1)
        late = stack.enter_context(locust(tmp_path / "late", "--worker", "--master-port", port))
        cases.until_sending([coordinator, late], 1)
        until("both have sent for a while", lambda: cases.sending_for_s(late) > 3.0)
        coordinator.interrupt()
        assert coordinator.wait() == 0, coordinator.log()
        both = coordinator.report()["arrivals"]
        assert both["issued"] == first.journalled() + late.journalled(), coordinator.log()
        assert both["intended"] == pytest.approx(both["issued"], abs=30), both  # what was due in the last moments


def test_at_a_rate_the_arrivals_of_a_killed_worker_are_told_and_the_others_take_its_share(
    tmp_path: Path, triton: EmbeddedTriton
) -> None:
    port = str(free_port())
    with ExitStack() as stack:
        options = ["--master", "--expect-workers", "2", "--master-bind-port", port, "-H", grpc(triton)]
        options += ["-u", "20", "-r", "20", "--rate", "200", "--stop-timeout", "5"]
        coordinator = stack.enter_context(locust(tmp_path / "coordinator", *options))
        killed, left = (
            stack.enter_context(locust(tmp_path / name, "--worker", "--master-port", port))
            for name in ("killed", "left")
        )
        cases.until_sending([coordinator, killed, left], 2)
        killed.kill()

        def rate() -> float:
            (noted,) = left.journal().values()
            return sum(at > noted[-1] - 1.0 for at in noted)

        until("the other worker sends all", lambda: rate() > 150, limit_s=30.0)
        coordinator.interrupt()
        assert coordinator.wait() == 0, coordinator.log()
        report = coordinator.report()
        assert report["arrivals"]["issued"] < report["arrivals"]["intended"]
        told = [line for line in report["verdict"]["warnings"] if "neither issued nor missed" in line]
        assert "their worker was lost" in told[0]
