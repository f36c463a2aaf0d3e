"""Runs the real `locust` command as a person would, and keeps what it printed and wrote."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 90.0


@dataclass
class Ended:
    """A locust command that has ended."""

    exit_code: int
    output: str
    folder: Path

    @property
    def report(self) -> dict[str, Any]:
        """The only report it wrote."""
        (path,) = self.folder.glob("reports/*/report.json")
        return json.loads(path.read_text())  # type: ignore[no-any-return]

    def scenario(self, name: str) -> dict[str, Any]:
        (found,) = [scenario for scenario in self.report["scenarios"] if scenario["name"] == name]
        return found  # type: ignore[no-any-return]


class Locust:
    """A locust command under way, in `folder`: its reports go into `reports` there.

    One that a failed test did not wait for is ended with the test (`end_those_left`).
    """

    _under_way: ClassVar[list[Locust]] = []

    def __init__(self, folder: Path, *arguments: str, locustfile: Path = ROOT / "locustfile.py") -> None:
        self.folder = folder
        self._output = (folder / "output.txt").open("w+")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "locust",
                "-f",
                str(locustfile),
                "--headless",
                *arguments,
            ],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._under_way.append(self)

    @classmethod
    def end_those_left(cls) -> None:
        """Kill what nobody has waited for, with all that it started in its session."""
        while cls._under_way:
            cls._under_way[-1]._kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def output(self) -> str:
        return Path(self._output.name).read_text()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def signal_all(self, number: signal.Signals) -> None:
        """To all processes of the command, as a terminal does."""
        os.killpg(self._process.pid, number)

    def running(self) -> bool:
        return self._process.poll() is None

    def ended(self, limit_s: float = LIMIT_S) -> Ended:
        """Wait until it has ended; kills it and raises when that takes longer than `limit_s`."""
        try:
            exit_code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"locust did not end within {limit_s} s; it printed:\n{self.output()}") from None
        finally:
            self._kill()
        return Ended(exit_code, self.output(), self.folder)

    def _kill(self) -> None:
        """End it, if it has not ended; safe to call twice."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._output.close()
        if self in self._under_way:
            self._under_way.remove(self)


def run_locust(folder: Path, *arguments: str, locustfile: Path = ROOT / "locustfile.py") -> Ended:
    """Run locust to its end."""
    return Locust(folder, *arguments, locustfile=locustfile).ended()
