"""Answers of two servers to the same requests: what differs, what only seems to, and what is not compared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc.service_pb2 import (
    ModelConfigResponse,
    ModelInferRequest,
    ModelInferResponse,
    ModelMetadataResponse,
    RepositoryIndexResponse,
)

from triton_users.client.client import TritonClient
from triton_users.client.describe import describe
from triton_users.compare.answers import REQUESTS, compare_answers
from triton_users.inputs.checks import Tolerance
from triton_users.inputs.traffic import ModelTraffic
from triton_users.server import EmbeddedTriton


class RefusedCall(grpc.RpcError):
    """As a channel raises it."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(f"[{code.name}] no")
        self._code = code

    def code(self) -> grpc.StatusCode:
        return self._code


class Answering:
    """A client whose server answers the requests to its model "m", [1], with `answer` of what was sent."""

    def __init__(self, answer: Callable[[float], float]) -> None:
        self.answer = answer
        self.channel = self

    def get_model_repository_index(self, **_: Any) -> Any:
        return RepositoryIndexResponse(models=[{"name": "m", "state": "READY"}])

    def get_model_metadata(self, name: str, **_: Any) -> Any:
        tensors = [[{"name": each, "datatype": "FP32", "shape": [1]}] for each in ("IN", "OUT")]
        return ModelMetadataResponse(name=name, inputs=tensors[0], outputs=tensors[1])

    def get_model_config(self, name: str, **_: Any) -> Any:
        return ModelConfigResponse(config={"name": name})

    def unary_unary(self, *_: Any, **__: Any) -> Any:
        def call(encoded: Any, timeout: float) -> Any:
            raw = ModelInferRequest.FromString(bytes(encoded.encoded)).raw_input_contents[0]
            sent = float(np.frombuffer(raw, np.float32)[0])
            output = {"name": "OUT", "datatype": "FP32", "shape": [1]}
            raw = np.float32(self.answer(sent)).tobytes()
            return ModelInferResponse(model_name="m", outputs=[output], raw_output_contents=[raw])

        return call


def refusing(code: grpc.StatusCode) -> Callable[[float], float]:
    def answer(_: float) -> float:
        raise RefusedCall(code)

    return answer


@pytest.mark.parametrize(("b", "differ"), [(1.0, []), (1.00001, []), (1.5, ["m: OUT[0] is 1.5, not 1.0"])])
def test_answers_are_compared_within_the_tolerance_of_their_datatype(b: float, differ: list[str]) -> None:
    found = compare_answers(Answering(lambda _: 1.0), Answering(lambda _: b), 1)
    assert [each[: len(text)] for each, text in zip(found["different"], differ, strict=True)] == differ
    assert found["models"] == ["m"]
    assert found["compared"] == (1 if differ else REQUESTS)


def test_a_model_under_load_is_sent_its_own_data_and_judged_by_its_own_tolerance(tmp_path: Path) -> None:
    a, b = Answering(lambda sent: sent), Answering(lambda sent: 1.1 * sent)
    (tmp_path / "data.json").write_text('{"data": [{"IN": [7]}, {"IN": [8]}]}')
    traffic = ModelTraffic(describe(a, "m", 1.0), (str(tmp_path / "data.json"),))
    (different,) = compare_answers(a, b, 1, [traffic])["different"]
    assert different.startswith("m: OUT[0] is 7.69999")
    wide = ModelTraffic(traffic.spec, traffic.input_data, tolerances={"OUT": Tolerance(rtol=0.2)})
    assert compare_answers(a, b, 1, [wide])["different"] == []


def test_an_error_of_b_alone_is_a_difference() -> None:
    found = compare_answers(Answering(lambda _: 1.0), Answering(refusing(grpc.StatusCode.INTERNAL)), 1)
    assert found["different"] == ["m: B answers with an error, and A does not: [INTERNAL] no"]


@pytest.mark.parametrize(
    ("a", "b", "why"),
    [
        (refusing(grpc.StatusCode.INTERNAL), lambda _: 1.0, "[INTERNAL] no"),
        (refusing(grpc.StatusCode.INTERNAL), refusing(grpc.StatusCode.INTERNAL), "[INTERNAL] no"),
        (lambda _: 1.0, refusing(grpc.StatusCode.DEADLINE_EXCEEDED), "one took longer than 10 s"),
    ],
)
def test_what_a_cannot_answer_or_b_not_in_time_is_not_compared_and_that_is_said(a: Any, b: Any, why: str) -> None:
    found = compare_answers(Answering(a), Answering(b), 1)
    assert (found["compared"], found["different"], found["models"]) == (0, [], [])
    assert found["notes"] == [f"the answers of m were not compared: {why}"]


def test_a_model_whose_answers_are_never_alike_is_not_called_different() -> None:
    draw = np.random.default_rng(1).random
    found = compare_answers(Answering(lambda _: draw()), Answering(lambda _: draw()), 1)
    assert found["different"] == []
    assert "A answers the same request in another way each time: OUT[0] is" in found["notes"][0]


@pytest.mark.triton
def test_a_real_server_differs_from_itself_in_nothing(triton: EmbeddedTriton) -> None:
    with TritonClient(f"grpc://{triton.grpc_url}") as client:
        found = compare_answers(client, client, 1)
    assert found["different"] == []
    assert found["compared"] == REQUESTS * len(found["models"]) > 0
    assert found["notes"] == ["the answers of custom_zero_1_float32 were not compared: one took longer than 10 s"]
