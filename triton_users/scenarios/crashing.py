"""Crashing: kills a client process in the middle of an inference; the server must not mind.

Triton tells of a request only when it is over. What proves that the child's request was executing when the kill came is
a witness inside the server: the slow model of this project tells the model `custom_executing` which ids it is executing
(models/custom_executing), and we ask that one just before the kill.
"""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass

import numpy as np
from tritonclient.grpc import InferInput, service_pb2
from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import Client, Scenario, ScenarioFailure, Skip, Target
from triton_users.scenarios.calls import check_identity, infer
from triton_users.scenarios.correlation_ids import draw_fresh_offset
from triton_users.scenarios.crash_client import ClientProcess
from triton_users.scenarios.models import SLOW_MODEL, WITNESS_MODEL, identity_models
from triton_users.scenarios.patience import PATIENCE, Patience, overload
from triton_users.settings import TRIALS, Settings

SIGNALS = ("SIGKILL", "SIGTERM")

LATE_S = 2.0
"""A kill that comes so much later than planned may find the execution over: the slow model's takes 10 s."""

POLL_S = 0.02
"""How often the witness is asked whether the execution has begun."""

FRESH_REQUESTS = 2
"""One right after the kill, one when the execution that the client left behind has ended."""

ASKS = -1
"""What the witness is told: neither begin nor end, but a question."""


@dataclass(frozen=True)
class CrashingPlan:
    """One client's death."""

    signal: str
    """SIGKILL or SIGTERM."""
    id_offset: int
    """The id under which the witness knows the request, counted from the start of the user's block."""
    delay_s: float
    """How long the request has been executing when the kill comes, or a little longer."""
    values: tuple[int, ...]
    """The tensor of the doomed request, and of the fresh one afterwards."""


class Crashing(Scenario):
    """The server must be live and ready and answer a fresh request on a fresh connection.

    It is asked right after the kill, and again when the execution that the client left behind has ended.
    """

    name = "Crashing"
    description = "a client process is killed in the middle of an inference; the server must go on"

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        if target.secure or not target.address.rpartition(":")[2].isdecimal():
            return (
                f"its client process speaks plain TCP alone, no TLS; use a grpc://host:port address of the server, or "
                f"give {cls.name} weight 0"
            )
        missing = [model for model in (SLOW_MODEL, WITNESS_MODEL) if model not in target.models]
        if missing:
            return (
                f"{' and '.join(missing)} not ready on the server (an identity model with an execution delay and the "
                f"witness that tells when it executes); load both from the folder models/, or give {cls.name} weight 0"
            )
        if not identity_models(TRIALS, target.models):
            return (
                "no identity model that answers at once is ready on the server to ask it after the crash; load one "
                f"(custom_nobatch_zero_1_float32; the folder models/ has it), or give {cls.name} weight 0"
            )
        return ""

    def plan(self, draw: random.Random) -> CrashingPlan:
        return CrashingPlan(
            signal=draw.choice(SIGNALS),
            id_offset=draw_fresh_offset(draw),
            delay_s=round(draw.uniform(0.0, 1.0), 3),
            values=tuple(draw.randrange(1024 * 1024) for _ in range(16)),
        )

    def answers_checked(self, plan: CrashingPlan, requests: int) -> int:
        """The fresh ones; the doomed request gets none, and the witness is believed."""
        return FRESH_REQUESTS

    def run(self, plan: CrashingPlan) -> int:
        return _Crash(self, plan).run()


