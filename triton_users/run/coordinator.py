"""What the local runner or the master does: decides the run, collects all counts, gives the verdict. Has no users."""

from __future__ import annotations

import logging
import math
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any

import gevent
from gevent.lock import RLock
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import MasterRunner

from triton_users import server
from triton_users.declaration import read
from triton_users.judge.client_limited import hms
from triton_users.judge.thresholds import JudgingSettings
from triton_users.options import judging_from, report_dir_from, settings_from
from triton_users.report import RunInfo
from triton_users.report.build import State
from triton_users.run import reproduce
from triton_users.run.configuration import RunConfiguration, new_run_id, new_seed, weights
from triton_users.run.preflight import Preflight, look_at
from triton_users.run.reporting import Reporting
from triton_users.run.watch import ServerWatch
from triton_users.scenarios import ALL
from triton_users.settings import ConnectionSettings, Settings, UsageError
from triton_users.stress import runs_scenarios

logger = logging.getLogger(__name__)

RUN_TIME_MARGIN_S = 1.0
"""How much earlier than its run time a run may seem to end, in seconds: Locust's clock for it starts before ours."""

EXIT_USAGE = 2
"""The exit code after a user's mistake."""
EXIT_INTERRUPTED = 1
"""The exit code after an interrupt before the run: it has not passed."""


