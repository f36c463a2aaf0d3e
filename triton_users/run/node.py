"""What each node with users does in a run: takes the master's configuration over, sets the tasks, counts."""

from __future__ import annotations

import dataclasses
import gc
import logging
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triton_users import ledger
from triton_users.locust_compat.stack_of_stop import look_early
from triton_users.run.configuration import Run, RunConfiguration, left_out, weights
from triton_users.run.locust import Command
from triton_users.run.preflight import with_perf_analyzer
from triton_users.run.selfcheck import SelfCheck
from triton_users.scenarios import ALL
from triton_users.scenarios.streaming import open_sequences
from triton_users.stress import TritonLoadUser, TritonStressUser, expanded_tasks, runs_scenarios
from triton_users.system import scratch
from triton_users.users import TritonGrpcUser, own_host

logger = logging.getLogger(__name__)


class Node:
    """The local runner's or a worker's side of the plugin."""

    def __init__(self, command: Command, name: str) -> None:
        """`name`: this node's, as the master knows it. `listen` has it count."""
        self._command = command
        self.recorder = ledger.Recorder(worker=name, epoch="")
        self._rows: dict[tuple[str, str], ledger.Row] = {}
        self._begun_s = time.monotonic()
        self._self_check = SelfCheck(clock=self.elapsed_s, queue_time=self.recorder.ledger.queue_times)
        self._scratch: Path | None = None

    def listen(self, events: Any) -> None:
        """Count what these events say, Locust's and ours (`events.add_hooks`)."""
        events.request.add_listener(self._on_request)
        events.scenario_finished.add_listener(self._on_scenario_finished)
        events.deadline_exceeded.add_listener(self._on_deadline_exceeded)
        events.sequence_validation_failure.add_listener(self._on_sequence_validation_failure)
        events.request_unanswered.add_listener(self._on_request_unanswered)
        events.reconnected.add_listener(self._on_reconnected)
        events.deferred_checks_settled.add_listener(self._on_deferred_checks_settled)

    def start(self, configuration: RunConfiguration) -> Run:
        """Begin a run as the master configured it."""
        self.end()
        settings = configuration.settings
        target = with_perf_analyzer(configuration.target, configuration.host or self._command.host)
        scenarios = runs_scenarios(self._command.user_classes)
        local_reasons = left_out(target, dataclasses.replace(settings, scenarios=())) if scenarios else {}
        for name in local_reasons.keys() - configuration.left_out.keys():
            logger.warning("This worker leaves %s out: %s", name, local_reasons[name])
        self._scratch = scratch.make()
        run = Run(
            run_id=configuration.run_id,
            settings=settings,
            target=target,
            left_out={**configuration.left_out, **local_reasons},
            worker=self._command.worker_index,
            scratch=self._scratch,
        )
        for name in weights(settings, run.left_out) if scenarios else ():
            ALL[name].prepare(run.shared)
        look_early()
        gc.collect()
        gc.freeze()  # what lives by now lives to the end: later collections need not look at it, so they pause less
        self._command.give_to_users(run)
        set_tasks(self._command, dataclasses.replace(configuration, left_out=run.left_out))
        self.reset(configuration.epoch)
        self._self_check.start()
        return run

    def end(self) -> None:
        """Stop watching this process, and remove what the run left on disk. Safe to call twice."""
        self._self_check.stop()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def reset(self, epoch: str) -> None:
        """Forget all counts; what comes is of `epoch` from here on (`ledger.Recorder.epoch`)."""
        self.recorder.reset(epoch)
        self._begun_s = time.monotonic()
        self._self_check.reset()

    def snapshot(self, final: bool) -> dict[str, Any] | None:
        """This node's counts so far; None while there is no run."""
        if not self.recorder.epoch:
            return None
        users = self._command.users()
        sessions = [user.session for user in users if hasattr(user, "session")]  # a user that starts has none yet
        gauges = {
            "users": len(users),
            "open_sequences": sum(open_sequences(session).open_at(session.clock()) for session in sessions),
        }
        return self.recorder.snapshot(self.elapsed_s(), final=final, gauges=gauges, selfcheck=self._self_check.dump())

    def elapsed_s(self) -> float:
        """Seconds since the run began here."""
        return time.monotonic() - self._begun_s

    def _on_request(
        self,
        response_time: float,
        response_length: int,
        exception: BaseException | None,
        scenario: str = "",
        model: str = "",
        method: str = "",
        queue_time_ms: float = 0.0,
        request_length: int = 0,
        **_: Any,
    ) -> None:
        if not method:
            return  # not one of ours
        key = (scenario, model or method)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self.recorder.row(*key)
        if exception is None:
            row.record(int(response_time * 1e3), int(queue_time_ms * 1e3), request_length, response_length)
        else:
            row.record_error(str(exception), request_length, response_length)

    def _on_request_unanswered(self, scenario: str, model: str, method: str, waited_s: float, **_: Any) -> None:
        self.recorder.row(scenario, model or method).unanswered.record(int(waited_s * 1e6))

    def _on_reconnected(self, reason: str, **_: Any) -> None:
        self.recorder.reconnected(reason)

    def _on_scenario_finished(
        self,
        scenario: str,
        outcome: str,
        requests: int,
        duration_s: float,
        reason: str,
        record: Mapping[str, Any],
        **_: Any,
    ) -> None:
        self.recorder.run_finished(scenario, outcome, requests, int(duration_s * 1e6), reason)
        if outcome == "failed":
            self.recorder.failure(scenario, self.elapsed_s(), reason, record)

    def _on_deadline_exceeded(self, scenario: str, expected: bool, **_: Any) -> None:
        self.recorder.deadline_exceeded(scenario, expected)

    def _on_sequence_validation_failure(self, scenario: str, **_: Any) -> None:
        self.recorder.sequence_failure(scenario)

    def _on_deferred_checks_settled(self, scenario: str, confirmed: int, unchecked: int, **_: Any) -> None:
        self.recorder.deferred_checks_settled(scenario, confirmed, unchecked)


def set_tasks(command: Command, configuration: RunConfiguration) -> None:
    """Give the users their server, the stress users their scenarios and weights, and as many load users as asked for.

    Locust turned the weights into a list when it made the classes, so that is done again here.
    """
    settings = configuration.settings
    for user_class in command.user_classes:
        if configuration.host and issubclass(user_class, TritonGrpcUser) and not own_host(user_class):
            user_class.host = configuration.host
        if issubclass(user_class, TritonStressUser):
            user_class.tasks = expanded_tasks(weights(settings, configuration.left_out))
        elif issubclass(user_class, TritonLoadUser):
            user_class.fixed_count = settings.load_users
            user_class.weight = 0
