"""A whole search against a server whose limit is known, on a clock that runs as fast as it can."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.run.fakes import options
from triton_users.capacity.answer import Answer
from triton_users.capacity.level import parse_limits
from triton_users.capacity.search import Plan
from triton_users.capacity.settings import CapacitySettings
from triton_users.ledger import Ledger
from triton_users.run.capacity import CapacitySearch, Sample, lend_a_rate, plan_of, search_of
from triton_users.settings import UsageError

LIMITS = "p99_ms<50,failure_ratio<0.1%"
SETTINGS = CapacitySettings(find_capacity=parse_limits(LIMITS))
PLAN = Plan(100.0, 0.1, 1e6)


class QueueingServer:
    """One server with a queue, that the client's loads go to; time passes when somebody sleeps."""

    def __init__(self, service_s: Callable[[np.random.Generator, int], np.ndarray], seed: int = 1) -> None:
        """`service_s` draws how long so many requests take."""
        self._service_s = service_s
        self._draw = np.random.default_rng(seed)
        self._free_s = 0.0
        self._due = 0.0
        self._under_way = np.empty((0, 2))
        self.now_s = 0.0
        self.rate = 0.0
        self.ledger = Ledger()
        self.epoch = "one"
        self.workers = ["local"]
        self.loads: list[float] = []
        self.client_limited_from = np.inf
        """From this load on the client says that it is too slow."""
        self.answers = True
        self.poisson = False

    # Time, as the search has it.

    def clock(self) -> float:
        return self.now_s

    def sleep(self, for_s: float) -> None:
        count = int(self._draw.poisson(self.rate * for_s)) if self.poisson else int(self._due + self.rate * for_s)
        self._due = 0.0 if self.poisson else self._due + self.rate * for_s - count
        within = self._draw.uniform(0, for_s, count) if self.poisson else (np.arange(count) + 1) * for_s / (count + 1)
        due_s = self.now_s + np.sort(within)
        took_s = self._service_s(self._draw, count)
        before = np.cumsum(took_s) - took_s
        ended_s = np.maximum(np.maximum.accumulate(due_s - before), self._free_s) + before + took_s if count else due_s
        self._free_s = float(ended_s[-1]) if count else self._free_s
        self._under_way = np.concatenate([self._under_way, np.column_stack([due_s, ended_s])])
        self.now_s += for_s
        self.ledger.arrivals.prompt += count
        if self.answers:
            done = self._under_way[:, 1] <= self.now_s
            record = self.ledger.row("", "fake").record
            for latency_s in (self._under_way[done, 1] - self._under_way[done, 0]).tolist():
                record(int(latency_s * 1e6), 1, 10, 10)
            self._under_way = self._under_way[~done]

    # Loads, as the search has them.

    def make(self, load: float) -> None:
        self.loads.append(load)
        self.rate = load

    def ready(self, load: float) -> bool:
        return True

    def rest(self) -> None:
        self.rate = 0.0

    def sample(self) -> Sample:
        counts = {(worker, "1"): (self.now_s, Ledger.load(self.ledger.dump())) for worker in self.workers[:1]}
        counts |= {(worker, "1"): (self.now_s, Ledger()) for worker in self.workers[1:]}
        return Sample(self.now_s, self.epoch, counts, float(len(self._under_way)), 50)

    def limited(self, begun_s: float, ended_s: float) -> list[str]:
        return ["client-limited: CPU on worker local"] if self.loads[-1] >= self.client_limited_from else []


