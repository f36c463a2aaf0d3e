"""Watches over a run which of the server's models are ready, and asks a last time at its end. Counts nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import gevent
from tritonclient.utils import InferenceServerException

from triton_users.client.client import TritonClient
from triton_users.judge.client_limited import hms
from triton_users.run.server_state import MAX_MODELS, READY, ModelState, ServerState, client_for, index_of, listed
from triton_users.settings import ConnectionSettings
from triton_users.witness.seen import Absence

EVERY_S = 2.0
"""How often the repository index is asked for, in seconds: the resolution of "since when". Picked arbitrarily."""
ANSWER_LIMIT_S = 5.0
"""How long each answer may take, in seconds."""
LAST_LIMIT_S = 15.0
"""How long the last ones may take: where 80 processes wanted two CPUs, a new connection took more than 5 s."""
SLOW_S = 1.5
"""An answer to that takes the server no work; one that takes this long, in seconds, is kept. Picked arbitrarily."""
MAX_SLOW = 100
"""How many of those are kept."""
MAX_ABSENCES = 20
"""Times at which models were not ready for a while that are kept; a report needs no more."""


class ServerWatch:
    """One run's watch. Only what the server answered before the run is asked again."""

    def __init__(self, host: str, connection: ConnectionSettings, found: ServerState) -> None:
        self._found = found
        self._host, self._connection = host, connection
        self._client: TritonClient | None = None
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._away: dict[str, tuple[float, ModelState]] = {}
        self._absences: list[Absence] = []
        self._slow: list[tuple[float, float]] = []
        self.answered = True
        """Whether the server answered the last question, `at_the_end`."""

    def start(self) -> None:
        if self._found.index is not None and self._found.models:
            self._greenlet = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Safe to call twice."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def saw(self, index: Mapping[str, ModelState], now_s: float) -> None:
        """Take in what the index says at `now_s`, by the monotonic clock."""
        for name in self._found.models:
            state = index.get(name, ModelState("gone from the index"))
            if state.state != READY:
                since_s, _ = self._away.get(name, (now_s, state))
                self._away[name] = (since_s, state)
            elif name in self._away:
                since_s, was = self._away.pop(name)
                if len(self._absences) < MAX_ABSENCES:
                    self._absences.append(Absence(name, since_s, now_s, str(was)))

    def at_the_end(self, begun_s: float) -> list[str]:
        """Why the server that was under test would not take these requests any more, a sentence each.

        `begun_s`: when second 0 of the report was, by the monotonic clock. What it refused to say before the run is
        not asked again.
        """
        client = client_for(self._host, self._connection, LAST_LIMIT_S)
        try:
            if self._found.ready is not None and not client.is_server_ready(client_timeout=LAST_LIMIT_S):
                self._ask_index(client, LAST_LIMIT_S)
                return [*self._not_ready(), *self._lost(begun_s)]
            self._ask_index(client, LAST_LIMIT_S)
        except InferenceServerException as error:
            self.answered = False
            return [f"at the end of the run the server did not answer: {error}"]
        finally:
            client.close()
        return self._lost(begun_s)

    def absences(self, begun_s: float) -> list[Absence]:
        """Each time that a model was not ready for a while; see `at_the_end`."""
        return [
            replace(each, from_s=max(0.0, each.from_s - begun_s), to_s=max(0.0, each.to_s - begun_s))
            for each in self._absences
        ]

    def slow_questions(self, begun_s: float) -> list[tuple[float, float]]:
        """From when to when an answer was long in coming, in seconds of the report; see `at_the_end`."""
        return [(from_s - begun_s, to_s - begun_s) for from_s, to_s in self._slow if from_s >= begun_s]

    def _not_ready(self) -> list[str]:
        if self._found.ready is False:
            return []  # as at the start
        return ["at the end of the run the server said that it is not ready"]

    def _lost(self, begun_s: float) -> list[str]:
        away = sorted(self._away.items(), key=lambda item: item[1][0])
        told = [
            f"the model {name} was ready at the start and is not at the end, since {_at(since_s, begun_s)}: {state}"
            for name, (since_s, state) in away[:MAX_MODELS]
        ]
        if len(away) > MAX_MODELS:
            told.append(f"as are {listed(name for name, _ in away[MAX_MODELS:])}")
        return told

    def _watch(self) -> None:
        while True:
            gevent.sleep(EVERY_S)
            asked_s = time.monotonic()
            try:
                if self._client is None:
                    self._client = client_for(self._host, self._connection, ANSWER_LIMIT_S)
                self._ask_index(self._client)
            except InferenceServerException:
                pass  # the users' requests tell of a server that cannot be reached
            took_s = time.monotonic() - asked_s
            if took_s >= SLOW_S and len(self._slow) < MAX_SLOW:
                self._slow.append((asked_s, asked_s + took_s))

    def _ask_index(self, client: TritonClient, limit_s: float = ANSWER_LIMIT_S) -> None:
        if self._found.index is not None:
            answer = client.get_model_repository_index(client_timeout=limit_s)
            self.saw(index_of(answer), time.monotonic())
        else:
            ready = {name for name in self._found.models if _is_ready(client, name)}
            self.saw(dict.fromkeys(ready, ModelState(READY)), time.monotonic())


def _is_ready(client: TritonClient, model: str) -> bool:
    try:
        return bool(client.is_model_ready(model, client_timeout=ANSWER_LIMIT_S))
    except InferenceServerException as error:
        if error.status() == "StatusCode.NOT_FOUND":
            return False
        raise


def _at(when_s: float, begun_s: float) -> str:
    return hms(max(0.0, when_s - begun_s))
