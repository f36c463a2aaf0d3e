"""One run of the test: the master settles it once, and how it travels to the workers. Sends nothing."""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from triton_users.scenarios import ALL
from triton_users.scenarios.base import Target
from triton_users.scenarios.sequences import USERS
from triton_users.settings import Settings, UsageError


@dataclass
class Run:
    """What every user of this process needs to know of the run."""

    run_id: int
    """Random, drawn once for the whole run: it keeps two runs' correlation ids apart (`sequences.id_block`)."""
    settings: Settings
    target: Target
    left_out: Mapping[str, str]
    """Scenarios that were not asked for by name and cannot run here, and why."""
    worker: int
    """Number of this worker; 0 in a local run."""
    scratch: Path
    """A folder of this process, removed at the end of the run."""
    shared: dict[str, Any] = field(default_factory=dict)
    """What all users of this process share (`scenarios.Session.shared`)."""
    _users: count[int] = field(default_factory=count)

    def next_user(self) -> int:
        """Number of the user that starts now, from 0 in each worker and each run."""
        return next(self._users) % USERS

    def draw(self, user: int, number: int) -> random.Random:
        """The random generator of a user's `number`-th run of a scenario.

        It depends on the seed, the worker and the user alone, not on what earlier runs met: that makes a plan
        repeatable, and a single run of it too.
        """
        return random.Random(f"{self.settings.seed}/{self.worker}/{user}/{number}")


def weights(settings: Settings, left_out: Mapping[str, str]) -> dict[str, int]:
    """The scenarios that run, and how often each is picked."""
    picked = {name: settings.weight_of(name) for name in ALL if name not in left_out}
    return {name: weight for name, weight in picked.items() if weight}


def new_run_id() -> int:
    return secrets.randbits(63)


def new_seed() -> int:
    """A seed for a run that was given none; short enough to type."""
    return secrets.randbelow(2**31 - 1) + 1


def left_out(target: Target, settings: Settings) -> dict[str, str]:
    """The scenarios that cannot run against this server, with the reason and the remedy.

    Raises UsageError when one of them was asked for by name, or when none is left.
    """
    reasons: dict[str, str] = {}
    for name, scenario in ALL.items():
        if settings.weight_of(name) and (reason := scenario.unavailable(target, settings)):
            if name in settings.scenarios:
                raise UsageError(f"{name} was asked for but cannot run: {reason}")
            reasons[name] = reason
    if all(name in reasons for name in ALL if settings.weight_of(name)):
        raise UsageError(
            "no scenario can run against this server: "
            + "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        )
    return reasons


@dataclass(frozen=True)
class RunConfiguration:
    """What the master settles once for all workers of a run."""

    run_id: int
    settings: Settings
    """From the options at the run's start; those that a worker is sent later may be others."""
    target: Target
    left_out: Mapping[str, str]
    epoch: str
    """Names what the ledgers count; new for each run and for each reset of the statistics."""

    def pack(self) -> dict[str, Any]:
        """As plain values, for Locust's message to the workers."""
        return {**asdict(self), "target": {**asdict(self.target), "models": sorted(self.target.models)}}

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> RunConfiguration:
        """The inverse of `pack`."""
        settings, target = packed["settings"], packed["target"]
        lists = {name: tuple(value) for name, value in settings.items() if isinstance(value, (list, tuple))}
        return cls(
            **{
                **packed,
                "settings": Settings(**{**settings, **lists}),
                "target": Target(
                    **{
                        **target,
                        "models": frozenset(target["models"]),
                        "perf_analyzer": tuple(target["perf_analyzer"]),
                        "perf_analyzer_env": tuple((name, value) for name, value in target["perf_analyzer_env"]),
                    }
                ),
            }
        )
