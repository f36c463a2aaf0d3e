"""A master and three workers as separate hosts: cables are cut and put back, packets take their time or are lost.

Whatever happens, the run ends in time and what the users saw is what the report says. Where a cable was cut the server
may have answered requests whose answers were lost, so it has counted no less than the users' successes and no more
than all that they sent.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.cluster import cases
from tests.cluster.commands import Locust, locust, until
from tests.cluster.hosts import Hosts, why_not

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(why_not()), reason=why_not())]

WORKERS = ["worker-1", "worker-2", "worker-3"]
MISSED_S = 5.0
"""After so long a silence a Locust master takes a worker for missing, at the latest."""


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    with Hosts(["server", "master", *WORKERS]) as ready:
        yield ready


class Run:
    """A run that is under way on all hosts."""

    def __init__(self, hosts: Hosts, coordinator: Locust, workers: list[Locust], before: int) -> None:
        self._hosts, self._before = hosts, before
        self.coordinator, self.workers = coordinator, workers

    def log(self) -> str:
        return "\n".join(each.log()[-3000:] for each in [self.coordinator, *self.workers])

    def check_counts(self, lost: int = 0) -> None:
        """All that ended for a user is counted once; the server saw it too. `lost`: workers that could not say more."""
        totals = self.coordinator.report()["totals"]
        assert totals["rpcs"] == self.coordinator.by_locust(), self.log()
        journalled = sum(each.journalled() for each in self.workers)
        assert totals["rpcs"] <= journalled if lost else totals["rpcs"] == journalled, self.log()
        cases.until_still(self._hosts.completed)
        server = self._hosts.completed() - self._before
        failed = totals["rpcs_failed"]
        assert totals["rpcs"] - failed <= server, self.log()
        assert lost or server <= totals["rpcs"], self.log()
        states = [worker["state"] for worker in self.coordinator.report()["workers"]]
        assert sorted(states) == ["finished"] * (len(WORKERS) - lost) + ["lost"] * lost


@contextmanager
def under_way(hosts: Hosts, folder: Path, seconds: int, silent_s: int = 8) -> Iterator[Run]:
    """`silent_s`: how long a worker that hears nothing of the master waits for it."""
    before = hosts.completed()
    with ExitStack() as stack:
        options = ["--master", "--expect-workers", "3", "-H", hosts.grpc_url, "-u", "3", "-r", "3", "-s", "6"]
        within = hosts.within("master")
        coordinator = stack.enter_context(locust(folder / "master", *options, "-t", f"{seconds}s", within=within))
        workers = [
            stack.enter_context(
                locust(
                    folder / name,
                    *["--worker", "--master-host", hosts.addresses["master"]],
                    within=hosts.within(name),
                    MASTER_SILENT_S=str(silent_s),
                )
            )
            for name in WORKERS
        ]
        try:
            cases.until_sending(workers, 3)
            yield Run(hosts, coordinator, workers, before)
        finally:
            for name in ("server", "master", *WORKERS):
                hosts.join(name)
            hosts.weather()


def test_latency_and_loss_cost_time_but_no_count(hosts: Hosts, tmp_path: Path) -> None:
    with under_way(hosts, tmp_path, seconds=6) as run:
        hosts.weather(latency_ms=20, loss=0.02)
        assert run.coordinator.wait(30.0) == 0, run.log()
        run.check_counts()


def test_a_worker_that_was_cut_off_for_a_while_is_counted_in_full(hosts: Hosts, tmp_path: Path) -> None:
    with under_way(hosts, tmp_path, seconds=16, silent_s=60) as run:
        hosts.cut("worker-1")
        until("the master misses its worker", lambda: "setting state to missing" in run.coordinator.log(), limit_s=10.0)
        hosts.join("worker-1")
        run.coordinator.wait(40.0)  # its users' requests ran into their time limit, so the exit code tells of failures
        run.check_counts()


def test_a_worker_that_stays_cut_off_is_named_and_does_not_hold_up_the_end(hosts: Hosts, tmp_path: Path) -> None:
    with under_way(hosts, tmp_path, seconds=6) as run:
        hosts.cut("worker-1")
        began = time.monotonic()
        assert run.coordinator.wait(25.0) == 0, run.log()
        assert time.monotonic() - began < 6 + MISSED_S + 5.0
        run.check_counts(lost=1)
        assert any("was lost" in warning for warning in run.coordinator.report()["verdict"]["warnings"])
        for worker in run.workers:  # the one that hears of nobody any more ends by itself
            worker.wait(30.0)


def test_a_server_that_is_cut_off_does_not_keep_the_run_from_ending(hosts: Hosts, tmp_path: Path) -> None:
    with under_way(hosts, tmp_path, seconds=6) as run:
        hosts.cut("server")
        assert run.coordinator.wait(40.0) in (0, 1), run.log()  # of which it asks that server for 15
        hosts.join("server")
        run.check_counts()
        assert run.coordinator.report()["totals"]["rpcs_failed"] > 0
