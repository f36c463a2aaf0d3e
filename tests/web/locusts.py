"""A Locust master with its web UI and two workers, as processes of their own on loopback, for tests and screenshots."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.procs import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent

START_LIMIT_S = 120.0
"""How long master and workers may take until they are ready, in seconds; about 3 on an idle machine."""
END_LIMIT_S = 15.0
"""How long a process may take to end after SIGTERM before it is killed, in seconds."""


class Locusts:
    """`with Locusts(host, folder) as locusts`: ready on entry, all processes ended on exit."""

    def __init__(
        self,
        host: str,
        folder: Path,
        *arguments: str,
        workers: int = 2,
        base_path: str = "",
        locustfile: Path = ROOT / "locustfile.py",
    ) -> None:
        """`folder` takes the logs and the reports; `arguments` are added to the master's command line."""
        self._folder = folder
        self._workers = workers
        web_port, master_port = free_ports(2)
        self._address = ("127.0.0.1", web_port)
        self.url = f"http://127.0.0.1:{web_port}{base_path}"
        self._base = [sys.executable, "-m", "locust", "-f", str(locustfile)]
        self._master = ["--master", "--master-bind-host=127.0.0.1", f"--master-bind-port={master_port}"]
        self._master += [f"--web-port={web_port}", f"--host={host}", f"--report-dir={folder / 'reports'}", *arguments]
        self._master += [f"--web-base-path={base_path}"] if base_path else []
        self._worker = ["--worker", "--master-host=127.0.0.1", f"--master-port={master_port}"]
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Locusts:
        try:
            self._run("master", self._master)
            for number in range(self._workers):
                self._run(f"worker{number}", self._worker)
            wait_for(self._ready, START_LIMIT_S, self._log)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def get(self, path: str) -> Any:
        """The JSON at this path."""
        with urllib.request.urlopen(self.url + path, timeout=20) as answer:
            return json.load(answer)

    def post(self, path: str, **form: str) -> Any:
        """What the form is answered with."""
        data = urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(self.url + path, data, timeout=60) as answer:
            return json.load(answer)

    def start(self, **form: str) -> None:
        """Start a test, as the start form would."""
        answer = self.post("/swarm", **form)
        assert answer["success"], answer["message"]

    def stop(self) -> None:
        """Stop the test; returns when the last counts are in."""
        self.post("/stop")
        wait_for(lambda: self.get("/stats/requests")["state"] == "stopped", END_LIMIT_S, self._log)

    def join_late(self) -> None:
        """One more worker; returns when the master knows it."""
        self._workers += 1
        self._run(f"worker{self._workers}", self._worker)
        wait_for(self._ready, START_LIMIT_S, self._log)

    def reports(self) -> list[dict[str, Any]]:
        """All report.json files, the oldest first."""
        return [json.loads(path.read_text()) for path in sorted(self._folder.glob("reports/*/report.json"))]

    def _ready(self) -> bool:
        try:
            socket.create_connection(self._address, timeout=5).close()
            return not self._workers or self.get("/worker-count")["worker_count"] == self._workers
        except OSError:
            return False

    def _run(self, name: str, arguments: list[str]) -> None:
        with open(self._folder / f"{name}.log", "wb") as log:
            process = subprocess.Popen(
                [*self._base, *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)

    def _log(self) -> str:
        return "\n".join(log.read_text()[-2000:] for log in sorted(self._folder.glob("*.log")))

    def _end(self) -> None:
        for process in self._processes:
            process.terminate()
        limit = time.monotonic() + END_LIMIT_S
        for process in self._processes:
            try:
                process.wait(max(0.1, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(condition: Callable[[], Any], limit_s: float, log: Callable[[], str] = str) -> Any:
    """The first true value of `condition`; fails after `limit_s` seconds with the text of `log`."""
    limit = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < limit, f"nothing came within {limit_s:g} s. {log()}"
        time.sleep(0.1)
    return value