def steady(per_s: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    """Answers of about the same time: up to its limit this server is quick, and beyond it requests pile up."""
    return lambda draw, count: draw.uniform(0.5, 1.5, count) / per_s


def exponential(per_s: float) -> Callable[[np.random.Generator, int], np.ndarray]:
    return lambda draw, count: draw.exponential(1 / per_s, count)


def searched(server: QueueingServer, settings: CapacitySettings = SETTINGS, plan: Plan = PLAN) -> Answer:
    told: list[Answer] = []
    search = CapacitySearch(settings, plan, server, LIMITS, told.append, clock=server.clock, sleep=server.sleep)
    search.run()
    assert told[-1] == search.answer()
    return search.answer()


@pytest.mark.parametrize("seed", range(20))
def test_the_limit_of_a_server_is_found_within_five_percent(seed: int) -> None:
    limit = 130.0 * 1.13**seed
    answer = searched(QueueingServer(steady(limit), seed))
    assert answer.held == pytest.approx(limit, rel=0.05)
    assert answer.failed is not None
    assert answer.failed.of_server
    assert answer.settled


def test_a_queue_with_a_known_tail_is_found_where_theory_has_its_limit() -> None:
    """M/M/1: the 99th percentile of the time in the system is ln(100) / (service rate - arrival rate)."""
    server = QueueingServer(exponential(1000), seed=3)
    server.poisson = True
    answer = searched(server, replace(SETTINGS, capacity_level_s=60.0))
    assert answer.held == pytest.approx(1000 - np.log(100) / 0.05, rel=0.05)


def test_a_level_far_too_high_ends_early() -> None:
    server = QueueingServer(steady(110))
    longest = max(searched(server).levels, key=lambda level: level.load)
    assert (longest.load, longest.outcome) == (200.0, "too high")
    assert longest.seen.duration_s < SETTINGS.capacity_level_s


def test_requests_of_a_level_that_was_too_high_do_not_fail_the_next() -> None:
    server = QueueingServer(steady(300))
    outcomes = {level.load: level.outcome for level in searched(server).levels}
    assert server.loads[2:4] == [400.0, 283.0]
    assert (outcomes[400.0], outcomes[283.0]) == ("too high", "held")


def test_a_server_that_never_answers_holds_nothing() -> None:
    server = QueueingServer(steady(100))
    server.answers = False
    answer = searched(server)
    assert answer.held is None
    assert answer.reasons()[0].startswith("no capacity was found: no level held; ")


def test_a_client_that_is_the_limit_ends_the_search_as_that() -> None:
    server = QueueingServer(steady(300))
    server.client_limited_from = 300.0
    answer = searched(server)
    assert answer.held == pytest.approx(300, rel=0.06)
    assert "the client was the limit at" in answer.sentence()
    assert "not the server" in answer.sentence()
    assert answer.dump()["limited_by"] == "client-limited"


def test_levels_of_few_requests_take_as_long_as_their_percentile_needs() -> None:
    answer = searched(
        QueueingServer(steady(1000)), replace(SETTINGS, capacity_time_limit_s=200.0), plan=replace(PLAN, first=3.0)
    )
    first = answer.levels[0]
    assert (first.load, first.outcome) == (3.0, "held")
    assert first.seen.duration_s == pytest.approx(459 / 3, abs=3)


def test_a_search_ends_at_its_time_limit_with_what_is_known() -> None:
    answer = searched(QueueingServer(steady(1e5)), replace(SETTINGS, capacity_time_limit_s=30.0))
    assert (answer.held, answer.settled) == (200.0, False)
    assert answer.sentence() == (
        "200 arrivals/s held, the most that was tried (the search ended early: its time limit is 30 s)"
    )


def test_a_search_that_is_ended_says_so_with_what_is_known() -> None:
    server = QueueingServer(steady(1e5))
    search = CapacitySearch(SETTINGS, PLAN, server, LIMITS, lambda _: None, clock=server.clock, sleep=server.sleep)

    def told(answer: Answer) -> None:
        if len(answer.levels) == 2 and not search.stopped:
            search.broke_off("the run was ended")
            raise KeyboardInterrupt

    search.told = told
    with pytest.raises(KeyboardInterrupt):
        search.run()
    assert search.answer().sentence().endswith("(the search ended early: the run was ended)")
    assert search.answer().held == 200.0


def test_a_level_in_which_a_worker_comes_is_measured_again() -> None:
    server = QueueingServer(steady(1000))
    sleep = server.sleep

    def joined(for_s: float) -> None:
        sleep(for_s)
        if server.now_s > 8 and len(server.workers) == 1:
            server.workers.append("late")

    server.sleep = joined
    answer = searched(server)
    assert [(level.load, level.outcome) for level in answer.levels[:2]] == [(100, "not judged"), (100, "held")]
    assert answer.held == pytest.approx(1000, rel=0.05)


def test_workers_that_come_and_go_without_end_end_the_search() -> None:
    server = QueueingServer(steady(150))
    sleep = server.sleep

    def restless(for_s: float) -> None:
        sleep(for_s)
        server.epoch = str(server.now_s)

    server.sleep = restless
    answer = searched(server)
    assert answer.held is None
    assert "5 levels in a row could not be judged: the counts were reset meanwhile" in answer.sentence()


@pytest.mark.parametrize(
    ("at_least", "reasons"),
    [(0.0, []), (100.0, []), (400.0, ["the capacity is not at least 400 arrivals/s: "])],
)
def test_the_floor_that_is_asked_for_decides(at_least: float, reasons: list[str]) -> None:
    answer = searched(QueueingServer(steady(150)), replace(SETTINGS, capacity_at_least=at_least))
    assert len(answer.reasons()) == len(reasons)
    assert all(found.startswith(wanted) for found, wanted in zip(answer.reasons(), reasons, strict=True))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--find-capacity", "p99<50"), "find-capacity: 'p99<50': there is no metric"),
        (
            ("--find-capacity", "p99_ms<50", "--rate", "100 for 1m"),
            "a search sets the rate itself, so the rate 100 for 1m",
        ),
        (("--find-capacity", "p99_ms<50", "--rate", "1 to 9 in 5s"), "a search sets the rate itself"),
        (("--find-capacity", "p99_ms<50", "--arrivals", "a.csv"), "so a.csv cannot be kept"),
        (("--find-capacity", "p99_ms<50", "--capacity-over", "users", "--rate", "9"), "no arrival says when"),
        (("--capacity-at-least", "300"), "300 is of no use without a search"),
        (("--find-capacity", "p99_ms<50", "--capacity-level-s", "0"), "must be from 1 to 3600 s"),
        (("--find-capacity", "p99_ms<50", "--capacity-time-limit-s", "1"), "must be from 10 to"),
        (("--find-capacity", "p99_ms<50", "--capacity-warm-up-s", "-1"), "must be from 0 to 3600 s"),
    ],
)
def test_a_search_that_cannot_be_is_refused_with_what_would_be_right(
    arguments: tuple[str, ...], told: str, tmp_path: object
) -> None:
    with pytest.raises(UsageError) as refused:
        search_of(options(str(tmp_path), *arguments), shaped=False)
    assert told in str(refused.value)


def test_a_load_shape_and_a_search_cannot_both_say_how_much(tmp_path: object) -> None:
    with pytest.raises(UsageError, match="a load shape says how much load"):
        search_of(options(str(tmp_path), "--find-capacity", "p99_ms<50"), shaped=True)


def test_a_search_begins_at_the_rate_that_is_given_and_else_at_100(tmp_path: object) -> None:
    for arguments, first, lent in (((), 100.0, True), (("--rate", "700"), 700.0, False)):
        given = options(str(tmp_path), "--find-capacity", "p99_ms<50", *arguments)
        settings = search_of(given, shaped=False)
        assert lend_a_rate(settings, given) is lent
        assert plan_of(settings, given, users=50).first == first


def test_a_search_over_users_begins_with_those_of_the_run(tmp_path: object) -> None:
    given = options(str(tmp_path), "--find-capacity", "p99_ms<50", "--capacity-over", "users")
    settings = search_of(given, shaped=False)
    assert not lend_a_rate(settings, given)
    plan = plan_of(settings, given, users=4)
    assert (plan.first, plan.whole) == (4.0, True)
