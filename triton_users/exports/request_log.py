"""One line for each request, in a file of its own on each node: CSV or JSON lines, gzip by name. Judges nothing.

`taken` is on the path of a request and only keeps what it is given: lines are made, compressed and written by a thread,
every second or when WRITE_AT requests wait. What waits is bounded: beyond MOST_WAITING a request waits for the disk.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import gevent
from gevent.event import Event

from triton_users.declaration import UsageError

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 1.0
"""How long a line may wait, in seconds: what a killed process loses."""
WRITE_AT = 5_000
"""Requests after which it is not waited for that."""
MOST_WAITING = 100_000
"""Requests that wait at most; about 40 MiB."""
CLOSE_LIMIT_S = 10.0
"""How long the last lines may take, in seconds."""
GZIP_LEVEL = 1
"""The fastest: it halves the time of level 6, for files a tenth larger."""
MAX_ERROR = 300
"""Characters of an error that are written, on one line."""

ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz")


class Line(NamedTuple):
    """One request. Times are Unix times in seconds."""

    intended: float | None
    """When it was to begin, in an open run; the latency counts from then. None in a closed one."""
    sent: float
    """When its bytes went to the socket."""
    first: float | None
    """When the first response with outputs came; of streams only."""
    last: float
    """When its last response came, or it failed."""
    scenario: str
    model: str
    method: str
    id: str
    """Its request id, where its response has one."""
    sent_bytes: int
    received_bytes: int
    outcome: str
    """`answered`, `expected` (an error that was wanted) or `failed`."""
    error: str


def file_for(name: str, node: str = "") -> Path:
    """The file of one node, which is not there yet: `node` is put into its name, "" for a local run, and a number.

    UsageError for a name that says no format, or where no file can be made.
    """
    ending = next((each for each in ENDINGS if name.lower().endswith(each)), "")
    if not ending:
        raise UsageError(f"request-log: {name!r} says no format; end it in one of {', '.join(ENDINGS)}")
    if not os.access(Path(name).parent, os.W_OK):
        raise UsageError(f"request-log: {name!r} lies in a folder that is not there or cannot be written")
    stem = name[: -len(ending)]
    if node:
        stem = f"{stem}.{re.sub(r'[^A-Za-z0-9_.-]', '_', node)}"
    for number in range(1, 10_000):
        path = Path(f"{stem}{f'-{number}' if number > 1 else ''}{name[-len(ending) :]}")
        if not path.exists():
            return path
    raise UsageError(f"request-log: there are 9,999 files like {name!r} already; give another name")


class RequestLog:
    """One node's file. A listener of Locust's `request` event is `taken`."""

    def __init__(self, path: Path) -> None:
        """UsageError when the file cannot be made."""
        self.path = path
        self.lines = 0
        """Lines that were written."""
        self.failed = ""
        """Why nothing is written any more."""
        try:
            self._file: IO[bytes] = path.open("xb")
        except OSError as error:
            raise UsageError(f"request-log: {path} cannot be written: {error.strerror or error}") from None
        name = path.name.lower()
        self._as_csv = ".csv" in name[-7:]
        self._packed = gzip.GzipFile("", "wb", GZIP_LEVEL, self._file) if name.endswith(".gz") else None
        self._waiting: list[Line] = []
        self._due = Event()
        self._closed = False
        self._writing = threading.Lock()
        self._writer = gevent.spawn(self._write_now_and_then)

    def taken(
        self,
        response_time: float | None = None,
        response_length: int | None = None,
        exception: BaseException | None = None,
        response: Any = None,
        start_time: float = 0.0,
        scenario: str = "",
        model: str = "",
        method: str = "",
        name: str = "",
        request_length: int = 0,
        expected_error: BaseException | None = None,
        measures: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Keep what `events.request` says of a request."""
        if self.failed or self._closed:
            return
        intended = first = None
        sent = start_time
        if measures:
            if (delay := measures.get("issue_delay")) is not None:
                intended, sent = start_time, start_time + delay[0] / 1e6
            if (after := measures.get("first_response")) is not None:
                first = sent + after[0] / 1e6
        error = exception or expected_error
        answer = getattr(response, "infer_response", response)
        self._waiting.append(
            Line(
                intended, sent, first, start_time + (response_time or 0.0) / 1e3, scenario, model, method or name,
                getattr(answer, "id", ""), request_length, response_length or 0,
                "answered" if error is None else "failed" if exception is not None else "expected",
                "" if error is None else str(error),
            )
        )  # fmt: skip
        if len(self._waiting) >= MOST_WAITING:
            self._write_waiting()
        elif len(self._waiting) >= WRITE_AT:
            self._due.set()

    def close(self) -> None:
        """Write what waits, and close the file. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._writer.kill(block=False)
        with gevent.Timeout(CLOSE_LIMIT_S, False):  # type: ignore[arg-type]  # False: no exception
            self._in_a_thread(self._close)
        logger.info("Request log: %s lines in %s%s", f"{self.lines:,}", self.path, self.failed and f"; {self.failed}")

    def _write_now_and_then(self) -> None:
        while True:
            self._due.wait(WRITE_EVERY_S)
            self._due.clear()
            self._write_waiting()

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._in_a_thread(lambda: self._write(waiting))

    def _in_a_thread(self, work: Callable[[], None]) -> None:
        try:
            gevent.get_hub().threadpool.apply(work)
        except OSError as error:
            self.failed = f"the rest could not be written: {error.strerror or error}"
            logger.error("The request log %s ends here: %s", self.path, self.failed)

    def _write(self, lines: list[Line]) -> None:
        with self._writing:  # a close may come while the last lines are under way
            to = self._packed or self._file
            if self._as_csv and not self.lines:
                to.write((",".join(Line._fields) + "\n").encode())
            to.write(rendered(lines, as_csv=self._as_csv))
            to.flush()
            self.lines += len(lines)

    def _close(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            if waiting:
                self._write(waiting)
            if self._packed is not None:
                self._packed.close()
        finally:
            self._file.close()


def rendered(lines: Iterable[Line], *, as_csv: bool) -> bytes:
    """The lines as they are written: times to a microsecond, what there is not as nothing."""
    if as_csv:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(map(_short, lines))
        return text.getvalue().encode("utf-8", "replace")
    return "".join(
        json.dumps(dict(zip(Line._fields, _short(line), strict=True)), separators=(",", ":")) + "\n" for line in lines
    ).encode("utf-8", "replace")


def _short(line: Line) -> tuple[Any, ...]:
    return (
        None if line.intended is None else round(line.intended, 6),
        round(line.sent, 6),
        None if line.first is None else round(line.first, 6),
        round(line.last, 6),
        _on_a_line(line.scenario),
        _on_a_line(line.model),
        _on_a_line(line.method),
        _on_a_line(line.id),
        line.sent_bytes,
        line.received_bytes,
        line.outcome,
        _on_a_line(" ".join(line.error.split())[:MAX_ERROR]),
    )


def _on_a_line(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()