class _Crash:
    """One run; counts its requests."""

    def __init__(self, scenario: Crashing, plan: CrashingPlan) -> None:
        self._session = scenario.session
        self._plan = plan
        self._id = self._session.correlation_ids[plan.id_offset]
        self._limit_s = self._session.settings.request_timeout_ms / 1e3
        self._requests = 0

    def run(self) -> int:
        stage = "before the kill"
        self._session.sent_elsewhere(SLOW_MODEL, "clients that were killed", 1)
        self._session.sent_elsewhere(WITNESS_MODEL, f"{SLOW_MODEL}, inside the server,")
        try:
            request = doomed_request(self._id, self._plan.values)
            with ClientProcess(self._session.target, request, self._session.headers) as child:
                self._kill_while_executing(child)
            stage = f"after a client was killed by {self._plan.signal} in the middle of an inference"
            self._ask_afresh()
            self._wait_until_noticed()
            self._ask_afresh()  # once more: a server that minds the death may take a while to
        except (ScenarioFailure, InferenceServerException) as exc:
            raise ScenarioFailure(
                f"{stage}: {exc}", requests=self._requests, id=self._id, **getattr(exc, "evidence", {})
            ) from exc
        return self._requests

    def _kill_while_executing(self, child: ClientProcess) -> None:
        session = self._session
        self._wait_until_reached(child)
        self._requests += 1
        self._wait_until(True, f"{SLOW_MODEL} has read request {self._id} but not begun it", child)
        begun_s = session.clock()
        session.sleep(self._plan.delay_s)
        if not self._executes():
            self._skip_if_late(begun_s)
            raise ScenarioFailure(
                f"{SLOW_MODEL} executed request {self._id} for less than {self._plan.delay_s:g} s, or let go of it "
                f"although its client was there ({child.last_words()})"
            )
        number = getattr(signal, self._plan.signal)
        code = child.kill(number)
        if code != -number:
            self._skip_if_late(begun_s)
            raise ScenarioFailure(f"the client process ended with {code}, not by {number.name}: {child.last_words()}")

    def _wait_until_reached(self, child: ClientProcess) -> None:
        """Until the server has read the whole request. ScenarioFailure, Skip."""
        first = child.says(self._limit_s)
        if first != "started":
            if first or child.ended:
                raise ScenarioFailure(f"the client process did not start: {child.last_words(first)}")
            raise Skip(f"this machine was too busy to start a client process within {self._limit_s:g} s")
        limit_s = self._limit_s * min(PATIENCE - 1, overload(self._session.target.address))
        said = child.says(limit_s)
        if said == "connected":
            said = child.says(limit_s)
        if said != "reached":
            silent = f"it was silent for {limit_s:g} s"
            raise ScenarioFailure(f"the client process never reached the server: {child.last_words(said) or silent}")

    def _skip_if_late(self, begun_s: float) -> None:
        """An execution has its end: a kill that came long after it was due, or not at all, proves nothing."""
        late_s = self._session.clock() - begun_s - self._plan.delay_s
        if late_s > LATE_S:
            raise Skip(
                f"the kill was due while {SLOW_MODEL} executed the request, but came more than {LATE_S:g} s later"
            )

    def _wait_until_noticed(self) -> None:
        self._wait_until(False, f"{SLOW_MODEL} still executes request {self._id}, whose client is gone")

    def _wait_until(self, executes: bool, otherwise: str, child: ClientProcess | None = None) -> None:
        """Wait for the witness to say that our request executes, or no longer does; without a `child`, it has gone.

        ScenarioFailure where the slow model's statistics say that it should have come to that. Skip.
        """
        session = self._session
        patience = Patience(session, session.client, SLOW_MODEL, self._limit_s)
        looked_s = 0.0
        while self._executes() is not executes:
            if child is not None and child.ended:
                words = child.last_words()
                if ":status 200" in words:  # it may have begun and ended between two questions
                    self._skip_if_late(session.clock() - patience.waited_s)
                raise ScenarioFailure(f"the request ended before {SLOW_MODEL} was seen to execute it: {words}")
            if patience.waited_s - looked_s > patience.pause_s:
                looked_s = patience.waited_s
                if broken := patience.look():
                    raise ScenarioFailure(f"{otherwise}, after {patience.waited_s:.1f} s; {broken}")
            session.sleep(POLL_S)

    def _executes(self) -> bool:
        """What the witness says of our request."""
        self._requests += 1
        question = np.array([self._id, ASKS], np.int64)
        tensor = InferInput("INPUT0", [2], "INT64").set_data_from_numpy(question)
        answer = infer(self._session, self._session.client, WITNESS_MODEL, [tensor]).as_numpy("OUTPUT0")
        return bool(answer[0])

    def _not_ready(self, client: Client) -> dict[str, str]:
        """The models that were ready before the run and are not now, with the server's word for why."""
        try:
            index = client.get_model_repository_index(client_timeout=self._limit_s).models
        except InferenceServerException:
            return {}  # it keeps that to itself
        ready = {model.name for model in index if model.state == "READY"}
        return {
            model.name: f"{model.state}: {model.reason}" if model.reason else model.state
            for model in index
            if model.name in self._session.target.models - ready
        }

    def _ask_afresh(self) -> None:
        """Live, ready, and a fresh request on a fresh connection."""
        session = self._session
        client = session.connect()
        try:
            if not client.is_server_live(client_timeout=self._limit_s):
                raise ScenarioFailure("the server is not live")
            if not client.is_server_ready(client_timeout=self._limit_s):
                away = self._not_ready(client)
                which = f": {', '.join(f'{model} ({state})' for model, state in away.items())}" if away else ""
                if away and SLOW_MODEL not in away:
                    raise Skip(f"the server is not ready for a model that no killed client had to do with{which}")
                raise ScenarioFailure(f"the server is not ready{which}")
            self._requests += 1
            check_identity(session, client, identity_models(TRIALS, session.target.models)[0], self._plan.values)
        finally:
            client.close()


def doomed_request(correlation_id: int, values: tuple[int, ...]) -> bytes:
    """The ModelInferRequest that the child sends."""
    request = service_pb2.ModelInferRequest(model_name=SLOW_MODEL)
    request.parameters["sequence_id"].int64_param = correlation_id
    request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, len(values)])
    request.raw_input_contents.append(np.array(values, np.float32).tobytes())
    encoded: bytes = request.SerializeToString()
    return encoded
