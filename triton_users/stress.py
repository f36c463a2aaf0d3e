"""The stress test's Locust users: each picks scenarios by weight, plays them and fires an event for each."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any

import gevent
from locust import tag
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from tritonclient.utils import InferenceServerException

from triton_users.ledger import plain
from triton_users.ledger.plain import MAX_PLAN_ITEMS
from triton_users.locust_compat.tasks import pick_with_a_generator_of_ones_own
from triton_users.run.configuration import Run
from triton_users.scenarios import ALL, Catalogue
from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Skip
from triton_users.scenarios.correlation_ids import id_block
from triton_users.scenarios.perf_analyzer import ImageLoad
from triton_users.settings import DEFAULT_WEIGHTS
from triton_users.users import TritonGrpcUser

if TYPE_CHECKING:
    from locust.env import Environment

logger = logging.getLogger(__name__)

Task = Callable[["ScenarioUser"], None]

FAILURE_PAUSE_S = 0.25
"""How long a user pauses after a failed run: a server that is gone would fail thousands of them a second."""

LOGGED_FAILURES = 10
"""Failures of each scenario, on each worker, that the log shows at once; after that one every LOG_EVERY_S."""
LOG_EVERY_S = 60.0

MAX_PARTNERS = 8
"""Runs of other users that a failure's record has with it: about 300 bytes each. Picked arbitrarily."""

#: What Locust itself raises through a task; none of it says anything about the server.
_LOCUST_CONTROL = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser)


