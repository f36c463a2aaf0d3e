"""Crashing: kills a client process in the middle of an inference; the server must not mind.

Triton tells of a request only when it is over. What proves that the child's request was executing when the kill came is
a witness inside the server: the slow model of this project tells the model `custom_executing` which ids it is executing
(models/custom_executing), and we ask that one just before the kill.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import InferInput, service_pb2
from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import Client, Scenario, ScenarioFailure, Skip, Target
from triton_users.scenarios.calls import check_identity, infer
from triton_users.scenarios.correlation_ids import draw_fresh_offset
from triton_users.scenarios.models import SLOW_MODEL, WITNESS_MODEL, identity_models
from triton_users.settings import TRIALS, Settings
from triton_users.system.priority import yield_to_parent

CHILD = Path(__file__).with_name("crash_child.py")

SIGNALS = ("SIGKILL", "SIGTERM")

REAP_LIMIT_S = 5.0
"""How long a killed child may take to be gone; far more than any takes."""

POLL_S = 0.02
"""How often the witness is asked whether the execution has begun."""

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
        try:
            with _Child(self._session.target, doomed_request(self._id, self._plan.values)) as child:
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

    def _kill_while_executing(self, child: _Child) -> None:
        session = self._session
        said = child.say(self._limit_s)
        if not said.startswith("reached"):
            raise ScenarioFailure(f"the client process never reached the server: {said}")
        session.sent_elsewhere(SLOW_MODEL)
        self._requests += 1
        self._wait_until(True, f"{SLOW_MODEL} has read request {self._id} but not begun it")
        session.sleep(self._plan.delay_s)
        if not self._executes():
            raise ScenarioFailure(
                f"{SLOW_MODEL} executed request {self._id} for less than {self._plan.delay_s:g} s, or let go of it "
                f"although its client was there (the client {child.say(0)})"
            )
        child.kill(getattr(signal, self._plan.signal))

    def _wait_until_noticed(self) -> None:
        self._wait_until(False, f"{SLOW_MODEL} still executes request {self._id}, whose client is gone")

    def _wait_until(self, executes: bool, otherwise: str) -> None:
        """Wait for the witness to say that our request executes, or no longer does. ScenarioFailure at the limit."""
        session = self._session
        asked_at = session.clock()
        while self._executes() is not executes:
            if session.clock() - asked_at > self._limit_s:
                raise ScenarioFailure(f"{otherwise}, after {self._limit_s:g} s")
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


class _Child:
    """The client process; killed and reaped on every way out of the `with` block."""

    def __init__(self, target: Target, request: bytes) -> None:
        self._target = target
        self._request = request

    def __enter__(self) -> _Child:
        target = self._target
        host, _, port = target.address.rpartition(":")
        arguments = [host.strip("[]"), port, target.authority or target.address, self._request.hex()]
        self._output, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(CHILD), *arguments],
                stdin=subprocess.PIPE,
                stdout=theirs,
                stderr=theirs,
                preexec_fn=yield_to_parent,  # also keeps Ctrl+C at the terminal from reaching it before us
            )
        except BaseException:
            os.close(self._output)
            raise
        finally:
            os.close(theirs)
        return self

    def say(self, limit_s: float) -> str:
        """What it says next, or why it says nothing."""
        readable, _, _ = select.select([self._output], [], [], limit_s)
        if not readable:
            return f"it was silent for {limit_s:g} s"
        return os.read(self._output, 4096).decode(errors="replace").strip() or "it ended without a word"

    def kill(self, number: signal.Signals) -> None:
        """Kill it and see that it dies of that. ScenarioFailure if it had ended before: nothing was crashed."""
        self._process.send_signal(number)
        code = self._process.wait(REAP_LIMIT_S)
        if code != -number:
            raise ScenarioFailure(
                f"the client process ended with {code}, not by {number.name}: {self.say(0)}", requests=1
            )

    def __exit__(self, *exc_info: Any) -> None:
        try:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait(REAP_LIMIT_S)
        finally:
            os.close(self._output)
            assert self._process.stdin is not None
            self._process.stdin.close()
