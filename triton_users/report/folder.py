"""Where reports are kept: a folder for each run, files that are whole or not there, a checkpoint while it runs.

Knows files and gevent's thread pool, nothing of what a report says.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from triton_users.report.html import render_html
from triton_users.report.junit import render_junit
from triton_users.report.text import render_text

logger = logging.getLogger(__name__)

CHECKPOINT_S = 30.0
"""How often a running test's report is written, in seconds: a killed master loses at most this much."""
STOP_LIMIT_S = 30.0
"""How long `Checkpoint.stop` waits for a write, in seconds; one takes milliseconds where the disk is not stuck."""


def render_json(report: dict[str, Any]) -> str:
    """One line for each top-level field: ten times as fast as an indented one, and still fit for `grep` and `diff`."""
    fields = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in report.items())
    return f"{{\n{fields}\n}}\n"


RENDERERS: dict[str, Callable[[dict[str, Any]], str]] = {
    "report.json": render_json,
    "report.txt": render_text,
    "report.html": render_html,
    "junit.xml": render_junit,
}
"""File name -> what makes its text out of a report."""


class ReportFolder:
    """One run's folder, made when this is."""

    def __init__(self, parent: Path, started: datetime) -> None:
        """Make `parent/<UTC time>`, with -2, -3 ... behind it where that is taken: nothing is ever overwritten.

        Raises OSError when it cannot be made.
        """
        parent.mkdir(parents=True, exist_ok=True)
        name = started.astimezone(timezone.utc).strftime("%Y-%m-%dT%H-%M-%SZ")
        number = 1
        while True:
            self.path = parent / (name if number == 1 else f"{name}-{number}")
            try:
                self.path.mkdir()
            except FileExistsError:
                number += 1
            else:
                return

    def write(self, report: dict[str, Any]) -> None:
        """Write the report in every form; each file is replaced as a whole. Raises OSError when one cannot be."""
        for name, render in RENDERERS.items():
            write_whole(self.path / name, render(report))


class Checkpoint:
    """Writes a running test's report now and then. `start` and `stop` own its greenlet."""

    def __init__(
        self, folder: ReportFolder, build: Callable[[], dict[str, Any]], interval_s: float = CHECKPOINT_S
    ) -> None:
        self._folder = folder
        self._build = build
        self._interval_s = interval_s
        self._ending = Event()
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def start(self) -> None:
        """Write the first one at once, then one every interval. Does nothing when it already does."""
        if self._greenlet is None:
            self._ending.clear()
            self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        """End, after a write that is under way: it must not replace the last report that is written next."""
        if self._greenlet is not None:
            self._ending.set()
            self._greenlet.join(timeout=STOP_LIMIT_S)
            self._greenlet = None

    def write(self) -> None:
        """Write one now. A failure is logged: a full disk must not end a run."""
        try:
            report = self._build()
            # Rendering takes a tenth of a second after 12 hours; in a thread it does not hold up the hub.
            gevent.get_hub().threadpool.apply(self._folder.write, (report,))
        except OSError as problem:
            logger.error("The report's checkpoint cannot be written: %s", problem)

    def _run(self) -> None:
        while True:
            self.write()
            if self._ending.wait(self._interval_s):
                return


def write_whole(path: Path, text: str) -> None:
    """Replace a file so that a reader, or a crash, meets the old one or the new one, never half of it."""
    temporary = path.with_name(f".{path.name}.new")
    with open(temporary, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
