"""Plays a case against a server until it fails. It decides nothing: what is played and for how long is given."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
from tritonclient.utils import InferenceServerException

from triton_users.replay.case import Case, Play, kind_of
from triton_users.replay.plans import plan_of
from triton_users.run.server_state import client_for
from triton_users.scenarios import Catalogue
from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Skip, Target
from triton_users.scenarios.correlation_ids import id_block
from triton_users.settings import ConnectionSettings, Settings, UsageError

CONNECT_LIMIT_S = 10.0
"""How long a connection may take to come about, in seconds."""
PLAYS_OF_A_BLOCK = 2
"""Plays with the same correlation ids before others are taken: what one id's sequence leaves shows in the next one of
that id, or in the first one of another."""
PAUSE_S = 0.25
"""How long a partner pauses after a failure of its own, in seconds."""


class ServerGone(UsageError):
    """The server that was named does not answer any more; nothing can be said of what is played on it."""


@dataclass(frozen=True)
class Seen:
    """A failure that came again."""

    reason: str
    evidence: dict[str, Any]
    plays: int
    """How many plays it took."""
    elapsed_s: float

    @property
    def kind(self) -> str:
        return kind_of(self.reason)


@dataclass
class Stage:
    """Where cases are played: a server, and what its scenarios need to know."""

    host: Callable[[], str]
    """Its address; starts it again where it is ours and has died, ServerGone where it is not ours."""
    connection: ConnectionSettings
    settings: Settings
    target: Target
    scenarios: Catalogue
    scratch: Path
    shared: dict[str, Any] = field(default_factory=dict)

    def until_it_fails(
        self, case: Case, *, plays: int, limit_s: float, kind: str = "", wait_s: float = 0.0
    ) -> Seen | None:
        """Play the case so often, for so long; None when it does not fail. `kind`: no other failure counts.

        `wait_s`: what the first play may take beside, since its sequence may wait for the slot of one that failed
        before it had ended.
        """
        host = self.host()
        began = time.monotonic()
        lanes = [_Lane(self, host, user) for user in range(1 + len(case.partners))]
        beside = [gevent.spawn(lane.over_and_over, each) for lane, each in zip(lanes[1:], case.partners, strict=True)]
        try:
            until_s = began + limit_s
            with gevent.Timeout(limit_s + wait_s, False):  # type: ignore[arg-type]  # False: no exception
                for number in range(1, plays + 1):
                    reason, evidence = lanes[0].play(case.main)
                    if reason and (not kind or kind_of(reason) == kind):
                        return Seen(reason, evidence, number, time.monotonic() - began)
                    if number == 1:
                        until_s += min(wait_s, time.monotonic() - began)
                    if time.monotonic() >= until_s:
                        break
            return None
        finally:
            gevent.killall(beside, timeout=5.0)
            for lane in lanes:
                lane.close()


class _Lane:
    """One user: plays one run after the other."""

    def __init__(self, stage: Stage, host: str, user: int) -> None:
        self._stage, self._host, self._user = stage, host, user
        self._client = client_for(host, stage.connection, CONNECT_LIMIT_S)
        self._plays = 0
        self._scenario: Scenario | None = None

    def play(self, play: Play) -> tuple[str, dict[str, Any]]:
        """What went wrong, and the evidence; "" when nothing did, or nothing was proved."""
        if self._scenario is None or self._plays % PLAYS_OF_A_BLOCK == 0:
            self._scenario = self._new_scenario(play.scenario)
        self._plays += 1
        try:
            self._scenario.run(plan_of(play.plan))
            while (deferred := self._scenario.next_deferred()) is not None:
                gevent.sleep(max(0.0, deferred[1] - time.monotonic()))
                self._scenario.check_deferred()
        except Skip:
            return "", {}
        except ScenarioFailure as failure:
            self._scenario = None  # with what it may still hold of the failed run
            return str(failure), failure.evidence
        except InferenceServerException as error:
            self._scenario = None
            return str(error), {}
        return "", {}

    def over_and_over(self, play: Play) -> None:
        """Until it is killed."""
        while True:
            reason, _ = self.play(play)
            gevent.sleep(PAUSE_S if reason else 0)

    def close(self) -> None:
        self._client.close()

    def _new_scenario(self, name: str) -> Scenario:
        stage = self._stage
        kind = stage.scenarios.get(name)
        if kind is None:
            raise UsageError(f"there is no scenario {name} here: {', '.join(stage.scenarios)}")
        if why := kind.unavailable(stage.target, stage.settings):
            raise UsageError(f"{name} cannot be played on this server: {why}")
        kind.prepare(stage.shared, stage.target, stage.settings)
        return kind(
            Session(
                settings=stage.settings,
                target=stage.target,
                client=self._client,
                connect=lambda: client_for(self._host, stage.connection, CONNECT_LIMIT_S),
                signals=_NoSignals(),
                correlation_ids=id_block(secrets.randbits(63), 0, self._user),
                scratch=stage.scratch,
                clock=time.monotonic,
                sleep=gevent.sleep,
                headers=stage.connection.grpc_header,
                shared=stage.shared,
            )
        )


class _NoSignals:
    """What is signalled stands in the failure, too."""

    def deadline_exceeded(self, **_: Any) -> None: ...
    def sequence_validation_failure(self, **_: Any) -> None: ...
    def deferred_checks_settled(self, **_: Any) -> None: ...
