"""What the local runner or the master does with the counts of its nodes."""

from pathlib import Path

from locust.env import Environment

from tests.report.conftest import STARTED
from triton_users.report import RunInfo
from triton_users.run.coordinator import Coordinator
from triton_users.run.reporting import Reporting


def test_a_node_that_has_not_begun_yet_when_the_run_is_looked_at_misses_nothing(tmp_path: Path) -> None:
    coordinator = Coordinator(Environment(), lambda: None)
    coordinator.reporting = Reporting(RunInfo(STARTED, 1, {}), tmp_path, "a run", lambda: None)
    assert coordinator.merge(None)
    coordinator.reporting.finish("finished")
    assert not any("counts are missing" in reason for reason in coordinator.reporting.report()["verdict"]["reasons"])
