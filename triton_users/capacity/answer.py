"""What a capacity search found, in words and as plain values for the report (docs/capacity.md). Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from triton_users.capacity.level import Level
from triton_users.capacity.search import MAX_LEVELS, Plan, Tried, bracket, contradictions, settled
from triton_users.ledger import Row

MAX_WARNED = 3
"""Contradictions that are named; more say no more."""


@dataclass(frozen=True)
class Answer:
    """What is known after these levels."""

    plan: Plan
    limits: str
    """What had to hold."""
    is_rate: bool
    levels: Sequence[Level]
    """In the order in which they were measured."""
    stopped: str = ""
    """Why the search was ended before it had its answer; "" when it had it, or goes on."""
    at_least: float = 0.0
    """What the user wants it to be; 0: nothing."""

    @property
    def held(self) -> float | None:
        """The highest load that held."""
        return bracket(tried(self.levels)).held

    @property
    def failed(self) -> Level | None:
        """The lowest level that did not; of its measurements the last, or the last that says it of the server."""
        load = bracket(tried(self.levels)).failed
        failed = [level for level in self.levels if level.load == load and not level.held]
        return next((level for level in reversed(failed) if level.of_server), failed[-1] if failed else None)

    @property
    def settled(self) -> bool:
        """Whether the search came to its end by itself."""
        return settled(self.plan, tried(self.levels))

    @property
    def unit(self) -> str:
        return "arrivals/s" if self.is_rate else "users"

    def amount(self, load: float) -> str:
        """A load in words."""
        return f"{load:,.6g} {self.unit}"

    def sentence(self) -> str:
        """What was found, in one sentence."""
        held, failed = self.held, self.failed
        early = f" (the search ended early: {self.stopped})" if self.stopped else ""
        if not self.levels:
            return f"no level was measured{early}"
        if held is None and failed is None:
            return f"no level could be judged: {self.levels[-1].why}{early}"
        if failed is None:
            assert held is not None
            most = "the most that is tried" if held >= self.plan.highest else "the most that was tried"
            return f"{self.amount(held)} held, {most}{early}"
        known = f"{self.amount(held)} held" if held is not None else "no level held"
        return f"{known}; {self._of(failed)}{early}"

    def reasons(self) -> list[str]:
        """Why the run fails for what was found, a sentence each."""
        held = self.held
        if self.at_least and (held is None or held < self.at_least):
            return [f"the capacity is not at least {self.amount(self.at_least)}: {self.sentence()}"]
        return [f"no capacity was found: {self.sentence()}"] if held is None else []

    def warnings(self) -> list[str]:
        """What a person should know of how it was found."""
        said = []
        pairs = contradictions(tried(self.levels))
        for good, bad in pairs[:MAX_WARNED]:
            both = f"{self.amount(good)} held and {self.amount(bad)} did not"
            once = f"{self.amount(good)} held once and failed once"
            said.append(f"the capacity is not steady: {once if good == bad else both}")
        if len(tried(self.levels)) >= MAX_LEVELS:
            said.append(f"the search did not come to an end within {MAX_LEVELS} levels")
        failed = self.failed
        if failed is not None and not failed.of_server and self.held is not None:
            said.append(f"the server's own limit was not found: {self._of(failed)}")
        return said

    def dump(self) -> dict[str, Any]:
        """Plain values."""
        failed = self.failed
        return {
            "over": "rate" if self.is_rate else "users",
            "unit": self.unit,
            "limits": self.limits,
            "held": self.held,
            "failed": None if failed is None else failed.load,
            "why": "" if failed is None else failed.why,
            "limited_by": "" if failed is None else "server" if failed.of_server else failed.outcome,
            "at_least": self.at_least,
            "settled": self.settled,
            "stopped": self.stopped,
            "sentence": self.sentence(),
            "levels": [_dumped(level) for level in self.levels],
        }

    def _of(self, failed: Level) -> str:
        load = self.amount(failed.load)
        if failed.outcome == "client-limited":
            return f"the client was the limit at {load}, not the server: {failed.why}"
        if failed.outcome == "users busy":
            return f"the number of users was the limit at {load}, not the server: {failed.why}"
        if failed.outcome == "too high":
            return f"{load} was too high: {failed.why}"
        return f"{load} did not: {failed.why}"


def tried(levels: Iterable[Level]) -> list[Tried]:
    """What the search goes by."""
    return [Tried(level.load, level.held) for level in levels if level.outcome != "not judged"]


def _dumped(level: Level) -> dict[str, Any]:
    seen = level.seen
    requests = Row.together(seen.counted.rows.values())
    return {
        "load": level.load,
        "outcome": level.outcome,
        "why": level.why,
        "start_s": round(seen.begun_s, 3),
        "end_s": round(seen.ended_s, 3),
        "requests": requests.requests,
        "failed": requests.failed,
        "requests_per_s": round(requests.answered / seen.duration_s, 3) if seen.duration_s > 0 else 0.0,
        "in_flight": round(seen.in_flight[-1], 3) if seen.in_flight else None,
        **{
            f"{name}_ms": None if value is None else round(value / 1e3, 3)
            for name, value in zip(("p50", "p95", "p99"), requests.latency.quantiles([0.5, 0.95, 0.99]), strict=True)
        },
        "max_ms": requests.latency.max_us / 1e3 if requests.answered else None,
        "checks": [
            {"text": str(check.threshold), "shown": check.shown, "result": check.result} for check in level.checks
        ],
    }
