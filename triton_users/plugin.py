"""install(environment): the only place that ties our parts to Locust's events."""

from __future__ import annotations

import logging
import signal
from typing import Any

import gevent
from gevent.event import Event
from gevent.lock import RLock
from locust.env import Environment
from locust.runners import STATE_INIT, MasterRunner, WorkerRunner

from triton_users import web
from triton_users.events import add_hooks
from triton_users.locust_compat.start_gate import on_test_start
from triton_users.run.configuration import RunConfiguration
from triton_users.run.coordinator import EXIT_USAGE, Coordinator
from triton_users.run.node import Node, set_tasks
from triton_users.run.snapshots import RESET_MESSAGE, MasterSide, WorkerSide
from triton_users.system.parent_death import forgive_forgotten_children

logger = logging.getLogger(__name__)

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
    add_hooks(environment)
    _listen_for_interrupts(environment)  # first, since the embedded Triton is started below
    runner = environment.runner
    if isinstance(runner, WorkerRunner):
        _install_worker(environment, runner)
    else:
        _install_coordinator(environment)


def _listen_for_interrupts(environment: Environment) -> None:
    """Ctrl+C, as Locust expects it, but to the main greenlet only, and once.

    Python would raise it in whichever greenlet happens to run: mostly a user in the middle of a request, which would
    be a failure of the server then, or be counted by half. A second one would break into the end, which takes its
    time but has its limits, and lose the last counts. A headless master that still waits for its workers does not
    expect it at all, and would leave those that came waiting for ever.
    """

    def interrupt() -> None:
        ignore_more()
        main = gevent.get_hub().parent
        if main is None:
            return
        runner: Any = environment.runner
        options: Any = environment.parsed_options
        if isinstance(runner, MasterRunner) and options.headless and runner.state == STATE_INIT:
            wanted, came = options.expect_workers, runner.worker_count
            logger.error("Interrupted before the run began: of %d workers %d had come", wanted, came)
            environment.events.quitting.fire(environment=environment, reverse=True)  # also sends the workers home
            gevent.kill(main, SystemExit(1))
        else:
            gevent.kill(main, KeyboardInterrupt)

    def ignore_more(**_: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # in force until the very end, when Python drops handlers

    gevent.signal_handler(signal.SIGINT, interrupt)
    environment.events.quitting.add_listener(ignore_more)


def _install_worker(environment: Environment, runner: WorkerRunner) -> None:
    node = Node(environment, runner.client_id)
    exchange = WorkerSide(environment, node.snapshot, node.reset)
    environment.reset_stats = False  # the master tells us when, so that Locust's counts and ours are reset as one

    def start(**_: Any) -> None:
        configuration = getattr(environment.parsed_options, "triton_run", None)  # from the master
        if configuration is None:
            logger.error("The master of this worker runs without this plugin: start both with the same locustfile")
            environment.process_exit_code = EXIT_USAGE
            gevent.spawn(runner.quit)
            return
        node.start(RunConfiguration.unpack(configuration))
        exchange.started()

    def on_quitting(**_: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, (environment.stop_timeout or 0) + QUIT_LIMIT_S)
        runner.stop()  # so that the last counts are sent before Locust says good-bye to the master
        node.end()

    on_test_start(environment, start)
    environment.events.quitting.add_listener(on_quitting)


def _install_coordinator(environment: Environment) -> None:
    runner: Any = environment.runner
    node = None if isinstance(runner, MasterRunner) else Node(environment, "local")
    quitting = RLock()

    def look() -> None:
        if node is not None:
            coordinator.merge(node.snapshot(final=False))

    coordinator = Coordinator(environment, look)
    coordinator.set_up()

    def start(**_: Any) -> None:
        configuration = coordinator.configure()
        if node is not None:
            node.start(configuration)
        else:
            set_tasks(environment, configuration.settings, configuration.left_out)

    def on_test_stop(**_: Any) -> None:
        if node is not None:
            coordinator.merge(node.snapshot(final=True))
            node.end()
        coordinator.finish("interrupted" if ending.is_set() else "finished")
        if not headless and coordinator.reporting is not None:
            print(coordinator.reporting.text(), flush=True)
        if headless and isinstance(runner, MasterRunner):
            gevent.spawn(runner.quit)  # a master that lost its last worker would wait for others

    def on_reset(**_: Any) -> None:
        counted = coordinator.reset()
        if not counted:
            return
        if node is not None:
            node.reset(counted)
        else:
            runner.send_message(RESET_MESSAGE, {"ledger": counted})

    def on_spawning_complete(**_: Any) -> None:
        if environment.reset_stats:
            on_reset()

    def on_quitting(**_: Any) -> None:
        # Locust may fire this twice at once (SIGTERM); the second caller must not go on to exit before the first.
        with quitting:
            ending.set()
            try:
                runner.quit()  # fires test_stop, if a test still runs
            finally:
                coordinator.tear_down()

    def on_quit(**_: Any) -> None:
        if headless and coordinator.reporting is not None and coordinator.reporting.finished:
            print(
                coordinator.reporting.text(), flush=True
            )  # below Locust's own tables: the verdict is the last thing seen

    headless = environment.parsed_options.headless  # type: ignore[union-attr]  # the locust command sets them
    ending = Event()
    on_test_start(environment, start)
    environment.events.test_stopping.add_listener(lambda **_: coordinator.stopping())
    environment.events.test_stop.add_listener(on_test_stop)
    environment.events.reset_stats.add_listener(on_reset)
    environment.events.spawning_complete.add_listener(on_spawning_complete)
    environment.events.quitting.add_listener(on_quitting)
    environment.events.quit.add_listener(on_quit)
    if isinstance(runner, MasterRunner):
        MasterSide(environment, coordinator.merge)
        forgive_forgotten_children()
    if environment.web_ui is not None:
        web.register(environment, lambda: coordinator.reporting)