class ScenarioUser(TritonGrpcUser):
    """A user whose tasks are scenarios. Needs the plugin (`triton_users.plugin.install`)."""

    abstract = True

    played_error: Exception | None = None
    """The last exception that a run of a scenario was counted as failed for; Locust is told of it too."""

    stop_timeout_s: float = 3.0
    """How long a stopping user's scenarios may take to end what they have open, in seconds."""

    def on_start(self) -> None:
        self.run_of_test: Run = self.environment.triton_run  # the plugin set it
        self.number = self.run_of_test.next_user()
        self.plays = 0
        self._scenarios: dict[type[Scenario], Scenario] = {}
        self._signals = _Signals(self.environment)
        run = self.run_of_test
        self.draw = run.plan_random(self.number)
        self._under_way: UnderWay = run.shared.setdefault("under way", UnderWay())
        self.session = Session(
            settings=run.settings,
            target=run.target,
            client=self.client,
            connect=self.connect,
            signals=self._signals,
            correlation_ids=id_block(run.run_id, run.worker, self.number),
            scratch=run.scratch,
            clock=time.monotonic,
            sleep=gevent.sleep,
            headers=self._connection_settings.grpc_header,
            shared=run.shared,
        )
        pick_with_a_generator_of_ones_own(self, self._next_task)

    def _next_task(self) -> Task:
        self.draw.begin(self.plays)
        self.plays += 1
        tasks: list[Task] = self.tasks  # type: ignore[assignment]  # our tasks are functions of a user
        picked = self.draw.choice(tasks) if len(tasks) > 1 else tasks[0]
        return picked if self.plays > 1 else next(self._first_picks(), picked)

    def _first_picks(self) -> Iterator[Task]:
        """Each task once, the rarest first: what the users of this process begin with, one each in their order.

        So a run of minutes has every scenario in it, even one that is picked once in 143 times. Later picks go by
        weight alone.
        """
        shared, name = self.session.shared, f"first picks of {type(self).__name__}"
        if name not in shared:
            times = Counter(self.tasks)
            shared[name] = iter(sorted(times, key=times.__getitem__))
        picks: Iterator[Task] = shared[name]
        return picks

    def play(self, scenario_type: type[Scenario]) -> None:
        """Plan and run one scenario, and fire `scenario_finished`."""
        scenario = self._scenarios.get(scenario_type)
        if scenario is None:
            scenario = self._scenarios[scenario_type] = scenario_type(self.session)
        entry = self.arrival.input if self.arrival is not None else ""
        plan = scenario.plan_for(entry, self.draw) if entry else scenario.plan(self.draw)
        self._under_way.begins(self.number, scenario.name, plan)
        self.rpc_events.scenario = self._signals.scenario = scenario.name
        outcome, requests, checked, reason, evidence, excusable = "", 0, 0, "", {}, True
        begun_s = self.rpc_events.intended_s or time.perf_counter()
        try:
            requests = scenario.run(plan)
            checked = scenario.answers_checked(plan, requests)
            outcome = "passed"
        except Skip as skip:
            outcome, requests, reason = "skipped", skip.requests, str(skip)
        except ScenarioFailure as failure:
            outcome, requests, reason, evidence = "failed", failure.requests, str(failure), failure.evidence
            excusable = failure.excusable
        except InferenceServerException as error:
            outcome, reason = "failed", str(error)
        except _LOCUST_CONTROL:
            raise
        except Exception as error:  # ours to fix, so it must be seen: Locust shows it with its traceback
            outcome, reason = "failed", f"{type(error).__name__}: {error}"
            self.played_error = error
            raise
        finally:
            self.rpc_events.scenario, self.rpc_events.intended_s = "", None
            if outcome:  # none when Locust stopped the user in the middle of it
                duration_s = time.perf_counter() - begun_s
                self._finished(scenario, plan, outcome, requests, checked, duration_s, reason, evidence, excusable)
            self._under_way.ends(self.number)
        if outcome == "failed" and not self.rpc_events.open_loop:
            gevent.sleep(FAILURE_PAUSE_S)

    def _finished(
        self,
        scenario: Scenario,
        plan: Any,
        outcome: str,
        requests: int,
        checked: int,
        duration_s: float,
        reason: str,
        evidence: dict[str, Any],
        excusable: bool,
    ) -> None:
        run = self.run_of_test
        record: dict[str, Any] = {}
        if outcome == "failed":
            record = {
                "seed": run.settings.seed,
                "worker": run.worker,
                "user": self.number,
                "number": self.plays - 1,
                "plan": plain(asdict(plan), most=MAX_PLAN_ITEMS),
                "evidence": plain(evidence),
                "under_way": self._under_way.beside(self.number),
            }
            log: FailureLog = run.shared.setdefault("failure log", FailureLog(time.monotonic))
            log.failed(scenario.name, reason)
        self.environment.events.scenario_finished.fire(
            scenario=scenario.name,
            outcome=outcome,
            requests=requests,
            answers_checked=checked,
            duration_s=duration_s,
            reason=reason,
            record=record,
            excusable=excusable,
        )

    def on_stop(self) -> None:
        try:
            self.run_of_test.wait_for(self._make_deferred_checks, self.session.settings.deferred_check_wait_s)
        finally:  # Locust may kill a user that takes its time
            with gevent.Timeout(self.stop_timeout_s, False):  # type: ignore[arg-type]  # False: no exception
                for scenario in self._scenarios.values():
                    self.rpc_events.scenario = self._signals.scenario = scenario.name
                    scenario.close()

    def _make_deferred_checks(self) -> None:
        """Make the checks that runs put off, each when it is due."""
        for scenario in self._scenarios.values():
            while (deferred := scenario.next_deferred()) is not None:
                plan, due_s = deferred
                gevent.sleep(max(0.0, due_s - time.monotonic()))
                self._make_deferred_check(scenario, plan)

    def _make_deferred_check(self, scenario: Scenario, plan: Any) -> None:
        self.rpc_events.scenario = self._signals.scenario = scenario.name
        begun_s = time.perf_counter()
        try:
            requests = scenario.check_deferred()
        except ScenarioFailure as failure:
            duration_s = time.perf_counter() - begun_s
            told, excusable = str(failure), failure.excusable
            self._finished(scenario, plan, "failed", failure.requests, 0, duration_s, told, failure.evidence, excusable)
        else:
            self._signals.deferred_checks_settled(requests=requests)
        finally:
            self.rpc_events.scenario = ""


@cache  # so that a task is the same each time, as Locust's weights and first picks need
def _task(scenario_type: type[Scenario]) -> Task:
    def play(user: ScenarioUser) -> None:
        user.play(scenario_type)

    play.__name__ = scenario_type.name
    play.__doc__ = scenario_type.description
    return tag(scenario_type.name)(play)


