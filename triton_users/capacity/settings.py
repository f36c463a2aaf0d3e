"""The options of a capacity search."""

from __future__ import annotations

from dataclasses import dataclass

from triton_users.capacity.level import parse_limits
from triton_users.declaration import UsageError, option
from triton_users.judge.thresholds import Threshold

RATE, USERS = "rate", "users"


@dataclass(frozen=True)
class CapacitySettings:
    """Whether a run searches for the highest load at which limits hold, and how."""

    find_capacity: tuple[Threshold, ...] = option(
        "",
        "Search for the highest load at which these limits hold, written as thresholds are, for instance "
        "p99_ms<50,failure_ratio<0.001. The run ends when it is found.",
        read=parse_limits,
    )
    capacity_over: str = option(
        RATE,
        "What a search goes over: arrivals a second, beginning with --rate (100 by default) and with -u as the most "
        "that can be under way, or users, beginning with -u.",
        choices=(RATE, USERS),
    )
    capacity_at_least: float = option(
        0.0,
        "Fail the run when the capacity that is found is lower than this; 0: any will do.",
        unit="arrivals a second or users",
        low=0,
        high=1e6,
    )
    capacity_level_s: float = option(
        10.0,
        "How long a level of a search is measured; longer, up to three times, where too few requests ended for its "
        "percentiles.",
        unit="s",
        low=1,
        high=3600,
        label="length of a level of the search",
    )
    capacity_warm_up_s: float = option(
        3.0,
        "How long a level's load is made before it is measured.",
        unit="s",
        low=0,
        high=3600,
        label="warm-up of a level of the search",
    )
    capacity_time_limit_s: float = option(
        1800.0,
        "When a search ends without its answer; what is known by then is reported.",
        unit="s",
        low=10,
        high=1e6,
        label="time limit of the search",
    )

    @property
    def searches(self) -> bool:
        return bool(self.find_capacity)

    @property
    def over_rate(self) -> bool:
        return self.searches and self.capacity_over == RATE

    def check(self) -> None:
        """Raise UsageError for settings that contradict each other."""
        if self.capacity_at_least and not self.searches:
            raise UsageError(
                f"capacity-at-least: {self.capacity_at_least:g} is of no use without a search; say what must hold, for "
                "instance --find-capacity p99_ms<50,failure_ratio<0.001"
            )
