"""Where reports lie: a folder for each run, files that are whole."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from tests.report.conftest import STARTED
from triton_users.report import ReportFolder
from triton_users.report.folder import write_whole


def test_a_folder_is_named_after_the_start_and_none_is_used_twice(tmp_path: Path) -> None:
    paths = [ReportFolder(tmp_path / "deep" / "reports", STARTED).path for _ in range(3)]
    assert [path.name for path in paths] == ["2026-11-24T04-10-33Z", "2026-11-24T04-10-33Z-2", "2026-11-24T04-10-33Z-3"]
    assert ReportFolder(tmp_path, STARTED + timedelta(hours=1)).path.name == "2026-11-24T05-10-33Z"


def test_a_report_is_written_in_every_form(tmp_path: Path, report) -> None:
    folder = ReportFolder(tmp_path, STARTED)
    folder.write(report)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "junit.xml",
        "report.html",
        "report.json",
        "report.txt",
    ]
    assert json.loads((folder.path / "report.json").read_text())["totals"] == report["totals"]
    assert all(path.stat().st_size > 500 for path in folder.path.iterdir())


def test_a_write_that_fails_leaves_the_former_file_whole(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "report.json"
    write_whole(path, "former")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "half of the new")
    assert path.read_text() == "former"
