"""Ways to lay out a run and to end it, and what each of the four who count said afterwards. Judges nothing."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.commands import Locust, locust, until
from tests.transport.support import free_port

MODEL = "custom_nobatch_zero_1_float32"
"""The model of traffic.py."""

LAYOUTS = ("local", "processes", "hosts")
"""One process; `--processes 2`; a master and two workers, each a command of its own."""

EXIT_LIMIT_S = 25.0
"""A run must have ended this long after it was told to; the longest wait in it is Locust's 5 s for a dead worker."""

GONE_LIMIT_S = 10.0
"""How long after its command's end anything that it started may still live."""

#: How a run is ended -> which layouts that makes sense in.
ENDS: dict[str, tuple[str, ...]] = {
    "--run-time": LAYOUTS,
    "--run-time during the ramp-up": ("processes", "hosts"),
    "Ctrl+C": LAYOUTS,
    "SIGTERM": LAYOUTS,
    "SIGTERM during the ramp-up": ("local", "processes"),
    "SIGTERM to all": ("processes", "hosts"),
    "SIGTERM to a worker": ("processes", "hosts"),
    "kill -9 of a worker": ("processes", "hosts"),
    "kill -9": ("local", "processes"),  # separate workers then go on until their heartbeats tell them, a minute later
}
CASES = [(layout, end) for end, layouts in ENDS.items() for layout in layouts]


def completed(http_url: str) -> int:
    """Requests to MODEL that the server at `http_url` has answered, by its own statistics."""
    with urllib.request.urlopen(f"http://{http_url}/v2/models/{MODEL}/stats", timeout=10) as answer:
        counts = json.load(answer)["model_stats"][0]["inference_stats"]
    return sum(int(counts[kind].get("count", 0)) for kind in ("success", "fail"))


@dataclass
class Outcome:
    """What was seen of one run."""

    server: int
    """Requests it answered during the run."""
    journal: list[float]
    """When each request ended, as the users themselves noted it (seconds since 1970)."""
    ended_at: float
    """When the run was ended, in the same seconds; for --run-time, when the waiting for it began."""
    exit_s: float
    """Seconds from then to the end of the command."""
    exit_code: int
    report: dict[str, Any]
    by_locust: int | None
    """Requests in Locust's statistics; None where it was killed before it could write them."""
    left_processes: list[str]
    """What still ran GONE_LIMIT_S later."""
    left_files: list[str]
    """In the folders for temporary files of those that were not killed."""
    log: str

    @property
    def ledger(self) -> int:
        count: int = self.report["totals"]["rpcs"]
        return count

    @property
    def lost(self) -> int:
        """Requests that ended for a user and are not in the report."""
        return len(self.journal) - self.ledger

    def lost_before(self, seconds: float) -> int:
        """Those of them that must have ended more than so many seconds before the end began; at least so many did."""
        return max(0, sum(at < self.ended_at - seconds for at in self.journal) - self.ledger)


@contextmanager
def running(
    layout: str, folder: Path, host: str, *arguments: str, users: int = 4, all_send: bool = True
) -> Iterator[tuple[Locust, list[Locust]]]:
    """The command that leads the run, and the commands of separate workers; all of them, or some, have sent."""
    port = str(free_port())
    common = ["-H", host, "-u", str(users), "--stop-timeout", "5", *arguments]
    workers: list[Locust] = []
    with ExitStack() as stack:
        if layout == "local":
            coordinator = stack.enter_context(locust(folder / "coordinator", *common))
            processes = 1
        elif layout == "processes":
            ports = ["--master-bind-port", port, "--master-port", port]
            coordinator = stack.enter_context(locust(folder / "coordinator", *common, "--processes", "2", *ports))
            processes = 2
        else:
            options = ["--master", "--expect-workers", "2", "--master-bind-port", port]
            coordinator = stack.enter_context(locust(folder / "coordinator", *common, *options))
            workers = [
                stack.enter_context(locust(folder / f"worker-{number}", "--worker", "--master-port", port))
                for number in range(2)
            ]
            processes = 2
        until_sending([coordinator, *workers], processes if all_send else 1)
        yield coordinator, workers


def until_sending(commands: list[Locust], processes: int) -> None:
    """Wait until so many processes have each noted a request."""

    def sending() -> bool:
        return sum(bool(noted) for each in commands for noted in each.journal().values()) >= processes

    try:
        until("all workers send", sending, limit_s=40.0)
    except AssertionError as error:
        raise AssertionError(f"{error}\n" + "\n".join(each.log()[-2000:] for each in commands)) from None


def sending_for_s(command: Locust) -> float:
    """Seconds from the first to the last request that its users noted."""
    noted = [at for each in command.journal().values() for at in each]
    return max(noted) - min(noted) if noted else 0.0


def run(layout: str, end: str, folder: Path, host: str, http_url: str, users: int = 4) -> Outcome:
    """Make a short run, end it in this way and tell what all said."""
    before = completed(http_url)
    arguments = ["-r", "1" if "ramp-up" in end else str(users)]
    if "run-time" in end:
        arguments += ["--run-time", "4s"]
    elif end.endswith("a worker"):
        arguments += ["--run-time", "8s"]  # long enough that all of them send before it is over, on a slow machine too
    all_send = "run-time" not in end and "ramp-up" not in end
    with running(layout, folder, host, *arguments, users=users, all_send=all_send) as (coordinator, workers):
        commands = [coordinator, *workers]
        pids = [each.pid for each in workers] or (coordinator.workers() if layout == "processes" else [])
        ended_at = time.time()
        _end(end, coordinator, commands, pids)
        exit_code = coordinator.wait(EXIT_LIMIT_S)
        exit_s = time.time() - ended_at
        left = _wait_until_gone([coordinator] if end == "kill -9" else commands)
        until_still(lambda: completed(http_url))
        return Outcome(
            server=completed(http_url) - before,
            journal=sorted(at for each in commands for noted in each.journal().values() for at in noted),
            ended_at=ended_at,
            exit_s=exit_s,
            exit_code=exit_code,
            report=coordinator.report(),
            by_locust=None if end == "kill -9" else coordinator.by_locust(),
            left_processes=left,
            left_files=[name for each in commands for name in each.left_files()],
            log="\n".join(each.log() for each in commands),
        )


def _end(end: str, coordinator: Locust, commands: list[Locust], workers: list[int]) -> None:
    if end == "Ctrl+C":
        coordinator.interrupt()
    elif end in ("SIGTERM", "SIGTERM during the ramp-up"):
        coordinator.terminate()
    elif end == "SIGTERM to all":
        for each in commands:
            each.terminate_all()
    elif end == "SIGTERM to a worker":
        os.kill(workers[0], signal.SIGTERM)
    elif end == "kill -9 of a worker":
        os.kill(workers[0], signal.SIGKILL)
    elif end == "kill -9":
        coordinator.kill()


def _wait_until_gone(commands: list[Locust]) -> list[str]:
    deadline = time.monotonic() + GONE_LIMIT_S
    while (left := [str(process) for each in commands for process in each.left()]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def until_still(count: Callable[[], int]) -> None:
    """Wait until a server's count does not change any more: it writes it a moment after its answer."""
    last = -1
    deadline = time.monotonic() + 10.0
    while (now := count()) != last:
        if time.monotonic() > deadline:
            raise AssertionError(f"the server still counts: {last}, {now}")
        last = now
        time.sleep(0.2)
