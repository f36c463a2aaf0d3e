"""install(environment): the only place that ties our parts to Locust's events."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from triton_users import web
from triton_users.declaration import EXIT_USAGE
from triton_users.events import add_hooks
from triton_users.exports import otel
from triton_users.locust_compat.command import LocustCommand
from triton_users.locust_compat.forks import forgive_the_wait_for_a_worker_that_is_forgotten
from triton_users.locust_compat.interrupts import take_interrupts_that_locust_does_not_expect
from triton_users.locust_compat.listeners import listen_before_those_already_there
from triton_users.locust_compat.logs import escape_control_characters_that_locust_logs_raw
from triton_users.locust_compat.master import LocustMaster
from triton_users.locust_compat.own_files import write_own_files_when_all_is_counted
from triton_users.locust_compat.start_gate import on_test_start
from triton_users.locust_compat.stop_twice import stop_once_at_a_time
from triton_users.locust_compat.timers import begin_timers_now
from triton_users.locust_compat.worker import LocustWorker
from triton_users.run.configuration import RunConfiguration
from triton_users.run.coordinator import Coordinator
from triton_users.run.node import LOCAL, Node
from triton_users.run.snapshots import LocalNode, SnapshotCollector, SnapshotSender
from triton_users.settings import UsageError

QUIT_LIMIT_S = 30.0
"""How long a worker may take to end beyond its users' stop timeout, in seconds; then the kernel ends it."""


def install(environment: Environment) -> None:
    """Wire the stress test into Locust, once; call it from a listener of Locust's `init` event.

    Adds our EventHooks to `environment.events`. Without `--host` it starts the embedded Triton, on the local runner or
    the master. Ends the program with exit code 2 when the options cannot be used.
    """
    if getattr(environment, "triton_plugin", False):
        return
    environment.triton_plugin = True  # type: ignore[attr-defined]  # our mark that this was done
    if not hasattr(environment.parsed_options, "report_dir"):
        sys.stderr.write(
            "locust: error: the locustfile installs the plugin but lacks its options: add "
            "events.init_command_line_parser.add_listener(triton_users.options.add_options) to it\n"
        )
        sys.exit(EXIT_USAGE)
    escape_control_characters_that_locust_logs_raw()
    write_own_files_when_all_is_counted(environment)
    add_hooks(environment)
    command, runner = LocustCommand(environment), environment.runner
    if isinstance(runner, WorkerRunner):
        hurry = _install_worker(environment, command, runner)
    elif isinstance(runner, MasterRunner):
        hurry = _install_master(environment, command, runner)
    else:
        hurry = _install_local(environment, command)
    take_interrupts_that_locust_does_not_expect().expect_them(environment, hurry)
    if getattr(command.options, "otel", False):
        otel.end_in_time()
    begin_timers_now()


def _install_worker(environment: Environment, command: LocustCommand, runner: WorkerRunner) -> Callable[[], None]:
    """Returns what to call when somebody ends the run, as do the other two."""
    stop_once_at_a_time(runner)
    node = Node(command, runner.client_id)
    node.listen(environment.events)
    worker = LocustWorker(runner)
    sender = SnapshotSender(node, worker)
    environment.reset_stats = False  # the master says when, so that Locust's counts and ours are reset as one

    def start(**_: Any) -> None:
        packed = command.came_with_the_order()
        if packed is None:
            command.refuse_to_start("the master of this worker runs without this plugin: give both the same locustfile")
        try:
            sender.start(RunConfiguration.unpack(packed))
        except UsageError as error:  # input data that this machine does not have
            sender.refuse(str(error))
            command.refuse_to_start(str(error))

    def quitting(**_: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, command.stop_timeout_s + QUIT_LIMIT_S)
        sender.hurry()
        runner.stop()  # so that the last counts are sent before Locust says good-bye to the master
        sender.answered()
        node.end()

    events = environment.events
    on_test_start(environment, start)
    events.report_to_master.add_listener(lambda data, **_: sender.add_to(data))
    events.test_stopping.add_listener(lambda **_: sender.stopping())
    events.test_stop.add_listener(lambda **_: sender.stopped())
    events.quitting.add_listener(quitting)
    events.quit.add_listener(lambda **_: worker.hang_up())
    return sender.hurry


def _install_master(environment: Environment, command: LocustCommand, runner: MasterRunner) -> Callable[[], None]:
    collector = SnapshotCollector(LocustMaster(runner), command)
    coordinator = Coordinator(command, collector)
    collector.on_refusal = coordinator.refused
    listen_before_those_already_there(
        environment.events.worker_report, lambda data, **_: collector.take_out_of(data, coordinator.merge)
    )
    forgive_the_wait_for_a_worker_that_is_forgotten()
    _install_coordinator(environment, coordinator)
    return coordinator.hurry


def _install_local(environment: Environment, command: LocustCommand) -> Callable[[], None]:
    if environment.runner is not None:
        stop_once_at_a_time(environment.runner)
    node = Node(command, LOCAL)
    node.listen(environment.events)
    coordinator = Coordinator(command, LocalNode(node))
    _install_coordinator(environment, coordinator)
    return coordinator.hurry


def _install_coordinator(environment: Environment, coordinator: Coordinator) -> None:
    coordinator.set_up()

    def spawned(**_: Any) -> None:
        if environment.reset_stats:
            coordinator.reset()
        coordinator.spawned()

    events = environment.events
    on_test_start(environment, lambda **_: coordinator.start())
    events.test_stopping.add_listener(lambda **_: coordinator.stopping())
    events.test_stop.add_listener(lambda **_: coordinator.stopped())
    events.reset_stats.add_listener(lambda **_: coordinator.reset())
    events.spawning_complete.add_listener(spawned)
    events.quitting.add_listener(lambda **_: coordinator.quit())
    events.quit.add_listener(lambda **_: coordinator.quitted())
    if environment.web_ui is not None:
        web.register(environment, lambda: coordinator.reporting, coordinator.set_rate, coordinator.use)
