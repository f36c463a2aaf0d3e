"""A model of the user's own under load: requests from its metadata and data, answers checked where data say how."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import grpc
import numpy as np
from gevent import GreenletExit
from tritonclient.utils import InferenceServerException

from triton_users.client.client import DRAIN_S
from triton_users.client.encoded import EncodedRequest, EncodedStream, StreamSilent, encoded_infer
from triton_users.client.stream_requests import Stray, StreamedCall
from triton_users.inputs.answers import lacking, mismatch, outputs_of, responses_expected
from triton_users.inputs.arrays import tensor_of
from triton_users.inputs.checks import Mismatch, Tolerance
from triton_users.inputs.data import Step, check_inputs, unknown
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.pool import RequestPool
from triton_users.inputs.requests import PreparedRequest
from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Target
from triton_users.scenarios.correlation_ids import draw_fresh_offset
from triton_users.scenarios.sequence_models import draw_length
from triton_users.settings import Settings


@dataclass(frozen=True)
class ModelPlan:
    """One request, or the requests of one sequence."""

    stream: int = 0
    """Of the input data."""
    first: int = 0
    """The first step in it."""
    length: int = 1
    """Requests: more than one for a sequence only."""
    offset: int = 0
    """The sequence's correlation id, as its offset in the user's block."""
    seed: int = 0
    """Of the requests, where the user's own code makes them."""


_one_request = lru_cache(maxsize=4096)(ModelPlan)  # plans are values: one that is drawn again is the same

Make = Callable[[random.Random], Mapping[str, Any]]
"""Inputs of one request by name: numpy arrays without the batch dimension."""
Check = Callable[[Mapping[str, Any], Mapping[str, Any]], None]
"""Takes inputs and outputs of one response, by name, as numpy arrays in their shapes; raises what is wrong."""


