"""The load generators that are compared: how each is started, and how its output is read.

All send the same identity request in a closed loop: as many requests under way as there are users.
"""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.messages import INFER_PATH, Identity, framed, infer_request
from bench.procs import BenchError, tail
from bench.sampling import Said
from triton_users.server import ServerError, ensure_installed, perf_analyzer_command

ROOT = Path(__file__).resolve().parent.parent
#: perf_analyzer reports once three of its windows agree; `-s` makes any three agree.
PERF_ANALYZER_WINDOWS = 3
#: Seconds Locust's users get to end their task: no request is cut off, no sequence left open.
STOP_LIMIT_S = 5


@dataclass(frozen=True)
class LocustClient:
    """One Locust worker process, headless and with its full statistics, on one of bench/users/."""

    name: str
    locustfile: str
    users: int
    case: Mapping[str, object]
    """What the locustfile reads from BENCH_CASE."""
    endless: bool = True
    """Locust's own run time is too short by however long its imports took."""
    options: Sequence[str] = ()

    def command(self, address: str, seconds: float, folder: Path) -> Sequence[str]:
        return [
            *[sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "users" / self.locustfile)],
            *["--headless", "-u", str(self.users), "-r", str(self.users), "-H", f"grpc://{address}"],
            *["--stop-timeout", str(STOP_LIMIT_S), *self.options],
        ]

    def env(self) -> Mapping[str, str]:
        return {"BENCH_CASE": json.dumps(dict(self.case)), "PYTHONPATH": str(ROOT)}

    def said(self, exit_code: int, log: Path, folder: Path) -> Said:
        result = folder / "locust.json"
        if not result.exists():
            return Said(None, 1, complaint=f"no result, exit code {exit_code}: {tail(log, 5)}")
        content = json.loads(result.read_text())
        complaints = list(content["failures"])
        if exit_code != 0:
            complaints.append(f"exit code {exit_code}")
        return Said(
            requests=content["requests"],
            errors=content["errors"] + (exit_code != 0),
            p50_us=content["p50_us"],
            p90_us=content["p90_us"],
            p99_us=content["p99_us"],
            complaint="; ".join(complaints),
            unanswered=content["unanswered"],
        )


@dataclass(frozen=True)
class PerfAnalyzer:
    """The real, pinned perf_analyzer over gRPC, without shared memory and with fixed windows.

    It is installed into the cache when it is not there yet. BenchError when it cannot be.
    """

    model: str
    concurrency: int
    options: Sequence[str] = ()
    name: str = "perf_analyzer"
    endless: bool = False
    input_data: str = "zero"

    def command(self, address: str, seconds: float, folder: Path) -> Sequence[str]:
        window_ms = math.ceil(1000 * seconds / PERF_ANALYZER_WINDOWS)
        binary, _ = self._installed()
        return [
            *[*binary, "-m", self.model, "-u", address, "-i", "grpc", "--shared-memory", "none"],
            *["--concurrency-range", str(self.concurrency), "--input-data", self.input_data],
            *["--measurement-mode", "time_windows", "--measurement-interval", str(window_ms)],
            *["--max-trials", str(PERF_ANALYZER_WINDOWS), "--stability-percentage", "999"],
            *["-f", str(folder / "report.csv"), *self.options],
        ]

    def env(self) -> Mapping[str, str]:
        _, environment = self._installed()
        return {"LD_LIBRARY_PATH": environment["LD_LIBRARY_PATH"]}

    def _installed(self) -> tuple[list[str], dict[str, str]]:
        try:
            return perf_analyzer_command(ensure_installed())
        except ServerError as exc:
            raise BenchError(str(exc)) from exc

    def said(self, exit_code: int, log: Path, folder: Path) -> Said:
        report = folder / "report.csv"
        if exit_code != 0 or not report.exists():
            return Said(None, 1, complaint=f"exit code {exit_code}: {tail(log, 5)}")
        return parse_perf_analyzer(report.read_text(), log.read_text(errors="replace"))


def parse_perf_analyzer(report: str, log: str) -> Said:
    """Latencies from the CSV of `-f`, complaints from the log; its request count is of its windows only."""
    rows = list(csv.DictReader(report.splitlines()))
    if len(rows) != 1:
        return Said(None, 1, complaint=f"{len(rows)} lines in its report, one was expected")
    complaints = [
        line.strip() for line in log.splitlines() if re.search(r"fail|error|warn|unable", line, re.IGNORECASE)
    ]
    p50, p90, p99 = (float(rows[0][f"p{percent} latency"]) for percent in (50, 90, 99))
    return Said(None, len(complaints), p50, p90, p99, "; ".join(complaints))


@dataclass(frozen=True)
class H2load:
    """nghttp2's h2load: the most that a client in C gets out of the server. It checks HTTP status only.

    A bonus: where it is not installed (`apt-get install nghttp2-client`), a comparison goes without.
    """

    case: Identity
    connections: int
    name: str = "h2load"
    endless: bool = False

    @staticmethod
    def installed() -> bool:
        return shutil.which("h2load") is not None

    def command(self, address: str, seconds: float, folder: Path) -> Sequence[str]:
        body = folder / "body"
        body.write_bytes(framed(infer_request(self.case)))
        return [
            *["h2load", "-c", str(self.connections), "-m", "1", "-t", "1", "-D", str(math.ceil(seconds))],
            *["-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers"],
            f"http://{address}{INFER_PATH}",
        ]

    def env(self) -> Mapping[str, str]:
        return {}

    def said(self, exit_code: int, log: Path, folder: Path) -> Said:
        return parse_h2load(exit_code, log.read_text(errors="replace"))


def parse_h2load(exit_code: int, log: str) -> Said:
    """Requests and failures from h2load's summary. It gives no percentiles."""
    found = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", log)
    if exit_code != 0 or found is None:
        return Said(None, 1, complaint=f"exit code {exit_code}, {'no' if found is None else 'a'} summary")
    done, succeeded, failed, errored, late = (int(number) for number in found.groups())
    errors = failed + errored + late + (done - succeeded)
    return Said(None, errors, complaint=found.group() if errors else "")
