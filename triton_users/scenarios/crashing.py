"""Crashing: kills a client process in the middle of an inference; the server must not mind.

What proves that the request was executing when the kill came:

- The child has sent the whole request and the server has acknowledged a PING sent behind it, so the server has read it.
- Just before the kill the model's statistics did not count it, and afterwards they do: it ended after the kill.
- They say that it queued for less time than passed between that PING and the kill: it had begun before the kill.

That takes the server's gRPC endpoint alone. The statistics do not tell clients apart, so one process makes one crash at
a time, and the next only when the last one's execution is over; with several workers they may tell of another
worker's child. A request that had to queue for so long is no failure of the server: that run is skipped.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Skip, Target
from triton_users.scenarios.calls import check_identity
from triton_users.scenarios.models import SLOW_MODEL, identity_models
from triton_users.settings import TRIALS, Settings

CHILD = Path(__file__).with_name("crash_child.py")

SIGNALS = ("SIGKILL", "SIGTERM")

REAP_LIMIT_S = 5.0
"""How long a killed child may take to be gone; far more than any takes."""

POLL_S = 0.1
"""How often the statistics are asked for the end of the execution."""


@dataclass(frozen=True)
class CrashingPlan:
    """One client's death."""

    signal: str
    """SIGKILL or SIGTERM."""
    delay_s: float
    """From the moment the server has the request until the kill."""
    values: tuple[int, ...]
    """The tensor of the doomed request, and of the fresh one afterwards."""


class Crashing(Scenario):
    """After the kill the server must be live and ready and answer a fresh request on a fresh connection."""

    name = "Crashing"
    description = "a client process is killed in the middle of an inference; the server must go on"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._one_at_a_time: threading.Lock = session.shared.setdefault("crashing", threading.Lock())

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        if target.secure:
            return f"its client process speaks no TLS; use a grpc:// address of the server, or give {cls.name} weight 0"
        if SLOW_MODEL not in target.models:
            return (
                f"the model {SLOW_MODEL} (identity with an execution delay) is not ready on the server; load it (the "
                f"folder models/ has it), or give {cls.name} weight 0"
            )
        if not identity_models(TRIALS, target.models):
            return (
                f"no identity model that answers at once is ready on the server to ask it after the crash; load one "
                f"(custom_nobatch_zero_1_float32; the folder models/ has it), or give {cls.name} weight 0"
            )
        return ""

    def plan(self, draw: random.Random) -> CrashingPlan:
        return CrashingPlan(
            signal=draw.choice(SIGNALS),
            delay_s=round(draw.uniform(0.1, 1.0), 3),
            values=tuple(draw.randrange(1024 * 1024) for _ in range(16)),
        )

    def run(self, plan: CrashingPlan) -> int:
        limit_s = self.session.settings.request_timeout_ms / 1e3
        if not self._one_at_a_time.acquire(timeout=limit_s):
            raise Skip(f"another user's client has been crashing for {limit_s:g} s")
        try:
            return self._crash(plan, limit_s)
        finally:
            self._one_at_a_time.release()

    def _crash(self, plan: CrashingPlan, limit_s: float) -> int:
        session = self.session
        with _Child(session.target.address, doomed_request(plan.values)) as child:
            said = child.say(limit_s)
            if not said.startswith("reached"):
                raise ScenarioFailure(f"the client process never reached the server: {said}")
            reached_at = session.clock()
            session.sleep(plan.delay_s)
            before = self._executions()
            child.kill(getattr(signal, plan.signal))
            in_server_s = session.clock() - reached_at
        try:
            self._ask_afresh(plan)
            self._prove_execution(before, in_server_s, limit_s)
        except (ScenarioFailure, InferenceServerException) as exc:
            raise ScenarioFailure(
                f"after a client was killed by {plan.signal} in the middle of an inference: {exc}",
                requests=2,
                **getattr(exc, "evidence", {}),
            ) from exc
        return 2

    def _ask_afresh(self, plan: CrashingPlan) -> None:
        """Live, ready, and a fresh request on a fresh connection."""
        session = self.session
        limit_s = session.settings.request_timeout_ms / 1e3
        client = session.connect()
        try:
            for quality, ask in (("live", client.is_server_live), ("ready", client.is_server_ready)):
                if not ask(client_timeout=limit_s):
                    raise ScenarioFailure(f"the server is not {quality}")
            check_identity(session, client, identity_models(TRIALS, session.target.models)[0], plan.values)
        finally:
            client.close()

    def _prove_execution(self, before: _Executions, in_server_s: float, limit_s: float) -> None:
        """See that the execution which the kill interrupted ends. Skip if the request had only queued until then."""
        session = self.session
        asked_at = session.clock()
        while (now := self._executions()).count == before.count:
            if session.clock() - asked_at > limit_s:
                raise ScenarioFailure(
                    f"{SLOW_MODEL} has ended no execution for {limit_s:g} s, though it had got the client's request",
                    executions=now.count,
                )
            session.sleep(POLL_S)
        queued_s = now.queued_s - before.queued_s
        if queued_s > in_server_s:
            raise Skip(
                f"the request queued for {queued_s:.1f} s behind other clients', so it was not executing when its "
                f"client was killed after {in_server_s:.1f} s"
            )

    def _executions(self) -> _Executions:
        limit_s = self.session.settings.request_timeout_ms / 1e3
        statistics = self.session.client.get_inference_statistics(SLOW_MODEL, client_timeout=limit_s)
        versions = statistics.model_stats
        return _Executions(
            count=sum(version.execution_count for version in versions),
            queued_s=sum(version.inference_stats.queue.ns for version in versions) / 1e9,
        )


@dataclass(frozen=True)
class _Executions:
    """What the slow model has executed since it was loaded."""

    count: int
    queued_s: float
    """How long the requests it executed had queued, in all."""


def doomed_request(values: tuple[int, ...]) -> bytes:
    """The ModelInferRequest that the child sends."""
    request = service_pb2.ModelInferRequest(model_name=SLOW_MODEL)
    request.inputs.add(name="INPUT0", datatype="FP32", shape=[1, len(values)])
    request.raw_input_contents.append(np.array(values, np.float32).tobytes())
    encoded: bytes = request.SerializeToString()
    return encoded


class _Child:
    """The client process; killed and reaped on every way out of the `with` block."""

    def __init__(self, address: str, request: bytes) -> None:
        self._address = address
        self._request = request

    def __enter__(self) -> _Child:
        host, _, port = self._address.rpartition(":")
        self._output, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(CHILD), host.strip("[]"), port, self._request.hex()],
                stdin=subprocess.PIPE,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,  # so that Ctrl+C at the terminal does not reach it before us
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
