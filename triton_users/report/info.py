"""What is known of a run beside what it counts: the constants of its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from triton_users.capacity.answer import Answer
from triton_users.judge import client_limited
from triton_users.judge.thresholds import Threshold
from triton_users.judge.trends import Pool, TrendLimits
from triton_users.witness.seen import Absence


@dataclass(frozen=True)
class RunInfo:
    """What is known of a run before it has counted anything."""

    started: datetime
    """When second 0 of the run was, with a time zone."""
    seed: int
    settings: Mapping[str, Any]
    """The run's constants, by name."""
    weights: Mapping[str, int] = field(default_factory=dict)
    """The scenarios of this run and how often each is picked; empty where the locustfile has none."""
    descriptions: Mapping[str, str] = field(default_factory=dict)
    """Scenario -> one line about it."""
    asked_by_name: Sequence[str] = ()
    """Scenarios the user named."""
    allow_failure: Sequence[str] = ()
    """Scenarios whose failures are counted and shown but do not fail the run."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Scenario that nobody named and that cannot run here -> why, and what to do about it."""
    thresholds: Sequence[Threshold] = ()
    goodput: Sequence[Threshold] = ()
    """What a request must keep to be a good one."""
    limits: client_limited.Limits = field(default_factory=client_limited.Limits)
    fail_on_bottleneck: bool = False
    fail_on_too_few_requests: bool = False
    capacity: Answer | None = None
    """What a search for the highest load that holds has found so far; None: there is none."""
    arrivals: str = ""
    """What an open loop's schedule is, in words; "" for a closed one."""
    fail_on_missed_rate: bool = False
    server: Mapping[str, Any] = field(default_factory=dict)
    """"name", "version", "address" and "models" (a list of names) of the server under test."""
    reproduce: str = ""
    """The command that makes the same plan again."""
    trends: TrendLimits = field(default_factory=TrendLimits)
    pool: Pool | None = None
    """What an embedded server keeps on purpose."""
    notes: Sequence[str] = ()
    """What a person should know of this run beside what it counted; fails nothing."""
    at_the_start: Sequence[str] = ()
    """What was wrong with the server when it began, a sentence each; fails it."""
    slow_questions: Sequence[tuple[float, float]] = ()
    """From when to when a question that is no work to the server waited long for its answer, in seconds of the run."""
    at_the_end: Sequence[str] = ()
    """What was wrong with the server when it ended, a sentence each; fails it."""
    incomplete: Sequence[str] = ()
    """Why it, or its report, is not whole, a sentence each; fails it."""
    absences: Sequence[Absence] = ()
    """Models that were not ready for a while."""
    allow_restarts: bool = False
    """Whether the server may be started again, and models be away for a while."""
    fail_on_other_traffic: bool = False
