"""One run of the test: the master settles it once, and how it travels to the workers. Sends nothing."""

from __future__ import annotations

import math
import secrets
from argparse import Namespace
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import gevent
from gevent import Greenlet
from locust import User

from triton_users.declaration import read
from triton_users.image_model.tensors import ImageTensors
from triton_users.inputs.traffic import ModelTraffic
from triton_users.run.plan_random import PlanRandom
from triton_users.scenarios import ALL, Catalogue, catalogue
from triton_users.scenarios.base import Target
from triton_users.scenarios.correlation_ids import USERS
from triton_users.scenarios.perf_analyzer import ImageLoad
from triton_users.settings import DEFAULT_WEIGHTS, ConnectionSettings, Settings, UsageError
from triton_users.system import descriptors
from triton_users.users import TritonGrpcUser, own_host

MAX_NAMED = 10
"""Models of the server that the message names when none of them is of use."""


@dataclass
class Run:
    """What every user of this process needs to know of the run."""

    run_id: int
    """Random, drawn once for the whole run: it keeps two runs' correlation ids apart (`correlation_ids.id_block`)."""
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
    hurried: bool = False
    """Whether somebody ends the run, so that stopping users wait for nothing."""
    _waits: set[Greenlet[..., Any]] = field(default_factory=set)
    """What stopping users wait for."""
    _users: count[int] = field(default_factory=count)

    def wait_for(self, work: Callable[[], None], limit_s: float) -> None:
        """Let the stopping user that calls this do some last work, for at most `limit_s` or until `hurry` is called."""
        if self.hurried or limit_s <= 0:
            return
        job = gevent.spawn(work)
        self._waits.add(job)
        try:
            job.join(limit_s)
        finally:
            job.kill()
            self._waits.discard(job)

    def hurry(self) -> None:
        """End what stopping users wait for, now and from here on."""
        self.hurried = True
        gevent.killall(list(self._waits), block=False)

    def next_user(self) -> int:
        """Number of the user that starts now, from 0 in each worker and each run."""
        return next(self._users) % USERS

    def plan_random(self, user: int) -> PlanRandom:
        """The random numbers of a user's plans.

        Those of each plan depend on the seed, the worker, the user and its number alone, not on what earlier runs met:
        that makes a plan repeatable, and a single run of it too.
        """
        return PlanRandom(f"{self.settings.seed} {self.worker} {user}".encode())


def weights(settings: Settings, left_out: Mapping[str, str]) -> dict[str, int]:
    """The scenarios that run, and how often each is picked."""
    picked = {name: settings.weight_of(name) for name in settings.names if name not in left_out}
    return {name: weight for name, weight in picked.items() if weight}


def new_run_id() -> int:
    return secrets.randbits(63)


def new_seed() -> int:
    """A seed for a run that was given none; short enough to type."""
    return secrets.randbelow(2**31 - 1) + 1


def left_out(
    target: Target,
    settings: Settings,
    failed_to_load: Mapping[str, str] | None = None,
    *,
    of_this_machine: bool = False,
) -> dict[str, str]:
    """Which of the nine scenarios cannot run against this server, with the reason and the remedy.

    Raises UsageError when one of them was asked for by name, or when none is left. `failed_to_load`: model -> the
    server's reason, to stand in that message. `of_this_machine`: it is one of several, so one that was asked for by
    name may be left out.
    """
    reasons: dict[str, str] = {}
    for name, scenario in ALL.items():
        if settings.weight_of(name) and (reason := scenario.unavailable(target, settings)):
            if name in settings.scenarios and not of_this_machine:
                raise UsageError(f"{name} was asked for but cannot run: {reason}")
            reasons[name] = reason
    if reasons and not weights(settings, reasons):
        raise UsageError(_nothing_usable(target, reasons, failed_to_load or {}))
    return reasons


def _nothing_usable(target: Target, reasons: Mapping[str, str], failed_to_load: Mapping[str, str]) -> str:
    """What the server has, and what is missing: each thing once, with the scenarios that lack it."""
    has = sorted(target.models)
    more = f" and {len(has) - MAX_NAMED} more" if len(has) > MAX_NAMED else ""
    missing: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        missing.setdefault(reason.removesuffix(f", or give {name} weight 0"), []).append(name)
    lines = [f"{', '.join(names)}: {reason}" for reason, names in missing.items()]
    failed = "".join(f"; the model {name} failed to load: {why}" for name, why in failed_to_load.items())
    return (
        f"no scenario can run against this server, whose ready models are: {', '.join(has[:MAX_NAMED]) or 'none'}{more}"
        f"{failed}. " + ". ".join(lines)
    )


