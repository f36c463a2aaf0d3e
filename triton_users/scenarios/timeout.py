"""Timeout: 1 GiB to an identity model under a deadline of 0.1 s, then many identities of all sizes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gevent
import grpc
import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

from triton_users.client.streamed import PIECE_BYTES, StreamedRequest, streamed_infer
from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Skip, Target
from triton_users.scenarios.calls import DEADLINE_EXCEEDED, check_identity, draw_numbers, random_numbers
from triton_users.scenarios.models import IdentityModel, how_to_get_an_identity_model, identity_models
from triton_users.settings import Settings

BUSY_S = 0.025
"""A timer of the event loop that fires this late, in seconds, speaks of a machine that is too busy to time a deadline;
on an idle one it is under a millisecond late. Picked arbitrarily."""

TICK_S = 0.01
"""How often the loop-lag probe looks, in seconds."""


CHECKS = 200
"""Identity checks of a run: the mix's two minutes then have 3,000, which find one wrong answer in 1,000 with 95 %. They
take 0.6 s and 0.5 s of CPU, 0.2 of it ours; in the mix that is 3 % of two processors."""

SMALL = 16
"""Numbers of the request that opens the connection before the large one, and of the one that follows it."""


@dataclass(frozen=True)
class TimeoutPlan:
    """One large request that must not be answered, and small ones that must."""

    model: str
    afterwards: int
    """Seed of what the checks afterwards send: models, lengths and numbers."""
    checks: int = CHECKS
    """How many there are."""


class Timeout(Scenario):
    """DEADLINE_EXCEEDED must come near the deadline, while the bytes really go out.

    A server that merely hangs would pass that, so afterwards it must answer a small request on the same connection, and
    then many of all sizes, each of which must come back bit by bit: this is the mix's check of what tensors become on
    their way through the server while others keep it busy.
    """

    name = "Timeout"
    description = "a huge request that must run into its deadline, then many of all sizes on the same connection"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.prepare(session.shared, session.target, session.settings)
        self.models = {m.name: m for m in identity_models(session.settings.trials, session.target.models)}
        self.numbers: npt.NDArray[np.float32] = session.shared["numbers"]

    @classmethod
    def prepare(cls, shared: dict[str, Any], target: Target, settings: Settings) -> None:
        """Draw the numbers that the checks send."""
        if "numbers" not in shared:
            shared["numbers"] = random_numbers()

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        if identity_models(settings.trials, target.models):
            return ""
        return (
            f"no identity model of the trials {', '.join(settings.trials)} that answers at once is ready; "
            f"{how_to_get_an_identity_model(settings.trials)}, or give {cls.name} weight 0"
        )

    def plan(self, draw: random.Random) -> TimeoutPlan:
        return TimeoutPlan(draw.choice(tuple(self.models)), draw.randrange(2**32))

    def run(self, plan: TimeoutPlan) -> int:
        session, model, draw = self.session, self.models[plan.model], random.Random(plan.afterwards)
        # A server without a processor to spare takes longer than the deadline to greet a new connection.
        check_identity(session, session.client, model, self.numbers[:SMALL])
        nothing_proven = None
        try:
            self._provoke(model)
        except Skip as skip:
            nothing_proven = skip
        requests = 3
        try:
            check_identity(session, session.client, model, self.numbers[:SMALL])
        except ScenarioFailure as failure:
            raise ScenarioFailure(
                f"after a request whose deadline had passed, on the same connection: {failure}",
                requests=requests,
                **failure.evidence,
            ) from failure
        for check in range(plan.checks):
            requests += 1
            other, numbers = draw.choice(tuple(self.models.values())), draw_numbers(draw, self.numbers)
            try:
                check_identity(session, session.client, other, numbers)
            except ScenarioFailure as failure:
                failure.requests = requests
                failure.evidence["check"] = check
                raise
        if nothing_proven is not None:
            raise nothing_proven
        return requests

    def _provoke(self, model: IdentityModel) -> None:
        session, settings = self.session, self.session.settings
        limit_s = settings.deadline_ms / 1e3
        request = LargeRequest(model, settings.deadline_tensor_mib * 2**20)
        infer = streamed_infer(session.client.channel)
        error: grpc.RpcError | None = None
        answer: Any = None
        started = session.clock()
        with LoopLagProbe() as probe:
            try:
                with session.client.expect_error(is_deadline):
                    _, answer = infer.with_call(request, timeout=limit_s)
            except grpc.RpcError as exc:
                error = exc
        # To the answer's last byte, if there is one: reading a large one out of its bytes takes a while, too.
        elapsed_s = session.clock() - started if answer is None else answer.elapsed_s
        exceeded = error is not None and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        late_s = elapsed_s - limit_s
        in_time = late_s <= settings.deadline_tolerance_ms / 1e3
        if exceeded and not (in_time and request.handed_over) and probe.late_s > BUSY_S:
            raise Skip(
                "this client was too busy: a timer of its own was as late as the deadline, which so proves nothing"
            )
        if exceeded:
            session.signals.deadline_exceeded(model=model.name, expected=in_time, elapsed_s=elapsed_s, limit_s=limit_s)
        if exceeded and in_time and request.handed_over:
            return
        if error is None:
            what = (
                f"was answered after {elapsed_s:.3f} s; where the server is rightly that fast, give it more with "
                "--deadline-tensor-mib or less time with --deadline-ms"
            )
        elif not exceeded:
            what = f"failed with {error.code()}, not with DEADLINE_EXCEEDED, after {elapsed_s:.3f} s: {error.details()}"
        elif not in_time:
            what = (
                f"ended {late_s:.3f} s after its deadline, which is more than the tolerance of "
                f"{settings.deadline_tolerance_ms / 1e3:g} s"
            )
        else:
            what = "never left: the deadline passed before a byte of its tensor was taken"
        raise ScenarioFailure(
            f"{settings.deadline_tensor_mib} MiB to {model.name} with a deadline of {limit_s:g} s: the request {what}",
            requests=2,
            model=model.name,
            elapsed_s=elapsed_s,
            limit_s=limit_s,
            bytes_handed_over=request.handed_over,
        ) from error


class LoopLagProbe:
    """A timer that ticks in the event loop while the request runs: what it loses is this client's own lateness.

    On a machine that is too busy every deadline fires late. That says nothing of the server, and the client's check of
    itself reports it.
    """

    def __init__(self) -> None:
        self._timer = gevent.get_hub().loop.timer(TICK_S, TICK_S)
        self._last_s = 0.0
        self.late_s = 0.0
        """Seconds by which ticks were late, all together."""

    def __enter__(self) -> LoopLagProbe:
        self._last_s = time.perf_counter()
        self._timer.start(self._tick)
        return self

    def __exit__(self, *_: object) -> None:
        self._tick()
        self._timer.stop()
        self._timer.close()

    def _tick(self) -> None:
        now_s = time.perf_counter()
        self.late_s += max(0.0, now_s - self._last_s - TICK_S)
        self._last_s = now_s


class LargeRequest(StreamedRequest):
    """A request whose only tensor is zeros, made while it is sent: no more than one piece of it is ever held."""

    def __init__(self, model: IdentityModel, tensor_bytes: int) -> None:
        request = service_pb2.ModelInferRequest(model_name=model.name)
        request.inputs.add(name=model.input, datatype="FP32", shape=model.shape(tensor_bytes // 4))
        zeros = memoryview(bytes(PIECE_BYTES))
        whole, rest = divmod(tensor_bytes, PIECE_BYTES)
        super().__init__(request, [(tensor_bytes, Repeated(zeros, whole, zeros[:rest]))])


@dataclass(frozen=True)
class Repeated:
    """A piece so many times, then a last one."""

    piece: memoryview
    times: int
    last: memoryview

    def __iter__(self) -> Iterator[memoryview]:
        for _ in range(self.times):
            yield self.piece
        if self.last:
            yield self.last


def is_deadline(error: Exception) -> bool:
    return isinstance(error, InferenceServerException) and error.status() == DEADLINE_EXCEEDED