class TritonStressUser(ScenarioUser):
    """Triton's long-running stress test: nine scenarios, picked by weight. A run may have others (`expanded_tasks`)."""

    tasks = {_task(ALL[name]): weight for name, weight in DEFAULT_WEIGHTS.items()}  # type: ignore[assignment]  # noqa: RUF012


class TritonLoadUser(ScenarioUser):
    """Only runs perf_analyzer on the image model, to keep the device busy. There are `--load-users` of them."""

    takes_arrivals = False

    tasks = [_task(ImageLoad)]  # noqa: RUF012 - Locust's own form


def runs_scenarios(user_classes: Iterable[type]) -> bool:
    """Whether there are users that pick scenarios among them; a locustfile with users of its own need not have any."""
    return any(issubclass(user_class, TritonStressUser) for user_class in user_classes)


def expanded_tasks(weights: Mapping[str, int], scenarios: Catalogue) -> list[Task]:
    """Locust's own form of weighted tasks: each task, tagged with its name, as often as its weight says."""
    return [_task(scenarios[name]) for name, weight in weights.items() for _ in range(weight)]


class UnderWay:
    """The runs of scenarios that this process's users are at: what may have to go on for a failure to show again."""

    def __init__(self) -> None:
        self._runs: dict[int, tuple[str, Any]] = {}
        """User -> scenario and plan."""

    def begins(self, user: int, scenario: str, plan: Any) -> None:
        self._runs[user] = (scenario, plan)

    def ends(self, user: int) -> None:
        self._runs.pop(user, None)

    def beside(self, user: int) -> list[dict[str, Any]]:
        """Those of other users, as a failure's record has them: the MAX_PARTNERS that began last."""
        others = [(scenario, plan) for other, (scenario, plan) in self._runs.items() if other != user]
        return [
            {"scenario": scenario, "plan": plain(asdict(plan), most=MAX_PLAN_ITEMS)}
            for scenario, plan in others[-MAX_PARTNERS:]
        ]


class FailureLog:
    """Logs failures, but not each of the thousands that a dead server makes in a night."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._logged: dict[str, tuple[int, float]] = {}
        """Scenario -> how many of its failures were logged, and when the last one was."""
        self._left_out: dict[str, int] = {}
        """Scenario -> how many were not, since then."""

    def failed(self, scenario: str, reason: str) -> None:
        """Log it, or count it towards the next one that is logged."""
        number, last_s = self._logged.get(scenario, (0, 0.0))
        if number >= LOGGED_FAILURES and self._clock() - last_s < LOG_EVERY_S:
            self._left_out[scenario] = self._left_out.get(scenario, 0) + 1
            return
        self._logged[scenario] = (number + 1, self._clock())
        more = self._left_out.pop(scenario, 0)
        logger.warning("%s failed: %s%s", scenario, reason, f" (and {more} more before that)" if more else "")


class _Signals:
    """Fires our events for one user; `scenario` is the one that plays, or closes, now."""

    def __init__(self, environment: Environment) -> None:
        self._events: Any = environment.events
        self.scenario = ""

    def deadline_exceeded(self, *, model: str, expected: bool, elapsed_s: float, limit_s: float) -> None:
        self._events.deadline_exceeded.fire(
            scenario=self.scenario, model=model, expected=expected, elapsed_s=elapsed_s, limit_s=limit_s
        )

    def sequence_validation_failure(
        self, *, model: str, correlation_id: int | str, step: int, expected: Any, got: Any, steps: list[Any]
    ) -> None:
        self._events.sequence_validation_failure.fire(
            scenario=self.scenario,
            model=model,
            correlation_id=correlation_id,
            step=step,
            expected=expected,
            got=got,
            steps=steps,
        )

    def deferred_checks_settled(self, *, confirmed: int = 0, unchecked: int = 0, requests: int = 0) -> None:
        self._events.deferred_checks_settled.fire(
            scenario=self.scenario, confirmed=confirmed, unchecked=unchecked, requests=requests
        )
