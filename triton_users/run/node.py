"""What each node with users does in a run: takes the master's configuration over, sets the tasks, counts."""

from __future__ import annotations

import dataclasses
import gc
import logging
import math
import shutil
import time
import traceback
from collections.abc import Mapping
from typing import Any

import gevent

from triton_users import ledger
from triton_users.arrivals.settings import ArrivalSettings
from triton_users.client.own_checks import CheckFailure
from triton_users.client.rpc_events import RequestFailure
from triton_users.declaration import read
from triton_users.exports.options import ExportSettings
from triton_users.exports.request_log import RequestLog, file_for
from triton_users.inputs import load
from triton_users.judge.goodput import Limits, is_good, limits_for, parse_goodput
from triton_users.ledger.lateness import LATE_S
from triton_users.ledger.plain import cut
from triton_users.locust_compat.stack_of_stop import look_early
from triton_users.run import trace_names
from triton_users.run.configuration import Run, RunConfiguration, left_out, weights
from triton_users.run.locust import Command
from triton_users.run.models import adopt, in_a_thread
from triton_users.run.open_loop import OpenLoop
from triton_users.run.pace import Order
from triton_users.run.preflight import with_perf_analyzer
from triton_users.run.selfcheck import SelfCheck
from triton_users.scenarios import Catalogue
from triton_users.scenarios.base import SENT_ELSEWHERE
from triton_users.scenarios.model_load import pool_key
from triton_users.scenarios.open_sequences import open_sequences
from triton_users.settings import ConnectionSettings
from triton_users.stress import TritonLoadUser, TritonStressUser, expanded_tasks, runs_scenarios
from triton_users.system import descriptors, scratch
from triton_users.users import TritonGrpcUser, own_host

logger = logging.getLogger(__name__)

LOCAL = "local"
"""The name of the node of a run without workers."""
HURRY_LIMIT_S = 8.0
"""How long users that are stopping may take when somebody ends the run, in seconds: answers that are under way, and
what their scenarios close, have five."""
POLL_S = 0.02
"""How often that is looked at, in seconds."""