class Coordinator:
    """The local runner's or the master's side of the plugin."""

    def __init__(self, environment: Environment, look: Callable[[], None]) -> None:
        """`look` is called every second of a run."""
        self._environment = environment
        self._options: Any = environment.parsed_options
        self._look = look
        self._embedded: server.EmbeddedTriton | None = None
        self._ending = RLock()
        self._configuration: RunConfiguration | None = None
        self._begun_s = 0.0
        self._stopping_s = math.inf
        self._watch: ServerWatch | None = None
        self.reporting: Reporting | None = None

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
        except KeyboardInterrupt:  # the plugin sees to it that there is one, and in this greenlet
            self.tear_down()
            sys.stderr.write("locust: interrupted before the run began\n")
            sys.exit(EXIT_INTERRUPTED)
        except BaseException:
            self.tear_down()
            raise

    def _set_up(self) -> None:
        settings_from(self._options, drawn_seed=1)
        judging_from(self._options)
        read(ConnectionSettings, self._options)
        report_dir_from(self._options)
        if not self._environment.host:
            with server.ProgressLine() as progress:
                self._embedded = server.EmbeddedTriton(progress=progress)
                self._embedded.start()
            self._environment.host = self._options.host = f"grpc://{self._embedded.grpc_url}"
        if self._options.headless:
            self._look_at_the_server(settings_from(self._options, drawn_seed=1))

    def tear_down(self) -> None:
        """Stop the embedded Triton. Safe to call twice."""
        embedded, self._embedded = self._embedded, None
        if embedded is not None:
            for trouble in embedded.troubles:
                logger.warning("The embedded Triton: %s", trouble)
            embedded.stop()

    def configure(self) -> RunConfiguration:
        """Settle a new run, and leave what the workers must know in the options that Locust sends them.

        Raises StopTest, with the exit code set, when it cannot run.
        """
        self._begun_s, self._stopping_s = time.monotonic(), math.inf
        environment, options = self._environment, self._options
        host = environment.host or ""
        try:
            settings = settings_from(options, drawn_seed=new_seed())
            judging = judging_from(options)
            preflight = self._look_at_the_server(settings)
            configuration = RunConfiguration(
                run_id=new_run_id(),
                settings=settings,
                target=preflight.target,
                left_out=preflight.left_out,
                ledger=secrets.token_hex(8),
            )
            info = _info(configuration, host, read(ConnectionSettings, options))
            info = replace(info, notes=preflight.notes, at_the_start=preflight.failed_to_load)
            info = replace(info, **judging, reproduce=self._command(settings.seed))
            if not runs_scenarios(environment):
                info = replace(info, weights={})
            self.reporting = Reporting(info, report_dir_from(options), configuration.ledger, self._look)
        except (UsageError, OSError) as error:
            environment.process_exit_code = EXIT_USAGE
            if options.headless:
                gevent.spawn(environment.runner.quit)  # type: ignore[union-attr]  # a test starts on a runner
            raise StopTest(str(error)) from None
        self._watch = ServerWatch(host, read(ConnectionSettings, options), preflight.found)
        self._watch.start()
        for told in (*preflight.notes, *preflight.failed_to_load):
            logger.warning("%s%s", told[:1].upper(), told[1:])
        for name, reason in configuration.left_out.items():
            logger.warning("%s is left out: %s", name, reason)
        self._send_with_options(configuration)
        return configuration

    def merge(self, snapshot: Mapping[str, Any] | None) -> bool:
        """Take in a node's counts, None when it has none yet; False when they are of an earlier run or reset."""
        return self.reporting is None or snapshot is None or self.reporting.merge(snapshot)

    def reset(self) -> str:
        """Forget all counts of the run, as Locust does with its statistics, and begin another report.

        Returns the name of what is counted now; "" when it goes on counting as before.
        """
        with self._ending:
            if self.reporting is None or self._configuration is None or self.reporting.finished:
                return ""
            configuration = replace(self._configuration, ledger=secrets.token_hex(8))
            try:
                self.reporting.reset(configuration.ledger)
            except OSError as error:
                logger.error("The report's counts are not reset, since their report cannot be written: %s", error)
                return ""
            self._send_with_options(configuration)
            return configuration.ledger

    def stopping(self) -> None:
        """The run ends now: what comes until `finish` is the time that its users take to stop."""
        self._stopping_s = min(self._stopping_s, time.monotonic())

    def finish(self, state: State) -> None:
        """Write the run's report and settle the exit code. The second of two calls waits for the first."""
        with self._ending:
            reporting = self.reporting
            if reporting is None or reporting.finished:
                return
            try:
                self._environment.process_exit_code = reporting.finish(state, **self._ending_of(reporting))
            except OSError as error:
                logger.error("The report cannot be written: %s", error)
                self._environment.process_exit_code = EXIT_USAGE
            finally:
                if self._watch is not None:
                    self._watch.stop()

    def _at_the_end(self, reporting: Reporting) -> list[str]:
        lost = "it ended because all its workers were lost" if reporting.all_lost else ""
        server = self._watch.at_the_end(reporting.begun_s) if self._watch is not None else []
        died = self._embedded.how_it_ended() if self._embedded is not None else ""
        return [reason for reason in (died, self._cut_short(), lost, *server) if reason]

    def _ending_of(self, reporting: Reporting) -> dict[str, Any]:
        at_the_end, watch, begun_s = self._at_the_end(reporting), self._watch, reporting.begun_s
        if watch is None:
            return {"at_the_end": at_the_end}
        return {
            "at_the_end": at_the_end,
            "notes": watch.absences(begun_s),
            "slow_questions": watch.slow_questions(begun_s),
        }

    def _cut_short(self) -> str:
        """How far the run came, when it was given a run time and did not come so far."""
        shape = self._environment.shape_class
        wanted_s = self._options.run_time if shape is None or shape.use_common_options else None
        ran_s = min(self._stopping_s, time.monotonic()) - self._begun_s
        if not wanted_s or ran_s >= wanted_s - RUN_TIME_MARGIN_S:
            return ""
        return f"it ended after {hms(ran_s)} of the {hms(wanted_s)} it was to run"

    def _look_at_the_server(self, settings: Settings) -> Preflight:
        host, scenarios = self._environment.host or "", runs_scenarios(self._environment)
        connection, judging = read(ConnectionSettings, self._options), read(JudgingSettings, self._options)
        return look_at(host, connection, settings, judging.thresholds, scenarios=scenarios)

    def _command(self, seed: int) -> str:
        runner: Any = self._environment.runner
        host = "" if self._embedded else self._environment.host or ""
        workers = runner.worker_count if isinstance(runner, MasterRunner) else 0
        return reproduce.command(self._options, seed, host=host, workers=workers)

    def _send_with_options(self, configuration: RunConfiguration) -> None:
        self._configuration = configuration
        self._options.triton_run = configuration.pack()  # Locust sends its options to the workers when it spawns users


def _info(configuration: RunConfiguration, host: str, connection: ConnectionSettings) -> RunInfo:
    settings = configuration.settings
    name, _, version = configuration.target.server_version.partition(" ")
    return RunInfo(
        started=datetime.now(timezone.utc),
        seed=settings.seed,
        settings={**asdict(settings), "connections": connection.connections},
        weights=weights(settings, configuration.left_out),
        descriptions={name: scenario.description for name, scenario in ALL.items()},
        asked_by_name=settings.scenarios,
        allow_failure=settings.allow_failure,
        left_out=configuration.left_out,
        server={"name": name, "version": version, "address": host, "models": sorted(configuration.target.models)},
    )
