"""What the local runner or the master does: decides the run, collects all counts, gives the verdict. Has no users."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Mapping
from typing import Any

import gevent
from gevent.lock import RLock
from locust.env import Environment
from locust.exception import StopTest

from triton_users import server
from triton_users.options import settings_from
from triton_users.reporting import Reporting
from triton_users.run import Decided, left_out, new_number, new_seed
from triton_users.settings import UsageError
from triton_users.survey import survey, with_perf_analyzer
from triton_users.users import tls_from

logger = logging.getLogger(__name__)

EXIT_USAGE = 2
"""The exit code after a user's mistake."""


class Lead:
    """The local runner's or the master's side of the plugin."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._options: Any = environment.parsed_options
        self._embedded: server.EmbeddedTriton | None = None
        self._ending = RLock()
        self.reporting: Reporting | None = None

    def set_up(self) -> None:
        """Check the options and, where no host was given, install and start the embedded Triton.

        Called once, before the first run. Ends the program with exit code 2 on a user's mistake.
        """
        try:
            settings_from(self._options, drawn_seed=1)
            tls_from(self._options)
            if not self._environment.host:
                self._embedded = server.EmbeddedTriton()
                self._embedded.start()
                self._environment.host = f"grpc://{self._embedded.grpc_url}"
                self._options.host = self._environment.host
            elif self._options.headless:
                survey(self._environment.host, tls_from(self._options))
        except (UsageError, OSError, server.ServerError) as error:
            self.tear_down()
            sys.stderr.write(f"locust: error: {error}\n")
            sys.exit(EXIT_USAGE)
        except BaseException:
            self.tear_down()
            raise

    def tear_down(self) -> None:
        """Stop the embedded Triton. Safe to call twice."""
        if self._embedded is not None:
            self._embedded.stop()
            self._embedded = None

    def decide(self) -> Decided:
        """Settle a new run, and leave what the workers must know in the options that Locust sends them.

        Raises StopTest, with the exit code set, when it cannot run.
        """
        environment = self._environment
        host = environment.host or ""
        try:
            settings = settings_from(self._options, drawn_seed=new_seed())
            target = with_perf_analyzer(survey(host, tls_from(self._options)), host)
            reasons = left_out(target, settings)
        except UsageError as error:
            environment.process_exit_code = EXIT_USAGE
            if self._options.headless:
                gevent.spawn(environment.runner.quit)  # type: ignore[union-attr]  # a test starts on a runner
            raise StopTest(str(error)) from None
        for name, reason in reasons.items():
            logger.warning("%s is left out: %s", name, reason)
        decided = Decided(new_number(), settings.seed, target, reasons, ledger=secrets.token_hex(8))
        self._options.triton_run = decided.pack()  # Locust sends its options to the workers when it spawns users
        self.reporting = Reporting(environment, settings, decided)
        return decided

    def merge(self, snapshot: Mapping[str, Any]) -> None:
        """Take in a node's counts."""
        if self.reporting is not None:
            self.reporting.merge(snapshot)

    def missing(self, workers: set[str]) -> set[str]:
        """Which of these workers have not sent their last counts of this run."""
        return set() if self.reporting is None else self.reporting.missing(workers)

    def finish(self) -> None:
        """Write the run's report and settle the exit code. The second of two calls waits for the first."""
        with self._ending:
            if self.reporting is not None and not self.reporting.finished:
                self._environment.process_exit_code = self.reporting.finish()
