"""Memory, files, threads and greenlets of master and workers while the stress mix runs for a long time."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench import table
from bench.clients import ROOT
from bench.procs import GRACE_S, BenchError, free_ports, running, tail, tree

#: Seconds between two samples.
INTERVAL_S = 10.0
#: Seconds between two lines of progress.
PROGRESS_S = 60.0
#: Seconds after the run time in which Locust must have ended, with its server and its reports.
END_LIMIT_S = 120.0
#: What is judged, in the order of the columns.
RESOURCES = ("memory_mib", "files", "threads", "greenlets")


@dataclass
class Process:
    """One Locust process over time; `samples` holds (seconds since the start, value) of each resource."""

    role: str
    pid: int
    samples: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {name: [] for name in RESOURCES})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=30.0, help="run time (default %(default)s)")
    parser.add_argument("--warm-up-minutes", type=float, default=5.0, help="left out of slopes (default %(default)s)")
    parser.add_argument("--soak-users", type=int, default=8, metavar="N", help="(default %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default %(default)s)")
    parser.add_argument("--host", metavar="grpc://HOST:PORT", help="a Triton that runs already")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")
    parser.add_argument("locust_options", nargs="*", help="after `--`: more options for Locust, such as --weights")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    seconds = round(60 * options.minutes)
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as name:
        folder = Path(name)
        log = folder / "log"
        command = [
            *[sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "users" / "soak.py"), "--headless"],
            *["-u", str(options.soak_users), "-r", str(options.soak_users), "--run-time", f"{seconds}s"],
            *["--processes", str(options.workers), "--report-dir", str(folder / "reports")],
            *ports_of_its_own(),
            *(["-H", options.host] if options.host else []),
            *options.locust_options,
        ]
        env = {"BENCH_CASE": json.dumps({"folder": name}), "PYTHONPATH": str(ROOT)}
        with running(command, log, env=env, cwd=ROOT) as child:
            processes = watch(child, seconds, log)
        add_greenlets(processes, folder)
        print(f"\n{options.minutes:g} minutes, {options.soak_users} users, {options.workers} workers")
        print(render(processes, 60 * options.warm_up_minutes))
        print(f"exit code {child.returncode}\n{summary(log)}")
        if child.returncode != 0:
            print(tail(log, 60))
    return [{"role": each.role, "pid": each.pid, "samples": each.samples} for each in processes]


def ports_of_its_own() -> list[str]:
    """Options for a master's port that no other Locust on this machine uses: a stranger's worker must not join."""
    port = str(free_ports(1)[0])
    return [*["--master-bind-host", "127.0.0.1", "--master-bind-port", port], *["--master-port", port]]


def watch(child: subprocess.Popen[bytes], seconds: float, log: Path) -> list[Process]:
    """Sample the master and its workers until Locust ends.

    Raises BenchError when it is still there long after its run time, or ended before a single sample.
    """
    processes: dict[int, Process] = {}
    started = time.time()
    told_s = 0.0
    limit = started + seconds + END_LIMIT_S
    while child.poll() is None:
        now = time.time()
        if now > limit:
            raise BenchError(f"Locust is still running {END_LIMIT_S:.0f} s after its time\n{tail(log)}")
        for role, alive in locust_processes(child.pid):
            sample(processes.setdefault(alive.pid, Process(role, alive.pid)), alive, now - started)
        if now - started >= told_s + PROGRESS_S:
            told_s = now - started
            print(progress(processes.values(), told_s, seconds), file=sys.stderr, flush=True)
        try:
            child.wait(INTERVAL_S)
        except subprocess.TimeoutExpired:
            pass  # time for the next sample
    if not processes or time.time() - started < min(seconds, GRACE_S):
        raise BenchError(f"Locust ended with code {child.returncode} at once\n{tail(log)}")
    for process in processes.values():
        for resource, samples in process.samples.items():
            process.samples[resource] = [(at, value) for at, value in samples if at < seconds]
    return list(processes.values())


def progress(processes: Iterable[Process], at_s: float, seconds: float) -> str:
    """One line for a terminal: how far it is, and the memory of each process."""
    memory = [f"{each.samples['memory_mib'][-1][1]:.1f}" for each in processes if each.samples["memory_mib"]]
    return f"  {at_s / 60:.0f} of {seconds / 60:g} minutes; MiB of master and workers: {', '.join(memory)}"


def locust_processes(pid: int) -> list[tuple[str, psutil.Process]]:
    """The master and its workers, which `--processes` forks from it: they have its command line."""
    found: list[tuple[str, psutil.Process]] = []
    try:
        for process in tree(pid):
            if process.pid == pid:
                command = process.cmdline()
                found.append(("master", process))
            elif process.ppid() == pid and process.cmdline() == command:
                found.append((f"worker {process.pid}", process))
    except psutil.NoSuchProcess:
        pass  # it ended between the listing and the look; the next sample is right
    return found


def sample(known: Process, process: psutil.Process, at_s: float) -> None:
    """Take resident memory: the private part alone drops for as long as a child that was just forked shares it."""
    try:
        memory_mib = process.memory_info().rss / 2**20
        files, threads = process.num_fds(), process.num_threads()
    except psutil.NoSuchProcess:
        return
    for resource, value in (("memory_mib", memory_mib), ("files", files), ("threads", threads)):
        known.samples[resource].append((at_s, float(value)))


def add_greenlets(processes: Sequence[Process], folder: Path) -> None:
    """Read what each process wrote of its own greenlets."""
    for process in processes:
        path = folder / f"greenlets-{process.pid}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        if lines:
            first = lines[0]["time_s"] - 60
            process.samples["greenlets"] = [(line["time_s"] - first, float(line["greenlets"])) for line in lines]


def slope_per_hour(samples: Sequence[tuple[float, float]]) -> float | None:
    """The least-squares slope of (seconds, value), per hour; None for fewer than three samples."""
    if len(samples) < 3:
        return None
    mean_s = sum(at for at, _ in samples) / len(samples)
    mean = sum(value for _, value in samples) / len(samples)
    spread = sum((at - mean_s) ** 2 for at, _ in samples)
    if spread == 0:
        return None
    return 3600 * sum((at - mean_s) * (value - mean) for at, value in samples) / spread


def render(processes: Sequence[Process], warm_up_s: float) -> str:
    """For each process and resource: after the warm-up, at the end, and the slope between."""
    rows: list[list[table.Cell]] = []
    for process in processes:
        for resource, samples in process.samples.items():
            settled = [(at, value) for at, value in samples if at >= warm_up_s]
            if settled:
                values = [value for _, value in settled]
                slope = slope_per_hour(settled)
                rows.append([process.role, resource, values[0], values[-1], min(values), max(values), slope])
    headers = ["process", "resource", "after warm-up", "at the end", "least", "most", "slope per hour"]
    return table.render(headers, rows)


def summary(log: Path) -> str:
    """Locust's own count of requests and failures."""
    lines = re.findall(r"^\s+Aggregated .*%\).*$", log.read_text(errors="replace"), re.MULTILINE)
    return lines[-1].strip() if lines else "Locust printed no statistics"
