"""Runs locust commands as a person would, tells what they counted and what they left behind, and always ends them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]
TRAFFIC = Path(__file__).with_name("traffic.py")

MARK = "TRITON_USERS_TEST"
"""Environment variable by which the descendants of a command are found, whoever their parent is by now."""

RECORD = struct.Struct("<d?")
"""A journal's record: when the request ended (seconds since 1970), and whether it failed."""


class Locust:
    """One locust command in a session of its own, with its own folders for reports, journals and temporary files."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        locustfile: Path = TRAFFIC,
        headless: bool = True,
        within: Sequence[str] = (),
        **environment: str,
    ) -> None:
        """`within`: a command that runs another one somewhere else, such as `ip netns exec NAME`."""
        self.folder = folder
        for name in ("journal", "tmp", "reports"):
            (folder / name).mkdir(parents=True)
        self._mark = secrets.token_hex(8)
        self.log_path = folder / "log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *within,
                    *[sys.executable, "-m", "locust", "-f", str(locustfile)],
                    *(["--headless"] if headless else []),
                    *["--report-dir", str(folder / "reports"), "--json-file", str(folder / "stats")],
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    MARK: self._mark,
                    "TMPDIR": str(folder / "tmp"),
                    "JOURNAL": str(folder / "journal"),
                    "PYTHONPATH": str(ROOT),
                    **environment,
                },
                cwd=folder,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def interrupt(self) -> None:
        """What a terminal does on Ctrl+C."""
        os.killpg(self.pid, signal.SIGINT)

    def terminate(self) -> None:
        self.process.terminate()

    def terminate_all(self) -> None:
        """What a service manager does: SIGTERM to each process of ours."""
        os.killpg(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        self.process.kill()

    def wait(self, limit_s: float = 30.0) -> int:
        """The exit code."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"locust is still running after {limit_s:g} s\n{self.log()}") from None

    def workers(self) -> list[int]:
        """The process ids of the workers that `--processes` forked: they have their master's command line."""
        master = psutil.Process(self.pid)
        command = master.cmdline()
        return [child.pid for child in master.children() if child.cmdline() == command]

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def report(self) -> dict[str, Any]:
        """The only report.json there is."""
        reports = self.reports()
        assert len(reports) == 1, f"{len(reports)} reports, not one\n{self.log()}"
        return reports[0]

    def reports(self) -> list[dict[str, Any]]:
        """All of them, the oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("reports/*/report.json"))]

    def by_locust(self) -> int:
        """Requests in Locust's own statistics."""
        return sum(row["num_requests"] for row in json.loads((self.folder / "stats.json").read_text()))

    def journal(self) -> dict[int, list[float]]:
        """When each request ended, by the process that made it; it lives through `kill -9`."""
        return {
            int(path.name): [ended for ended, _ in RECORD.iter_unpack(_whole(path.read_bytes()))]
            for path in (self.folder / "journal").iterdir()
        }

    def journalled(self) -> int:
        return sum(map(len, self.journal().values()))

    def left(self) -> list[psutil.Process]:
        """Living processes that stem from this command, orphans included."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self._mark:
                    found.append(process)
        return found

    def programs(self) -> set[str]:
        """The names of the programs that run."""
        names = set()
        for process in self.left():
            with contextlib.suppress(psutil.Error):
                names.add(process.name())
        return names

    def left_files(self) -> list[str]:
        """What it left in the folder for temporary files; hidden ones are ONNX Runtime's."""
        return sorted(path.name for path in (self.folder / "tmp").glob("[!.]*"))

    def end(self) -> None:
        """Kill whatever is left."""
        for process in self.left():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.process.wait()


def _whole(data: bytes) -> bytes:
    return data[: len(data) // RECORD.size * RECORD.size]


def until(what: str, true: Callable[[], object], limit_s: float = 20.0, every_s: float = 0.05) -> None:
    """Wait until something is true; AssertionError says what did not become so."""
    deadline = time.monotonic() + limit_s
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {limit_s:g} s: {what}")
        time.sleep(every_s)


@contextlib.contextmanager
def locust(folder: Path, *arguments: str, **keywords: Any) -> Iterator[Locust]:
    """A locust command that is ended on the way out."""
    command = Locust(folder, *arguments, **keywords)
    try:
        yield command
    finally:
        command.end()
