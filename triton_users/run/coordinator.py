"""What the local runner or the master does: settles each run, has it begin and end, prints its verdict. Has no users.

What there is of one run while it lasts is `under_way.RunUnderWay`.
"""

from __future__ import annotations

import logging
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any, Protocol, TextIO

from gevent.lock import RLock

from triton_users import server
from triton_users.capacity.settings import CapacitySettings
from triton_users.declaration import EXIT_USAGE, read
from triton_users.exports.options import ExportSettings
from triton_users.exports.request_log import file_for
from triton_users.exports.serving import PrometheusServer
from triton_users.inputs import load
from triton_users.inputs.options import ModelSettings
from triton_users.options import judging_from, report_dir_from, settings_from
from triton_users.report import RunInfo
from triton_users.run import reproduce, trace_names
from triton_users.run.configuration import (
    RunConfiguration,
    check_descriptors,
    check_users,
    host_of_classes,
    new_run_id,
    new_seed,
    no_models_for_nobody,
    only_tagged,
    weights,
)
from triton_users.run.embedded import Embedded
from triton_users.run.locust import Command
from triton_users.run.models import in_a_thread, own_models, settle
from triton_users.run.pace import Order
from triton_users.run.preflight import Preflight, look_at
from triton_users.run.reporting import Reporting
from triton_users.run.sampling import Sampler
from triton_users.run.steering import Steering
from triton_users.run.under_way import RunUnderWay
from triton_users.run.watch import ServerWatch
from triton_users.server.options import ServerSettings
from triton_users.settings import ConnectionSettings, Settings, UsageError, WitnessSettings
from triton_users.stress import TritonLoadUser, runs_scenarios
from triton_users.users import own_host

logger = logging.getLogger(__name__)


class Nodes(Protocol):
    """Those who have users: `snapshots.LocalNode`, or all workers through `snapshots.SnapshotCollector`."""

    def start(self, configuration: RunConfiguration) -> None: ...
    def poll(self) -> Mapping[str, Any] | None: ...
    def with_users(self) -> list[str]: ...
    def arrivals(self, order: Order) -> None: ...
    def ask(self) -> None: ...
    def reset(self, epoch: str) -> None: ...
    def stopping(self, stop_timeout_s: float) -> None: ...
    def hurry(self) -> None: ...
    def last(self) -> Mapping[str, Any] | None: ...