class ModelLoad(Scenario):
    """The base of a model's scenario; `for_model` makes the class of one model."""

    spec: ClassVar[ModelSpec]
    tolerances: ClassVar[Mapping[str, Tolerance]] = {}
    """By output."""

    def __init__(self, session: Session, make: Make | None = None, check: Check | None = None) -> None:
        """`make` makes the inputs of a request in place of the input data, `check` judges an answer beside them."""
        super().__init__(session)
        self._make, self._check = make, check
        self._pool: RequestPool = session.shared[pool_key(self.spec.name)]
        self._infer = encoded_infer(session.client.channel)
        self._limit_s = session.settings.request_timeout_ms / 1e3
        self._opened: EncodedStream | None = None
        self._numbers = 0
        self.checked = 0
        """Responses that were compared with what they must be."""
        self._all_checked = False
        """Whether each response of the newest run was."""

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        return "" if cls.spec.name in target.models else f"the model {cls.spec.name} is not ready on the server"

    def plan(self, draw: random.Random) -> ModelPlan:
        streams, settings = self._pool.streams, self.session.settings
        seed = draw.getrandbits(32) if self._make is not None else 0
        stream = draw.randrange(len(streams)) if len(streams) > 1 else 0
        steps = streams[stream] if streams else 1
        if not self.spec.sequences:
            first = draw.randrange(steps)
            return ModelPlan(stream, first, seed=seed) if seed else _one_request(stream, first)
        if self._pool.whole:
            return ModelPlan(stream, 0, steps, draw_fresh_offset(draw), seed)
        # No sequences of the user's own: as many requests as in the nine scenarios.
        length = draw_length(draw, settings.sequence_length_mean, settings.sequence_length_stdev)
        return ModelPlan(stream, draw.randrange(steps), length, draw_fresh_offset(draw), seed)

    def plan_for(self, entry: str, draw: random.Random) -> ModelPlan:
        plan = self.plan(draw)
        if self._make is not None:
            return plan  # the user's own code makes it, and may ask for `self.arrival.input`
        stream, step = self._pool.entry(entry)
        steps = self._pool.streams[stream]
        if self.spec.sequences and self._pool.whole:
            return replace(plan, stream=stream, length=steps)
        return replace(plan, stream=stream, first=plan.first % steps if step is None else step)

    def run(self, plan: ModelPlan) -> int:
        self._all_checked = True
        try:
            if self.spec.sequences or self.spec.decoupled:
                return self._run_stream(plan)
            return self._run_unary(plan)
        except DataError as error:
            raise ScenarioFailure(f"input data of {self.spec.name}: {error}") from None
        except ScenarioFailure as failure:
            if self._make is None:
                step = plan.first + failure.evidence.get("request_of_sequence", 0)
                failure.evidence["input_data"] = self._pool.place(plan.stream, step)
            raise

    def answers_checked(self, plan: ModelPlan, requests: int) -> int:
        return requests if self._all_checked else 0

    def _requests(self, plan: ModelPlan) -> list[PreparedRequest]:
        if self._make is not None:
            draw = random.Random(plan.seed)
            return [self._made(self._make(draw)) for _ in range(plan.length)]
        if plan.length == 1:
            return [self._pool.request(plan.stream, plan.first)]
        count = self._pool.streams[plan.stream]
        return [self._pool.request(plan.stream, (plan.first + i) % count) for i in range(plan.length)]

    def _made(self, arrays: Mapping[str, Any]) -> PreparedRequest:
        """A request of what the user's own code made."""
        tensors = {}
        for name, array in arrays.items():
            spec = self.spec.input(name)
            if spec is None:
                raise unknown(name, self.spec.inputs, "input", self.spec)
            tensors[name] = tensor_of(spec, np.asarray(array))
        check_inputs(self.spec, tensors)
        return PreparedRequest(self.spec, [Step(tensors)])

    def _run_unary(self, plan: ModelPlan) -> int:
        (request,) = self._requests(plan)
        try:
            response = self._infer(request, timeout=self._limit_s)
        except grpc.RpcError as error:
            raise ScenarioFailure(str(error), requests=1, model=self.spec.name) from error
        self._judge(request, response, 0, requests=1)
        return 1

    def _run_stream(self, plan: ModelPlan) -> int:
        """The requests one after the other on the user's stream, without waiting; then all their answers."""
        requests = self._requests(plan)
        sent: dict[StreamedCall, PreparedRequest] = {}
        if self._opened is None:
            self._opened = EncodedStream(self.session.client.channel)
        try:
            for position, request in enumerate(requests):
                self._numbers += 1
                request_id = str(self._numbers)
                encoded = self._encode(plan, request, request_id, position)
                sent[self._opened.send(EncodedRequest(self.spec.name, request_id, encoded))] = request
            self._receive(self._opened, sent)
        except BaseException as error:
            if isinstance(error, GreenletExit):  # the user is stopped
                self._opened.drain(DRAIN_S)
            else:
                self._opened.close()  # whatever still comes on it is of a run that is over
            self._opened = None
            if isinstance(error, ScenarioFailure) and self.spec.sequences:
                error.evidence["correlation_id"] = self.session.correlation_ids[plan.offset]
            raise
        return plan.length

    def _encode(self, plan: ModelPlan, request: PreparedRequest, request_id: str, position: int) -> bytes:
        if not self.spec.sequences:
            return request.encode(request_id)
        return request.encode_in_sequence(
            request_id,
            self.session.correlation_ids[plan.offset],
            start=position == 0,
            end=position == plan.length - 1,
        )

    def _receive(self, stream: EncodedStream, sent: Mapping[StreamedCall, PreparedRequest]) -> None:
        started = self.session.clock()
        limit_s = self.session.settings.sequence_timeout_ms / 1e3 if self.spec.sequences else self._limit_s
        number = waiting = len(sent)
        while waiting:
            left_s = started + limit_s - self.session.clock()
            try:
                message, owner = stream.receive(max(0.0, left_s))
            except StreamSilent:
                first = next(call for call in sent if not call.over)
                raise ScenarioFailure(
                    f"request {first.request_id} has no final response after {limit_s:g} s; "
                    f"{first.responses} came, {waiting} of {number} requests wait",
                    requests=number,
                    model=self.spec.name,
                ) from None
            except InferenceServerException as error:
                raise ScenarioFailure(f"the stream ended: {error}", requests=number, model=self.spec.name) from error
            if isinstance(owner, Stray):
                raise ScenarioFailure(str(owner), requests=number, model=self.spec.name)
            try:
                self._take(owner, sent[owner], message, number)
            except ScenarioFailure as failure:
                if self.spec.sequences:
                    failure.evidence["request_of_sequence"] = list(sent).index(owner)
                raise
            waiting -= owner.over

    def _take(self, owner: StreamedCall, request: PreparedRequest, message: Any, sent: int) -> None:
        if message.error_message:
            raise ScenarioFailure(message.error_message, requests=sent, model=self.spec.name, request=owner.request_id)
        if not owner.ended_empty:
            self._judge(request, message.infer_response, owner.responses - 1, requests=sent)
        if owner.over:
            self._judge_count(request, owner, sent)

    def _judge_count(self, request: PreparedRequest, call: StreamedCall, sent: int) -> None:
        wanted = responses_expected(request.steps)
        if wanted is not None and call.responses != wanted:
            raise ScenarioFailure(
                f"{call.responses} responses to request {call.request_id}, not {wanted}",
                requests=sent,
                model=self.spec.name,
                responses=call.responses,
                expected=wanted,
            )

    def _judge(self, request: PreparedRequest, response: Any, number: int, requests: int) -> None:
        if not self.spec.decoupled and (lack := lacking(self.spec, response)):  # whether or not there is more to check
            raise ScenarioFailure(f"a wrong answer: {lack}", requests=requests, model=self.spec.name)
        if not request.checked and self._check is None:
            self._all_checked = False
            return
        self.checked += 1
        batched = bool(self.spec.max_batch_size)
        found = mismatch(request.steps, response, batched=batched, number=number, tolerances=self.tolerances)
        if found is not None:
            raise ScenarioFailure(
                f"a wrong answer: {found}", requests=requests, model=self.spec.name, **_evidence(found)
            )
        if self._check is not None:
            self._ask_the_user(self._check, request, response, requests)

    def _ask_the_user(self, check: Check, request: PreparedRequest, response: Any, requests: int) -> None:
        sent = {name: tensor.values for name, tensor in request.steps[0].inputs.items()}
        answer = {name: output.values for name, output in outputs_of(response).items()}
        try:
            check(sent, answer)
        except (AssertionError, ScenarioFailure) as wrong:
            evidence = getattr(wrong, "evidence", {})
            raise ScenarioFailure(
                f"a wrong answer: {wrong}", requests=requests, model=self.spec.name, **evidence
            ) from wrong

    def close(self) -> None:
        if self._opened is not None:
            self._opened.drain(DRAIN_S)
            self._opened = None


def for_model(spec: ModelSpec, tolerances: Mapping[str, Tolerance] | None = None) -> type[ModelLoad]:
    """The scenario of one model, named as the model is."""
    shape = "sequences" if spec.sequences else "requests over a stream" if spec.decoupled else "requests"
    inputs = ", ".join(str(tensor) for tensor in spec.inputs)
    return type(
        "ModelLoadOfOne",
        (ModelLoad,),
        {
            "name": spec.name,
            "description": f"{shape} of {inputs}",
            "waits_for_a_slot": spec.sequences,
            "spec": spec,
            "tolerances": dict(tolerances or {}),
        },
    )


def pool_key(model: str) -> str:
    """Where `Session.shared` has the model's `RequestPool`."""
    return f"requests of {model}"


def _evidence(found: Mismatch) -> dict[str, Any]:
    return {
        "output": found.output,
        "index": list(found.index),
        "expected": found.expected,
        "got": found.got,
        "different": found.different,
        "elements": found.elements,
        "largest_difference": found.largest,
    }
