"""A run's counts on their way to its report."""

import errno
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from triton_users.ledger import Recorder
from triton_users.report import RunInfo, folder
from triton_users.run.reporting import Reporting

INFO = RunInfo(datetime.now(timezone.utc), 1, {}, weights={"Timeout": 1})


@pytest.fixture
def reporting(tmp_path: Path) -> Iterator[Reporting]:
    made = Reporting(INFO, tmp_path, "one", lambda: None)
    yield made
    if not made.finished:
        made.finish("finished")


def count(reporting: Reporting, run: str, outcome: str, reason: str = "") -> None:
    recorder = Recorder("local", run)
    recorder.run_finished("Timeout", outcome, 1, 1_000, reason)
    if reason:
        recorder.failure("Timeout", 0.1, reason, {})
    reporting.merge(recorder.snapshot(0.1, final=True))


def written(folder: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_a_reset_keeps_what_was_counted_before_in_a_folder_of_its_own(reporting: Reporting) -> None:
    before = reporting.folder.path
    count(reporting, "one", "failed", "it was answered")
    reporting.reset("two")
    count(reporting, "two", "passed")
    assert reporting.finish("finished") == 0
    old, new = written(before), written(reporting.folder.path)
    assert old["state"] == "running"
    assert old["scenarios"][0]["evidence"]["failures"][0]["reason"] == "it was answered"
    assert str(reporting.folder.path) in old["verdict"]["warnings"][0]
    assert (new["totals"]["runs"], new["totals"]["failed"]) == (1, 0)
    (note,) = new["verdict"]["warnings"]
    assert f"(1 runs, 1 failed; 0 RPCs, 0 with an error) is in {before}" in note


def test_a_reset_whose_report_cannot_be_written_forgets_nothing(reporting: Reporting) -> None:
    count(reporting, "one", "passed")
    parent, folder = reporting.folder.path.parent, reporting.folder.path
    reporting._parent = parent / "a file"
    reporting._parent.touch()
    with pytest.raises(OSError, match="a file"):
        reporting.reset("two")
    reporting.finish("finished")
    assert written(folder)["totals"]["runs"] == 1


def full_disk(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let files of these names meet a full disk."""
    really = folder.write_whole

    def write_whole(path: Path, text: str) -> None:
        if path.name in names:
            raise OSError(errno.ENOSPC, "No space left on device")
        really(path, text)

    monkeypatch.setattr(folder, "write_whole", write_whole)


def test_a_run_whose_report_meets_a_full_disk_has_not_passed_and_says_so_everywhere(
    reporting: Reporting, monkeypatch: pytest.MonkeyPatch
) -> None:
    count(reporting, "one", "passed")
    full_disk(monkeypatch, "report.html")
    assert reporting.finish("finished") == 1
    report = written(reporting.folder.path)
    assert report["state"] == "finished"
    assert any("No space left on device" in reason for reason in report["verdict"]["reasons"])
    assert "PASSED" not in reporting.text()
    assert "could not be written whole" in " ".join(reporting.text().split())


def test_where_not_even_one_form_can_be_written_the_printed_report_says_it(
    reporting: Reporting, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    count(reporting, "one", "passed")
    full_disk(monkeypatch, "report.json", "report.txt", "report.html", "junit.xml")
    assert reporting.finish("finished") == 1
    assert "FAILED" in reporting.text()
    assert "report.json cannot be written" in caplog.text