class Coordinator:
    """The local runner's or the master's side of the plugin."""

    def __init__(self, command: Command, nodes: Nodes) -> None:
        self._command = command
        self._nodes = nodes
        self._host = ""
        self._embedded = Embedded()
        self._prometheus: PrometheusServer | None = None
        self._quitting = RLock()
        self._interrupted = False
        self._configuration: RunConfiguration | None = None
        self._refused = False
        """Whether the newest run could not start, which has an exit code of its own."""
        self._run: RunUnderWay | None = None
        """The newest run that could."""

    @property
    def host(self) -> str:
        """The server under test."""
        return self._command.host or self._host

    @property
    def reporting(self) -> Reporting | None:
        """The newest run's; None before the first."""
        return self._run.reporting if self._run is not None else None

    def set_up(self) -> None:
        """Check the options and, where no host was given, install and start the embedded Triton.

        Called once, before the first run; without a web UI that run is checked now. Ends the program with exit code 2
        on a user's mistake.
        """
        try:
            self._set_up()
        except (UsageError, OSError, server.ServerError) as error:
            self.tear_down()
            sys.stderr.write(f"locust: error: {error}\n")
            sys.exit(EXIT_USAGE)
        except BaseException:
            self.tear_down()
            raise

    def _set_up(self) -> None:
        command, options = self._command, self._command.options
        settings = self._settings(drawn_seed=1)
        judging_from(options)
        read(ConnectionSettings, options)
        Steering(command, self._nodes, settings.seed).stopped()  # as a check only
        read(WitnessSettings, options)
        report_dir_from(options)
        exports = read(ExportSettings, options)
        if exports.request_log:
            file_for(exports.request_log)
        if exports.prometheus_port:
            self._prometheus = PrometheusServer(exports, lambda: self.reporting)
        self._host = host_of_classes(command.user_classes)
        wanted = read(ServerSettings, options)
        if not self.host:
            self._embedded.start(wanted)
            self._host = self._embedded.host
        self.use(wanted)
        if not any(map(own_host, command.user_classes)):
            command.host = self.host  # where a class has its own, Locust would replace that
        if options.headless:
            self._preflight(settings)

    def tear_down(self) -> None:
        """Stop the embedded Triton, and answering Prometheus. Safe to call twice."""
        if self._prometheus is not None:
            self._prometheus.stop()
        self._embedded.stop()

    def use(self, wanted: ServerSettings, host: str = "") -> None:
        """Have the wanted release of the embedded Triton run, for a run against `host` (default: the one in force).

        UsageError or ServerError when that cannot be.
        """
        self._embedded.change_to(wanted, host or self.host)

    def start(self) -> None:
        """Settle a new run and have its nodes begin it; one that cannot run is refused."""
        self._refused = False
        begun_s = time.monotonic()
        try:
            configuration = self._configure(begun_s)
        except (UsageError, OSError, server.ServerError) as error:
            self._refused = True
            self._command.refuse_to_start(str(error))
        for name, reason in configuration.left_out.items():
            logger.warning("%s is left out: %s", name, reason)
        self._settle(configuration)
        self._nodes.start(configuration)

    def refused(self, why: str) -> None:
        """A worker cannot take part: the run is not what was asked for, so it fails, and headless it ends."""
        logger.error("%s", why)
        if self._run is not None:
            self._run.refused(why)
        if self._command.options.headless:
            self._command.quit()

    def merge(self, snapshot: Mapping[str, Any] | None) -> bool:
        """Take in a node's counts, None when it has none yet; False when they are of another epoch."""
        return self.reporting is None or snapshot is None or self.reporting.merge(snapshot)

    def reset(self) -> None:
        """Forget all counts of the run, as Locust does with its statistics, and begin another report."""
        if self._run is None or self._configuration is None:
            return
        configuration = replace(self._configuration, epoch=secrets.token_hex(8))
        if self._run.reset(configuration.epoch):
            self._settle(configuration)
            self._nodes.reset(configuration.epoch)

    def spawned(self) -> None:
        """All users are there, at the start or after their number was changed."""
        if self._run is not None:
            self._run.steering.spawned()

    def set_rate(self, text: str) -> None:
        """Have arrivals come at another rate on the whole cluster, within a second: `--rate` as a person writes it.

        A new schedule begins with it, phases and all; what is due by then stays due. Raises UsageError when there is
        no run with a rate, or this is none.
        """
        if self._run is None:
            raise UsageError("rate: there is no run yet; start one with --rate")
        self._run.steering.set_rate(text)

    def stopping(self) -> None:
        """The run ends now: what comes until `stopped` is the time that its users take to stop."""
        if self._run is not None:
            self._run.stopping()
        self._nodes.stopping(self._command.stop_timeout_s or self._command.options.deferred_check_wait_s)

    def stopped(self) -> None:
        """All users have ended: write the run's report and settle the exit code.

        The second of two calls waits for the first.
        """
        self._end()
        if self._command.options.headless:
            if self._command.distributed:
                self._command.quit()  # a master that lost its last worker would wait for others
        else:
            self._print_report()

    def quit(self) -> None:
        """End the run, if one goes on, and the embedded server.

        Locust may ask for it twice at once (SIGTERM): the second caller must not go on to exit before the first.
        """
        with self._quitting:
            self._interrupted = True
            try:
                self._nodes.hurry()
                self._command.stop()
                self._end()  # waits for the end of a run that was being stopped already
                if self.reporting is None and self._command.options.headless and not self._refused:
                    logger.error("Nothing ran: the command ended before its test had begun")
                    self._command.exit_with(1)
            finally:
                self.tear_down()

    def hurry(self) -> None:
        """Somebody ends the run: users that stop wait for nothing."""
        self._nodes.hurry()

    def quitted(self) -> None:
        """The command is at its end, and Locust has printed its tables: the verdict is the last thing seen."""
        if self._command.options.headless:
            self._print_report()

    def _configure(self, begun_s: float) -> RunConfiguration:
        command, options = self._command, self._command.options
        settings = self._settings(drawn_seed=new_seed())
        judging = judging_from(options)
        steering = Steering(command, self._nodes, settings.seed)
        self.use(read(ServerSettings, options))
        preflight = self._preflight(settings)
        connection = read(ConnectionSettings, options)
        sent = read(ModelSettings, options)
        models = settle(self.host, connection, settings, sent, command.user_classes)
        configuration = RunConfiguration(
            run_id=new_run_id(),
            settings=settings,
            target=preflight.target,
            left_out=preflight.left_out,
            host="" if command.host else self._host,
            epoch=secrets.token_hex(8),
            models=models,
            trace=steering.trace,
            goodput=getattr(options, "goodput", ""),
        )
        pools = {each.name: each.pool for each in models}
        names = trace_names.known(command.user_classes, configuration)
        trace_names.check(steering.named, names, lambda model: in_a_thread(pools[model], settings.seed))
        if command.distributed:
            load.forget()  # the workers read the input data too; here it was tried
        info = _info(configuration, self.host, connection)
        info = replace(info, settings={**info.settings, **(asdict(sent) if settings.models else {})})
        info = replace(info, notes=preflight.notes, at_the_start=preflight.failed_to_load)
        embedded = self._embedded if self.host == self._embedded.host else None
        if embedded is not None:
            info = replace(info, pool=embedded.pool)
        info = replace(info, arrivals=steering.described, fail_on_missed_rate=steering.fail_on_missed_rate)
        info = replace(info, **judging, reproduce=self._reproduce(settings.seed))
        if not runs_scenarios(command.user_classes):
            info = replace(info, weights={})
        self._run = RunUnderWay(
            command,
            self._nodes,
            info,
            configuration.epoch,
            steering=steering,
            sampler=self._sampler_for(connection, preflight, embedded),
            watch=ServerWatch(self.host, connection, preflight.found),
            embedded=embedded,
            begun_s=begun_s,
        )
        self._run.begin()
        for note in (*preflight.notes, *preflight.failed_to_load):
            logger.warning("%s%s", note[:1].upper(), note[1:])
        return configuration

    def _sampler_for(self, connection: ConnectionSettings, preflight: Preflight, embedded: Embedded | None) -> Sampler:
        urls = read(WitnessSettings, self._command.options).metrics_url
        return Sampler(
            self.host,
            connection,
            models=sorted(preflight.target.models),
            metrics_urls=(embedded.metrics_url, *urls) if embedded is not None else urls,
            pid=embedded.pid if embedded is not None else 0,
        )

    def _settings(self, drawn_seed: int) -> Settings:
        command = self._command
        settings = settings_from(command.options, drawn_seed, own_models(command.user_classes))
        if not command.shaped:
            check_descriptors(command.options, distributed=command.distributed)
        if runs_scenarios(command.user_classes):
            settings = only_tagged(settings, *command.tags)
            if not command.shaped and any(issubclass(each, TritonLoadUser) for each in command.user_classes):
                check_users(settings, command.options.num_users or (1 if command.options.headless else 0))
        else:
            no_models_for_nobody(settings)
        return settings

    def _preflight(self, settings: Settings) -> Preflight:
        command, options = self._command, self._command.options
        connection, judging = read(ConnectionSettings, options), judging_from(options)
        scenarios = runs_scenarios(command.user_classes)
        thresholds = (*judging["thresholds"], *read(CapacitySettings, options).find_capacity)
        own = own_models(command.user_classes)
        return look_at(
            self.host,
            connection,
            settings,
            thresholds,
            scenarios=scenarios,
            own_models=own,
            goodput=judging["goodput"],
        )

    def _reproduce(self, seed: int) -> str:
        host = "" if self.host == self._embedded.host else self._command.host  # a class says its own again
        return reproduce.command(self._command.options, seed, host=host, workers=self._command.worker_count)

    def _settle(self, configuration: RunConfiguration) -> None:
        self._configuration = configuration
        self._command.send_with_orders(configuration.pack())

    def _end(self) -> None:
        self.merge(self._nodes.last())
        if self._run is not None:
            self._run.finish("interrupted" if self._interrupted else "finished")

    def _print_report(self) -> None:
        if self.reporting is not None and self.reporting.finished:
            # with Locust's `--json` standard output is JSON that other programs read
            to = sys.stderr if getattr(self._command.options, "json", False) else sys.stdout
            print_what_the_terminal_can_show(self.reporting.text(), to)


def print_what_the_terminal_can_show(text: str, to: TextIO) -> None:
    """Print `text`; characters that cannot be encoded there are written as escapes."""
    encoding = to.encoding or "ascii"
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=to, flush=True)


def _info(configuration: RunConfiguration, host: str, connection: ConnectionSettings) -> RunInfo:
    settings = configuration.settings
    name, _, version = configuration.target.server_version.partition(" ")
    return RunInfo(
        started=datetime.now(timezone.utc),
        seed=settings.seed,
        settings={**asdict(settings), "connections": connection.connections},
        weights=weights(settings, configuration.left_out),
        descriptions={name: scenario.description for name, scenario in configuration.scenarios.items()},
        asked_by_name=settings.asked_by_name,
        allow_failure=settings.allow_failure,
        left_out=configuration.left_out,
        server={"name": name, "version": version, "address": host, "models": sorted(configuration.target.models)},
    )
