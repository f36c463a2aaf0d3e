"""The same requests to two servers, and where their answers differ by more than their datatype's tolerance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from tritonclient.utils import InferenceServerException

from triton_users.client.client import TritonClient
from triton_users.client.describe import describe, ready_models
from triton_users.client.encoded import EncodedRequest, encoded_infer
from triton_users.inputs.answers import Output, outputs_of
from triton_users.inputs.checks import compare
from triton_users.inputs.data import Tensor
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import ModelSpec, TensorSpec
from triton_users.inputs.random_data import random_data
from triton_users.inputs.requests import PreparedRequest

REQUESTS = 16
"""Requests sent to each model of both sides."""
OPEN_SIZE = 16
"""What a size is that the model leaves open."""
LIMIT_S = 10.0
"""How long a server may take for each, in seconds."""


def compare_answers(a: TritonClient, b: TritonClient, seed: int) -> dict[str, Any]:
    """What both answer to the same requests: "compared" answers, "different" sentences, "models", "notes".

    Of models that both have; a sequence's or a stream's answers are compared by the
    scenarios alone.
    """
    notes: list[str] = []
    different: list[str] = []
    compared, models = 0, []
    names = [ready_models(client, LIMIT_S) for client in (a, b)]
    for name in sorted(set(names[0] or ()) & set(names[1] or ())):
        try:
            spec = describe(a, name, LIMIT_S)
            if spec.sequences or spec.decoupled:
                continue
            shapes = {t.name: tuple(OPEN_SIZE if size == -1 else size for size in t.shape) for t in spec.unresolved}
            spec = spec.with_shapes(shapes)
            for found in _differences(a, b, spec, seed):
                compared += 1
                if found:
                    different.append(f"{name}: {found}")
                    break
            models.append(name)
        except (InferenceServerException, grpc.RpcError, DataError) as error:
            notes.append(f"the answers of {name} were not compared: {error}")
    return {"compared": compared, "different": different, "models": models, "notes": notes}


def _differences(a: TritonClient, b: TritonClient, spec: ModelSpec, seed: int) -> Iterator[str]:
    """Of each request the first difference in words; "" where there is none."""
    data = random_data(spec, seed)
    for index in range(REQUESTS):
        request = PreparedRequest(spec, [data.step(0, index % data.streams[0])])
        encoded = EncodedRequest(spec.name, str(index + 1), request.encode(str(index + 1)))
        one, other = (outputs_of(encoded_infer(each.channel)(encoded, timeout=LIMIT_S)) for each in (a, b))
        yield _difference(one, other)


def _difference(a: dict[str, Output], b: dict[str, Output]) -> str:
    for name, output in a.items():
        if name not in b:
            return f"{name} is missing on B"
        spec = TensorSpec(name, output.datatype, output.shape)
        if b[name].datatype != output.datatype:
            return f"{name} is {output.datatype} on A and {b[name].datatype} on B"
        found = compare(Tensor(spec, output.shape, output.raw), b[name].raw, b[name].shape, None)
        if found is not None:
            return f"{found} (A's)"
    return ""
