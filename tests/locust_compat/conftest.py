"""Real runners of Locust that talk over loopback. Of ours, only locust_compat is known here: see test_versions.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import gevent
import pytest
from locust import User, constant, task
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.rpc.zmqrpc import Client, Server
from locust.runners import MasterRunner, WorkerRunner


def environment(*user_classes: type[User]) -> Environment:
    """An environment with events and options of its own, as a process has them."""

    class Idle(User):
        """Waits."""

        wait_time = constant(0.01)

        @task
        def nothing(self) -> None:
            pass

    options = get_parser(default_config_files=[]).parse_args(["--headless"])
    return Environment(user_classes=list(user_classes) or [Idle], parsed_options=options)


def until(true: Callable[[], object], limit_s: float = 10.0) -> None:
    """Let other greenlets run until something is true."""
    with gevent.Timeout(limit_s):
        while not true():
            gevent.sleep(0.01)


def close(side: Server | Client) -> None:
    """With its context, of which each has its own and which nobody else closes."""
    context = side.socket.context
    side.close(linger=0)
    context.term()


@pytest.fixture
def master() -> Iterator[MasterRunner]:
    """A master on a free port."""
    runner = environment().create_master_runner("127.0.0.1", 0)
    yield runner
    runner.greenlet.kill()
    close(runner.server)


@pytest.fixture
def connect(master: MasterRunner) -> Iterator[Callable[[], WorkerRunner]]:
    """Makes a worker that the master knows."""
    with ExitStack() as stack:

        def make() -> WorkerRunner:
            worker = environment().create_worker_runner("127.0.0.1", master.server.port)
            stack.callback(close, worker.client)
            stack.callback(worker.greenlet.kill)
            stack.callback(worker.user_greenlets.kill)
            until(lambda: worker.client_id in master.clients)
            return worker

        yield make


@pytest.fixture
def worker(connect: Callable[[], WorkerRunner]) -> WorkerRunner:
    return connect()