def only_tagged(settings: Settings, tags: Collection[str], excluded: Collection[str]) -> Settings:
    """The settings without what `--tags` and `--exclude-tags` leave out; a scenario's only tag is its name.

    Raises UsageError when that was asked for by name, or when nothing is left.
    """
    if not tags and not excluded:
        return settings
    kept = [name for name in settings.names if (not tags or name in tags) and name not in excluded]
    flags = " and ".join(
        f"{flag} {' '.join(names)}" for flag, names in (("--tags", tags), ("--exclude-tags", excluded)) if names
    )
    for name in settings.scenarios:
        if name not in kept:
            raise UsageError(f"{name} is asked for by name, but {flags} leaves it out; give one or the other")
    tagged = replace(
        settings,
        weights={name: settings.weights.get(name, DEFAULT_WEIGHTS[name]) if name in kept else 0 for name in ALL},
        models={name: weight if name in kept else 0 for name, weight in settings.models.items()},
        load_users=settings.load_users if ImageLoad.name in kept else 0,
    )
    if not any(name in kept for name in settings.names if settings.weight_of(name)):
        raise UsageError(
            f"{flags} leaves no scenario to run; the tag of each scenario is its name: {', '.join(settings.names)}. "
            "To run other users only, name their classes on the command line"
        )
    return tagged


def no_models_for_nobody(settings: Settings) -> None:
    """Raise UsageError for models that are to be put under load in a run that has no users to do it."""
    if settings.models:
        raise UsageError(
            f"--models {','.join(settings.models)}: none of the users that run plays scenarios; add the line "
            "`from triton_users.locustfile import *` to the locustfile, or leave -f out"
        )


def check_users(settings: Settings, users: int) -> None:
    """Raise UsageError when none of so many users would play a scenario: Locust starts the load users first."""
    if 0 < users <= settings.load_users:
        raise UsageError(
            f"--load-users {settings.load_users} takes all of the {users} users (-u), so that none would run a "
            f"scenario; give -u {settings.load_users + 1} or more, or fewer load users"
        )


def check_descriptors(options: Namespace, *, distributed: bool) -> None:
    """Raise UsageError when the users of one process, a connection each, are more than it may have open.

    Of workers on other machines nothing is known here: a connection that cannot be made there says so itself.
    """
    users, processes = options.num_users or 0, options.processes or 1
    if read(ConnectionSettings, options).connections or (distributed and not options.processes):
        return
    if lacking := descriptors.lacking_for(math.ceil(users / max(1, processes))):
        raise UsageError(
            f"{lacking}. Raise that limit, give fewer users (-u {users}) or more processes (--processes), or let users "
            "share connections (--connections)"
        )


def host_of_classes(user_classes: Iterable[type[User]]) -> str:
    """The server that the user classes of a run without `--host` set for themselves; "" where none sets one.

    Raises UsageError where several are set and some class needs to be given one.
    """
    ours = [each for each in user_classes if issubclass(each, TritonGrpcUser)]
    hosts = {each.__name__: own_host(each) for each in ours}
    different = sorted({host for host in hosts.values() if host})
    homeless = [name for name, host in hosts.items() if not host]
    if len(different) > 1 and homeless:
        named = ", ".join(f"{name} {host}" for name, host in hosts.items() if host)
        raise UsageError(
            f"{homeless[0]} has no host of its own, and the others have different ones ({named}); "
            "give it one, or give --host for all"
        )
    return next((host for each in ours if (host := own_host(each))), "")


@dataclass(frozen=True)
class RunConfiguration:
    """What the master settles once for all workers of a run."""

    run_id: int
    settings: Settings
    """From the options at the run's start; those that a worker is sent later may be others."""
    target: Target
    left_out: Mapping[str, str]
    host: str
    """The server of all users whose class has none of its own; "" where Locust gives all users `--host`."""
    epoch: str
    """Names what the ledgers count; new for each run and for each reset of the statistics."""
    models: tuple[ModelTraffic, ...] = ()
    """The models of the user's own that it puts under load, those of a locustfile's classes included."""
    trace: str = ""
    """The digest of the file of arrivals that is replayed, which every worker must have; "" where there is none."""

    goodput: str = ""
    """What a request must keep to be a good one, as the option has it."""

    @property
    def scenarios(self) -> Catalogue:
        """The scenarios that it can have."""
        return catalogue(self.models)

    def pack(self) -> dict[str, Any]:
        """As plain values, for Locust's message to the workers."""
        return {
            **asdict(self),
            "target": {**asdict(self.target), "models": sorted(self.target.models)},
            "models": [each.pack() for each in self.models],
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Any]) -> RunConfiguration:
        """The inverse of `pack`."""
        settings, target = packed["settings"], packed["target"]
        lists = {name: tuple(value) for name, value in settings.items() if isinstance(value, (list, tuple))}
        return cls(
            **{
                **packed,
                "models": tuple(map(ModelTraffic.unpack, packed["models"])),
                "settings": Settings(**{**settings, **lists}),
                "target": Target(
                    **{
                        **target,
                        "models": frozenset(target["models"]),
                        "image": target["image"] and ImageTensors(**target["image"]),
                        "perf_analyzer": tuple(target["perf_analyzer"]),
                        "perf_analyzer_env": tuple((name, value) for name, value in target["perf_analyzer_env"]),
                    }
                ),
            }
        )
