"""The same requests to two servers, and where their answers differ by more than is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import grpc
from tritonclient.utils import InferenceServerException

from triton_users.client.client import TritonClient
from triton_users.client.describe import describe, ready_models
from triton_users.client.encoded import EncodedRequest, encoded_infer
from triton_users.inputs.answers import mismatch, outputs_of
from triton_users.inputs.data import Step, Tensor
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import TensorSpec
from triton_users.inputs.requests import PreparedRequest
from triton_users.inputs.traffic import ModelTraffic

REQUESTS = 16
"""Requests sent to each model of both sides."""
OPEN_SIZE = 16
"""What a size is that the model leaves open."""
LIMIT_S = 10.0
"""How long a server may take for each, in seconds."""


def compare_answers(a: TritonClient, b: TritonClient, seed: int, loaded: Iterable[ModelTraffic] = ()) -> dict[str, Any]:
    """What both answer to the same requests: "compared" answers, "different" sentences, "models", "notes".

    Of models that both have: those under load (`loaded`) with their data, the others with random ones. A sequence's or
    a stream's answers are compared by the scenarios alone.
    """
    found: dict[str, Any] = {"compared": 0, "different": [], "models": [], "notes": []}
    data = {each.name: each for each in loaded}
    names = [ready_models(client, LIMIT_S) for client in (a, b)]
    for name in sorted(set(names[0] or ()) & set(names[1] or ())):
        try:
            traffic = data.get(name) or _random(a, name)
            if traffic.spec.sequences or traffic.spec.decoupled or traffic.own_requests:
                continue
            compared, different = _compared(a, b, traffic, seed)
            found["models"].append(name)
            found["compared"] += compared
            found["different"] += [f"{name}: {different}"] if different else []
        except (InferenceServerException, grpc.RpcError, DataError, _Unsteady) as error:
            found["notes"].append(f"the answers of {name} were not compared: {_why(error)}")
    return found


def _why(error: Exception) -> str:
    late = isinstance(error, grpc.RpcError) and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    return f"one took longer than {LIMIT_S:g} s" if late else str(error)


class _Unsteady(Exception):
    """One server's answers to one request are not alike, so that another's need not be like them."""


def _random(client: TritonClient, name: str) -> ModelTraffic:
    spec = describe(client, name, LIMIT_S)
    return ModelTraffic(spec.with_shapes({t.name: tuple(_size(size) for size in t.shape) for t in spec.unresolved}))


def _size(size: int) -> int:
    return OPEN_SIZE if size == -1 else size


def _compared(a: TritonClient, b: TritonClient, traffic: ModelTraffic, seed: int) -> tuple[int, str]:
    """How many answers were compared until one differed, and how it did; "" where none did."""
    data = traffic.data(seed)
    for number in range(REQUESTS):
        stream, index = number % len(data.streams), number // len(data.streams)
        step = data.step(stream, index % data.streams[stream])
        request = PreparedRequest(traffic.spec, [step])
        encoded = EncodedRequest(traffic.name, str(number + 1), request.encode(str(number + 1)))
        of_a = _answer(a, encoded)
        try:
            different = _difference(of_a, _answer(b, encoded), traffic)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            different = f"B answers with an error, and A does not: {error}"
        if different:
            if changed := _difference(of_a, _answer(a, encoded), traffic):
                raise _Unsteady(f"A answers the same request in another way each time: {changed}")
            return number + 1, different
    return REQUESTS, ""


def _answer(client: TritonClient, encoded: EncodedRequest) -> Any:
    return encoded_infer(client.channel)(encoded, timeout=LIMIT_S)


def _difference(expected: Any, response: Any, traffic: ModelTraffic) -> str:
    """Where a ModelInferResponse is not like another one, in words."""
    wanted: Mapping[str, Tensor] = {
        name: Tensor(TensorSpec(name, output.datatype, output.shape), output.shape, output.raw)
        for name, output in outputs_of(expected).items()
    }
    tolerances = traffic.tolerances
    return str(mismatch([Step({}, wanted)], response, batched=False, tolerances=tolerances) or "")
