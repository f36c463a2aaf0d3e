"""A fake of what a run needs of Locust (`run/locust.py`): it does nothing by itself and notes what it is asked for."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from triton_users.options import add_option, own_options
from triton_users.run.configuration import RunConfiguration
from triton_users.scenarios.base import Target
from triton_users.settings import Settings

HOST = "grpc://127.0.0.1:8001"


def options(report_dir: Path | str, *arguments: str, headless: bool = True) -> Namespace:
    """Our options, and those of Locust's that a run reads."""
    parser = ArgumentParser()
    for option in own_options():
        add_option(parser, option)
    ours = vars(parser.parse_args(["--report-dir", str(report_dir), *arguments]))
    locusts = {
        "headless": headless,
        "user_classes": [],
        "locustfile": "locustfile.py",
        "num_users": 1,
        "spawn_rate": 1.0,
        "run_time": None,
        "processes": None,
        "tags": None,
        "exclude_tags": None,
    }
    return Namespace(**locusts, **ours)


class Refused(Exception):
    """A run was not to start."""


class FakeCommand:
    """The locust command."""

    def __init__(self, options: Namespace, *user_classes: type, distributed: bool = False) -> None:
        self.options = options
        self.user_classes: list[Any] = list(user_classes)
        self.host = HOST
        self.tags: tuple[Collection[str], Collection[str]] = ((), ())
        self.shaped = False
        self.run_time_s: float | None = None
        self.stop_timeout_s = 0.0
        self.distributed = distributed
        self.worker_count = 2 if distributed else 0
        self.worker_index = 0
        self.running: list[Any] = []
        self.killed = 0
        """Users that were told to stop and have not ended."""
        self.exit_code: int | None = None
        self.asked: list[str] = []
        """What it was asked to do, in this order."""
        self.on_stop: Callable[[], None] = lambda: None
        self.run: Any = None
        self.sent: Mapping[str, Any] | None = None

    def users(self) -> list[Any]:
        return self.running

    @property
    def has_users(self) -> bool:
        return bool(self.running or self.killed)

    def exit_with(self, code: int) -> None:
        self.exit_code = code

    def stop(self) -> None:
        self.asked.append("stop")
        self.on_stop()

    def quit(self) -> None:
        self.asked.append("quit")

    @property
    def target_users(self) -> int:
        return int(self.options.num_users)

    def set_users(self, users: int) -> None:
        self.asked.append(f"{users} users")

    def end_run(self) -> None:
        self.asked.append("end run")

    def refuse_to_start(self, why: str) -> NoReturn:
        raise Refused(why)

    def give_to_users(self, run: object) -> None:
        self.run = run

    def send_with_orders(self, packed: Mapping[str, Any]) -> None:
        self.sent = dict(packed)

    def came_with_the_order(self) -> Mapping[str, Any] | None:
        return self.sent


class FakeWorker:
    """A worker's connection to its master."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.listeners: dict[str, Callable[[Any], None]] = {}
        self.on_report: Callable[[dict[str, Any]], None] = lambda report: None
        self.reports: list[dict[str, Any]] = []
        self.on_stop: Callable[[], None] = lambda: None

    def listen(self, message: str, listener: Callable[[Any], None], *, concurrent: bool = False) -> None:
        self.listeners[message] = listener

    def send(self, message: str, data: Mapping[str, Any] | None = None) -> None:
        self.asked.append(message if data is None else (message, dict(data)))

    def report(self) -> None:
        report: dict[str, Any] = {}
        self.on_report(report)
        self.reports.append(report)
        self.asked.append("report")

    def accept_users(self, accept: bool) -> None:
        self.asked.append("accept users" if accept else "refuse users")

    def stop(self, at: float) -> None:
        self.asked.append(("stop", at))
        self.on_stop()

    def forget_statistics(self) -> None:
        self.asked.append("forget statistics")


class FakeMaster:
    """The master's connections to its workers."""

    def __init__(self, **unheard_s: float) -> None:
        """`unheard_s`: worker -> how long ago it was heard."""
        self.silence = dict(unheard_s)
        self.asked: list[Any] = []
        self.listeners: dict[str, Callable[..., None]] = {}
        self.discounted: list[dict[str, Any]] = []
        self.on_send: Callable[[str], None] = lambda message: None

    def listen(self, message: str, listener: Callable[[str], None]) -> None:
        self.listeners[message] = listener

    def listen_to_data(self, message: str, listener: Callable[[str, Any], None]) -> None:
        self.listeners[message] = listener

    def send(self, message: str, data: Mapping[str, Any]) -> None:
        self.asked.append(message)
        self.on_send(message)

    def workers(self) -> list[str]:
        return list(self.silence)

    def workers_with_users(self) -> list[str]:
        return self.workers()

    def unheard_s(self, worker: str) -> float | None:
        return self.silence.get(worker)

    def begin_run(self) -> None:
        self.asked.append("begin run")

    def end_ramp_up(self) -> None:
        self.asked.append("end ramp-up")

    @contextmanager
    def hearing(self) -> Iterator[None]:
        self.asked.append("hear")
        yield
        self.asked.append("heard")

    def discount(self, report: dict[str, Any]) -> None:
        self.discounted.append(report)


class FakeNodes:
    """Those who have users."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.workers = ["w"]
        self.orders: list[Mapping[str, Any]] = []
        self.snapshot: Mapping[str, Any] | None = None
        self.configuration: RunConfiguration | None = None

    def start(self, configuration: RunConfiguration) -> None:
        self.configuration = configuration
        self.asked.append("start")

    def poll(self) -> Mapping[str, Any] | None:
        return self.snapshot

    def ask(self) -> None:
        self.asked.append("ask")

    def with_users(self) -> list[str]:
        return self.workers

    def arrivals(self, order: Mapping[str, Any]) -> None:
        self.orders.append(order)

    def reset(self, epoch: str) -> None:
        self.asked.append(("reset", epoch))

    def stopping(self, stop_timeout_s: float) -> None:
        self.asked.append("stopping")

    def hurry(self) -> None:
        self.asked.append("hurry")

    def last(self) -> Mapping[str, Any] | None:
        self.asked.append("last")
        return self.snapshot


def target() -> Target:
    return Target(address="127.0.0.1:8001", models=frozenset(), server_version="triton 2.51.0")


def configuration(epoch: str = "one", **settings: Any) -> RunConfiguration:
    return RunConfiguration(
        run_id=1, settings=Settings(seed=1, **settings), target=target(), left_out={}, host="", epoch=epoch
    )
