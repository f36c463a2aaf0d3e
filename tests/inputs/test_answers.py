"""The tensors in an answer: raw contents, the typed contents of other servers, parts of batches, numbered responses."""

from typing import Any

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from tests.inputs.specs import model
from triton_users.inputs.answers import mismatch, outputs_of, part, responses_expected
from triton_users.inputs.data import Step, tensor
from triton_users.inputs.datatypes import DataError, encode, from_values
from triton_users.inputs.model import TensorSpec

OUT = TensorSpec("OUT", "INT32", (2,))


def expected(*values: int, shape: tuple[int, ...] | None = None, datatype: str = "INT32") -> Step:
    spec = TensorSpec("OUT", datatype, (2,))
    return Step({}, {"OUT": tensor(spec, encode(from_values(values, datatype), datatype), shape, responses=True)})


def answer(values: list[Any], *shape: int, datatype: str = "INT32", name: str = "OUT") -> Any:
    response = service_pb2.ModelInferResponse()
    response.outputs.add(name=name, datatype=datatype, shape=shape)
    response.raw_output_contents.append(encode(from_values(values, datatype), datatype))
    return response


def judge(steps: list[Step], response: Any, *, batched: bool = False, number: int = 0) -> str:
    return str(mismatch(steps, response, batched=batched, number=number, tolerances={}) or "")


def test_the_right_answer_is_no_mismatch() -> None:
    assert judge([expected(1, 2)], answer([1, 2], 2)) == ""


@pytest.mark.parametrize(
    ("response", "what"),
    [
        (answer([1, 3], 2), "OUT[1] is 3, not 2"),
        (answer([1, 2], 1, 2), "OUT: its shape is [1, 2], not [2]"),
        (answer([1, 2], 2, name="OTHER"), "OUT: the answer has no such output; it has OTHER"),
        (service_pb2.ModelInferResponse(), "it has none"),
        (answer([1, 2], 2, datatype="INT64"), "its datatype is INT64, not INT32"),
        (answer([1], 2), "it has 1 elements, not 2"),
    ],
)
def test_a_wrong_answer_says_what_is_wrong(response: Any, what: str) -> None:
    assert what in judge([expected(1, 2)], response)


def test_each_step_of_a_batch_is_compared_with_its_own_part() -> None:
    steps = [expected(1, 2), expected(3, 4)]
    assert judge(steps, answer([1, 2, 3, 4], 2, 2), batched=True) == ""
    assert judge(steps, answer([3, 4, 1, 2], 2, 2), batched=True).startswith("OUT[0] is 3, not 1")
    assert "the batch has 2" in judge(steps, answer([1, 2], 1, 2), batched=True)


def test_texts_of_a_batch_are_told_apart_by_their_lengths() -> None:
    spec = TensorSpec("OUT", "BYTES", (1,))
    steps = [
        Step({}, {"OUT": tensor(spec, encode(from_values([text], "BYTES"), "BYTES"), None)}) for text in ("a", "long")
    ]
    assert judge(steps, answer(["a", "long"], 2, 1, datatype="BYTES"), batched=True) == ""
    assert "'b'" in judge(steps, answer(["a", "b"], 2, 1, datatype="BYTES"), batched=True)


def test_numbered_responses_are_compared_each_with_its_own() -> None:
    steps = [expected(1, 2, 3, 4, shape=(2, 2))]
    assert [judge(steps, answer(values, 2), number=i) for i, values in enumerate(([1, 2], [3, 4]))] == ["", ""]
    assert "OUT[0] is 1, not 3" in judge(steps, answer([1, 2], 2), number=1)
    assert "more than the 2 responses" in judge(steps, answer([1, 2], 2), number=2)
    assert responses_expected(steps) == 2
    assert responses_expected([expected(1, 2)]) is None


@pytest.mark.parametrize(
    ("datatype", "field", "values"),
    [
        ("BOOL", "bool_contents", [True, False]),
        ("INT8", "int_contents", [-1, 2]),
        ("INT32", "int_contents", [-5, 7]),
        ("INT64", "int64_contents", [-(2**60), 1]),
        ("UINT16", "uint_contents", [1, 65535]),
        ("UINT64", "uint64_contents", [2**63, 1]),
        ("FP32", "fp32_contents", [0.5, -2.0]),
        ("FP64", "fp64_contents", [0.1, 1e300]),
    ],
)
def test_typed_contents_are_read_as_raw_ones_would_be(datatype: str, field: str, values: list[Any]) -> None:
    response = service_pb2.ModelInferResponse()
    output = response.outputs.add(name="OUT", datatype=datatype, shape=[2])
    getattr(output.contents, field).extend(values)
    assert outputs_of(response)["OUT"].raw == encode(from_values(values, datatype), datatype)


def test_typed_texts_are_read_too() -> None:
    response = service_pb2.ModelInferResponse()
    output = response.outputs.add(name="OUT", datatype="BYTES", shape=[2])
    output.contents.bytes_contents.extend([b"a", b"\xff"])
    assert outputs_of(response)["OUT"].raw == encode(np.array([b"a", b"\xff"], object), "BYTES")


def test_contents_that_do_not_divide_are_no_parts() -> None:
    assert part(b"123", "INT8", 0, 2) == b"123"  # the comparison then says how many elements there are
    with pytest.raises(DataError):
        part(b"123", "BYTES", 0, 2)
    assert "no BYTES" in judge(
        [Step({}, {"OUT": tensor(TensorSpec("OUT", "BYTES", (0,)), b"", None)})] * 2, bad_texts(), batched=True
    )


def bad_texts() -> Any:
    response = service_pb2.ModelInferResponse()
    response.outputs.add(name="OUT", datatype="BYTES", shape=[2, 0])
    response.raw_output_contents.append(b"123")
    return response


def test_a_model_describes_what_its_tensors_are() -> None:
    assert str(model(TensorSpec("IN", "FP32", (-1, 3), optional=True)).inputs[0]) == "IN FP32 [-1,3] optional"
