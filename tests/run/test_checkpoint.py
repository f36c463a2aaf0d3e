"""A report while the run goes on."""

import json
from pathlib import Path

import gevent
import pytest

from tests.report.conftest import STARTED, make_report
from triton_users.report import ReportFolder
from triton_users.run.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def report():
    return make_report(state="running")


def test_a_checkpoint_writes_at_once_and_then_every_interval_until_it_is_stopped(tmp_path: Path, report) -> None:
    folder = ReportFolder(tmp_path, STARTED)
    written: list[int] = []

    def build():
        written.append(len(written))
        return report | {"seed": len(written)}

    checkpoint = Checkpoint(folder, build, interval_s=0.02)
    checkpoint.start()
    checkpoint.start()
    with gevent.Timeout(10):
        while len(written) < 3:
            gevent.sleep(0.01)
    checkpoint.stop()
    checkpoint.stop()
    assert json.loads((folder.path / "report.json").read_text())["seed"] == len(written)
    before = len(written)
    gevent.sleep(0.06)
    assert len(written) == before


def test_a_checkpoint_that_cannot_be_written_is_told_and_the_run_goes_on(tmp_path: Path, report, caplog) -> None:
    folder = ReportFolder(tmp_path, STARTED)
    folder.path.rmdir()
    Checkpoint(folder, lambda: report).write()
    assert "checkpoint cannot be written" in caplog.text
