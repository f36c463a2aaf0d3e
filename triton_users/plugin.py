"""install(environment): the only place that ties our parts to Locust's events."""

from __future__ import annotations

import logging
from typing import Any

from locust.env import Environment
from locust.exception import StopTest
from locust.runners import MasterRunner, WorkerRunner

from triton_users.events import add_hooks
from triton_users.exchange import MasterSide, WorkerSide
from triton_users.lead import Lead
from triton_users.node import Node
from triton_users.run import Decided

logger = logging.getLogger(__name__)


def install(environment: Environment) -> None:
    """Wire the stress test into Locust, once; call it from a listener of Locust's `init` event.

    Adds our EventHooks to `environment.events`. Without `--host` it starts the embedded Triton, on the local runner or
    the master. Ends the program with exit code 2 when the options cannot be used.
    """
    if getattr(environment, "triton_plugin", False):
        return
    environment.triton_plugin = True  # type: ignore[attr-defined]  # our mark that this was done
    add_hooks(environment)
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        _install_worker(environment, runner)
    else:
        _install_lead(environment)


def _install_worker(environment: Environment, runner: WorkerRunner) -> None:
    node = Node(environment, runner.client_id)
    WorkerSide(environment, node.snapshot)

    def on_test_start(**_: Any) -> None:
        node.start(Decided.unpack(environment.parsed_options.triton_run))  # type: ignore[union-attr]  # from the master

    def on_quitting(**_: Any) -> None:
        runner.stop()  # so that the last counts are sent before Locust says good-bye to the master
        node.end()

    environment.events.test_start.add_listener(on_test_start)
    environment.events.quitting.add_listener(on_quitting)


def _install_lead(environment: Environment) -> None:
    runner = environment.runner
    lead = Lead(environment)
    node = None if isinstance(runner, MasterRunner) else Node(environment, "local")
    lead.set_up()

    def on_test_start(**_: Any) -> None:
        decided = lead.decide()
        if node is not None:
            node.start(decided)

    def on_test_stop(**_: Any) -> None:
        if node is not None:
            lead.merge(node.snapshot(final=True) or {})
            node.end()
        lead.finish()

    def on_quitting(**_: Any) -> None:
        try:
            if runner is not None:
                runner.quit()  # fires test_stop, if a test still runs
        finally:
            lead.tear_down()

    environment.events.test_start.add_listener(on_test_start)
    environment.events.test_stop.add_listener(on_test_stop)
    environment.events.quitting.add_listener(on_quitting)
    if isinstance(runner, MasterRunner):
        MasterSide(environment, lead.merge, lead.missing)
