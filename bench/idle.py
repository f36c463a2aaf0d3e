"""What a connected idle user costs: memory of one worker with 5,000 of them, and of as many users without a client."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import compare, table
from bench.clients import ROOT
from bench.messages import Identity
from bench.null_server import NullServer, null_server
from bench.procs import BenchError, cpu_seconds, on_cores, running, tail, wait_for

#: Seconds in which all users must have come.
LIMIT_S = 180.0
#: Seconds without any request over which CPU is counted.
QUIET_S = 5.0


@dataclass(frozen=True)
class Cost:
    """One Locust worker process with its users."""

    kind: str
    users: int
    connections: int
    memory_mib: float
    cpu_percent: float
    """CPU while nothing happens, of one core."""
    spawn_s: float
    """From the start of the process until every user was there."""
    end_s: float
    """From SIGTERM to the end of the process."""
    exit_code: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--idle-users", type=int, default=5000, metavar="N", help="(default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    count = options.idle_users
    placed = compare.pins(options)
    with null_server(Identity("identity", 16), placed.server) as server, on_cores(placed.client):
        costs = [
            cost
            for connected in (False, True)
            for cost in (_measure(server, 1, connected), _measure(server, count, connected))
        ]
    print(f"\n{count:,} idle users on one worker")
    print(render(costs))
    return [asdict(cost) for cost in costs]


def render(costs: list[Cost]) -> str:
    """The four processes, and the memory of a user: what the many have more than the one, divided by the many."""
    rows: list[list[table.Cell]] = [list(asdict(cost).values()) for cost in costs]
    headers = ["users", "count", "connections", "memory MiB", "idle CPU %", "spawn s", "end s", "exit code"]
    each = {
        many.kind: 1024 * (many.memory_mib - one.memory_mib) / (many.users - one.users)
        for one, many in zip(costs[::2], costs[1::2], strict=True)
        if many.users > one.users
    }
    lines = [table.render(headers, rows)]
    lines += [f"a {kind} user: {table.show(kib)} KiB" for kind, kib in each.items()]
    if len(each) == 2:
        lines.append(f"its client and connection: {table.show(each['connected'] - each['plain'])} KiB of that")
    return "\n".join(lines)


def _measure(server: NullServer, users: int, connected: bool) -> Cost:
    kind = "connected" if connected else "plain"
    rate = str(math.ceil(users / 10))
    command = [
        *[sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "users" / "idle.py"), "--headless"],
        *["-u", str(users), "-r", rate, "-H", f"grpc://{server.address}", "--stop-timeout", "5"],
    ]
    env = {"BENCH_CASE": json.dumps({"connected": int(connected)}), "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="bench-idle-") as name:
        folder = Path(name)
        log = folder / "log"
        others = server.connections()
        started = time.monotonic()
        with running(command, log, env=env, cwd=folder) as child:
            wait_for("locust", _all_there(server, log, users, others, connected), child, log, LIMIT_S)
            spawn_s = time.monotonic() - started
            time.sleep(1)
            busy_s = cpu_seconds(child.pid)
            time.sleep(QUIET_S)
            busy_s = cpu_seconds(child.pid) - busy_s
            memory_mib = psutil.Process(child.pid).memory_info().rss / 2**20
            connections = server.connections() - others
            ended = time.monotonic()
            child.send_signal(signal.SIGTERM)
            exit_code = child.wait(LIMIT_S)
            end_s = time.monotonic() - ended
        if connected and connections != users:
            raise BenchError(f"{users} users hold {connections} connections\n{tail(log)}")
    return Cost(kind, users, connections, memory_mib, 100 * busy_s / QUIET_S, spawn_s, end_s, exit_code)


def _all_there(server: NullServer, log: Path, users: int, others: int, connected: bool) -> Callable[[], bool]:
    def ready() -> bool:
        if "All users spawned" not in log.read_text(errors="replace"):
            return False
        return not connected or server.connections() - others >= users

    return ready
