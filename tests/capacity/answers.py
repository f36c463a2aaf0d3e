"""Answers of a search, made by hand."""

from triton_users.capacity.answer import Answer
from triton_users.capacity.level import Level, Outcome, Seen
from triton_users.capacity.search import Plan
from triton_users.ledger import Ledger

LIMITS = "p99_ms<50,failure_ratio<0.1%"


def level(load: float, outcome: Outcome = "held", why: str = "", ms: float = 5.0) -> Level:
    counted = Ledger()
    for _ in range(600):
        counted.row("", "bert").record(int(ms * 1e3), 1, 10, 10)
    return Level(Seen(load, load, load + 10.0, counted, 10.0, in_flight=(1.0, 2.0)), outcome, why)


def answer(*levels: Level, stopped: str = "", at_least: float = 0.0, is_rate: bool = True) -> Answer:
    return Answer(Plan(100.0, 0.1, 1e6), LIMITS, is_rate, levels, stopped, at_least)


FAILED = "p99_ms<50 does not hold: it is 71.2"

FOUND = answer(
    level(100),
    level(200, ms=8.0),
    level(400, "too high", "requests under way grew from 9 to 300", ms=900.0),
    level(283, ms=20.0),
    level(336, "failed", FAILED, ms=71.2),
    level(297, ms=22.0),
    level(308, "failed", FAILED, ms=71.2),
    level(308, "failed", FAILED, ms=71.2),
    level(297, ms=22.0),
    level(308, "failed", FAILED, ms=71.2),
)
"""A search that came to its end: 297 held, 308 did not."""
