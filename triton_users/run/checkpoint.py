"""Writes the report of a run that goes on, so that a killed program leaves one. Knows gevent, not what it says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import Event

from triton_users.report import ReportFolder

logger = logging.getLogger(__name__)

CHECKPOINT_S = 30.0
"""How often a running test's report is written, in seconds: a killed master loses at most this much."""
STOP_LIMIT_S = 30.0
"""How long `Checkpoint.stop` waits for a write, in seconds; one takes milliseconds where the disk is not stuck."""


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