class Node:
    """The local runner's or a worker's side of the plugin."""

    def __init__(self, command: Command, name: str) -> None:
        """`name`: this node's, as the master knows it. `listen` has it count."""
        self._command = command
        self.recorder = ledger.Recorder(worker=name, epoch="")
        self._rows: dict[tuple[str, str], ledger.Row] = {}
        self._begun_s = time.monotonic()
        self._slot_wait_s = math.inf
        self._self_check = SelfCheck(clock=self.elapsed_s, queue_time=self.recorder.ledger.queue_times)
        self._run: Run | None = None
        self._goodput: Limits = ()
        self._limits: dict[tuple[str, str], Limits] = {}
        """Those of `_goodput` that each row's requests are held against."""
        self._requests: Any = None
        self._request_log: RequestLog | None = None
        descriptors.raise_limit()
        self._slot_scenarios: frozenset[str] = frozenset()
        self._open_loop: OpenLoop | None = None

    def listen(self, events: Any) -> None:
        """Count what these events say, Locust's and ours (`events.add_hooks`)."""
        self._requests = events.request
        events.request.add_listener(self._on_request)
        events.scenario_finished.add_listener(self._on_scenario_finished)
        events.deadline_exceeded.add_listener(self._on_deadline_exceeded)
        events.sequence_validation_failure.add_listener(self._on_sequence_validation_failure)
        events.request_unanswered.add_listener(self._on_request_unanswered)
        events.reconnected.add_listener(self._on_reconnected)
        events.deferred_checks_settled.add_listener(self._on_deferred_checks_settled)
        events.user_error.add_listener(self._on_user_error)

    def start(self, configuration: RunConfiguration) -> Run:
        """Begin a run as the master configured it. UsageError when a model's input data cannot be used here."""
        self.end()
        settings = configuration.settings
        connection, host = read(ConnectionSettings, self._command.options), configuration.host or self._command.host
        target = with_perf_analyzer(configuration.target, host, connection)
        scenarios = runs_scenarios(self._command.user_classes)
        local_reasons = left_out(target, settings, of_this_machine=True) if scenarios else {}
        for name in local_reasons.keys() - configuration.left_out.keys():
            logger.warning("This worker leaves %s out: %s", name, local_reasons[name])
        run = Run(
            run_id=configuration.run_id,
            settings=settings,
            target=target,
            left_out={**configuration.left_out, **local_reasons},
            worker=self._command.worker_index,
            scratch=scratch.make(),
        )
        known = configuration.scenarios
        for name in weights(settings, run.left_out) if scenarios else ():
            known[name].prepare(run.shared, target, settings)
        load.forget(but={model.name for model in configuration.models})
        for model in configuration.models:
            run.shared[pool_key(model.name)] = in_a_thread(model.pool, settings.seed)
        adopt(configuration.models, self._command.user_classes, known)
        self._slot_scenarios = frozenset(name for name, each in known.items() if each.waits_for_a_slot)
        arrivals = read(ArrivalSettings, self._command.options)
        if arrivals.open:
            counts = self.recorder.ledger.arrivals
            self._open_loop = OpenLoop(arrivals, self.recorder.worker, counts, configuration.trace)
            names = trace_names.known(self._command.user_classes, configuration)
            trace_names.check(self._open_loop.named, names, lambda model: run.shared[pool_key(model)])
            self._open_loop.start()
        self._begin_request_log()
        look_early()
        gc.collect()
        gc.freeze()  # what lives by now lives to the end: later collections need not look at it, so they pause less
        self._command.give_to_users(run)
        self._run = run
        self._goodput = parse_goodput(configuration.goodput)
        self._limits.clear()
        self._slot_wait_s = settings.idle_limit_s + settings.idle_margin_s
        set_tasks(self._command, dataclasses.replace(configuration, left_out=run.left_out), known)
        self.reset(configuration.epoch)
        self._self_check.start()
        return run

    def _begin_request_log(self) -> None:
        if name := read(ExportSettings, self._command.options).request_log:
            self._request_log = RequestLog(
                file_for(name, "" if self.recorder.worker == LOCAL else self.recorder.worker)
            )
            self._requests.add_listener(self._request_log.taken)

    def follow(self, order: Order) -> None:
        """Take over what the master says of arrivals; of no use where there is no run, or none with a rate."""
        if self._open_loop is not None:
            self._open_loop.follow(order)

    def stopping(self) -> None:
        """Users have the order to stop: nothing arrives any more."""
        if self._open_loop is not None:
            self._open_loop.stop()

    def hurry(self, stopping: bool) -> None:
        """Somebody ends the run: users that stop wait for nothing any more.

        `stopping`: they have the order to stop already; then they have ended when this returns.
        """
        if self._run is not None:
            self._run.hurry()
        if stopping:
            self.wait_for_users()

    def wait_for_users(self) -> None:
        """Until the users that stop have ended, for at most HURRY_LIMIT_S: what they still have under way is counted.

        Locust waits for none that it had told before, when their number went down, and says that all have stopped.
        """
        limit_s = time.monotonic() + HURRY_LIMIT_S
        while self._command.has_users and time.monotonic() < limit_s:
            gevent.sleep(POLL_S)

    def end(self) -> None:
        """Stop watching this process, and remove what the run left on disk. Safe to call twice."""
        self._self_check.stop()
        log, self._request_log = self._request_log, None
        if log is not None:
            self._requests.remove_listener(log.taken)
            log.close()
        open_loop, self._open_loop = self._open_loop, None
        if open_loop is not None:
            open_loop.close()
        if self._run is not None:
            shutil.rmtree(self._run.scratch, ignore_errors=True)

    def reset(self, epoch: str) -> None:
        """Forget all counts; what comes is of `epoch` from here on (`ledger.Recorder.epoch`)."""
        self.recorder.reset(epoch)
        self._begun_s = time.monotonic()
        self._self_check.reset()

    def snapshot(self, final: bool) -> dict[str, Any] | None:
        """This node's counts so far; None while there is no run."""
        if not self.recorder.epoch:
            return None
        if self._open_loop is not None:
            self._open_loop.expire()
        users = self._command.users()
        sessions = [user.session for user in users if hasattr(user, "session")]  # a user that starts has none yet
        gauges = {
            "users": len(users),
            "open_sequences": sum(open_sequences(session).open_at(session.clock()) for session in sessions),
            **(self._open_loop.gauges(users) if self._open_loop is not None else {}),
        }
        return self.recorder.snapshot(
            self.elapsed_s(),
            final=final,
            gauges=gauges,
            selfcheck=self._self_check.dump(),
            sent_elsewhere=self._run.shared.get(SENT_ELSEWHERE) if self._run is not None else None,
        )

    def elapsed_s(self) -> float:
        """Seconds since the run began here."""
        return time.monotonic() - self._begun_s

    def _on_request(
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        response_length: int | None,
        exception: BaseException | None,
        response: Any = None,
        scenario: str = "",
        model: str = "",
        method: str = "",
        queue_time_ms: float | None = None,
        request_length: int = 0,
        measures: ledger.Measures | None = None,
        by_order: bool = False,
        expected_error: BaseException | None = None,
        **_: Any,
    ) -> None:
        key = (scenario, model or method or f"{request_type} {name}")  # without a method it is another client's
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = self.recorder.row(*key)
        latency_us, received = int((response_time or 0) * 1e3), response_length or 0
        if method and response is not None:
            now_s = self.elapsed_s()
            if self.recorder.outages.open:
                self.recorder.outages.answered(now_s)
            floor_s = self._slot_wait_s if scenario in self._slot_scenarios else LATE_S
            service = measures.get("service") if measures else None  # what the server took, whenever it was to begin
            service_us = service[0] if isinstance(service, tuple) else latency_us
            self.recorder.lateness.answered(now_s, scenario, key[1], row, service_us / 1e6, floor_s)
        if exception is not None:
            row.record_error(str(exception) or repr(exception), request_length, received)
            if isinstance(exception, RequestFailure) and exception.unreachable:
                self.recorder.outages.failed(self.elapsed_s(), cut(exception.message()))
            if not scenario:
                what = {"request": key[1], "error": str(exception), **_told_of(exception, model, method)}
                self.recorder.failure("", self.elapsed_s(), f"{key[1]}: {exception}", what)
        elif queue_time_ms is None:
            row.record_elsewhere(latency_us, received)
        else:
            row.record(latency_us, int(queue_time_ms * 1e3), request_length, received)
            if measures:
                row.measure(measures)
        if by_order:
            row.by_order += 1
        if model and method:  # an inference request of our own clients
            error = exception or expected_error
            status = error.status() if isinstance(error, RequestFailure) else None
            self.recorder.ledger.answers_of(model).ended(status, failed=error is not None)
        if self._goodput:
            limits = self._limits.get(key)
            if limits is None:
                limits = self._limits[key] = limits_for(self._goodput, scenario, model)
            if limits:
                row.judged += 1
                row.good += exception is None and is_good(limits, latency_us, measures)

    def _on_user_error(self, user_instance: Any, exception: BaseException, tb: Any, **_: Any) -> None:
        user = getattr(user_instance, "user", user_instance)  # Locust also gives a user's tasks
        if getattr(user, "played_error", None) is exception:
            return  # it is a scenario's failed run
        text = f"{type(exception).__name__}: {exception}"
        self.recorder.exception(text)
        where = "".join(traceback.format_exception(type(exception), exception, tb))
        record = {"user": type(user).__name__, "traceback": where}
        self.recorder.failure("", self.elapsed_s(), f"{type(user).__name__} raised {text}", record)

    def _on_request_unanswered(
        self, scenario: str, model: str, method: str, waited_s: float, busy: bool = False, **_: Any
    ) -> None:
        judged_s = 0.0 if busy else waited_s  # the wait for a server that is at work says nothing against it
        self.recorder.row(scenario, model or method).unanswered.record(int(judged_s * 1e6))
        if model:
            self.recorder.ledger.answers_of(model).unknown += 1

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
        excusable: bool = True,
        answers_checked: int = 0,
        **_: Any,
    ) -> None:
        duration_us = int(duration_s * 1e6)
        self.recorder.run_finished(
            scenario, outcome, requests, duration_us, reason, excusable=excusable, answers_checked=answers_checked
        )
        if outcome == "failed":
            self.recorder.failure(scenario, self.elapsed_s(), reason, record)

    def _on_deadline_exceeded(self, scenario: str, expected: bool, **_: Any) -> None:
        self.recorder.deadline_exceeded(scenario, expected)

    def _on_sequence_validation_failure(self, scenario: str, **_: Any) -> None:
        self.recorder.sequence_failure(scenario)

    def _on_deferred_checks_settled(
        self, scenario: str, confirmed: int, unchecked: int, requests: int = 0, **_: Any
    ) -> None:
        self.recorder.deferred_checks_settled(scenario, confirmed, unchecked, requests)


def _told_of(exception: BaseException, model: str, method: str) -> dict[str, Any]:
    """What a failed request of the user's own is recorded with, beside its error."""
    told: dict[str, Any] = {"model": model, "method": method}
    if isinstance(exception, RequestFailure):
        told |= {"status": exception.status() or "", "message": exception.message()}
    if isinstance(exception, CheckFailure):
        told["evidence"] = ledger.plain(exception.evidence)
    return {name: value for name, value in told.items() if value}


def set_tasks(command: Command, configuration: RunConfiguration, scenarios: Catalogue) -> None:
    """Give the users their server, the stress users their scenarios and weights, and as many load users as asked for.

    Locust turned the weights into a list when it made the classes, so that is done again here.
    """
    settings = configuration.settings
    for user_class in command.user_classes:
        if configuration.host and issubclass(user_class, TritonGrpcUser) and not own_host(user_class):
            user_class.host = configuration.host
        if issubclass(user_class, TritonStressUser):
            user_class.tasks = expanded_tasks(weights(settings, configuration.left_out), scenarios)
        elif issubclass(user_class, TritonLoadUser):
            user_class.fixed_count = settings.load_users
            user_class.weight = 0
