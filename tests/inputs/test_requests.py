"""Requests that are encoded once: what the server reads must be what tritonclient would have sent."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import InferInput, InferRequestedOutput, service_pb2
from tritonclient.grpc._utils import _get_inference_request

from tests.inputs.specs import ints, model
from triton_users.inputs.data import Step, tensor
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import TensorSpec
from triton_users.inputs.requests import PreparedRequest

OUT = TensorSpec("OUT", "INT32", (4,))
BATCHED = model(ints(), outputs=(OUT,), max_batch_size=8)


def step(values: list[int], spec: TensorSpec | None = None) -> Step:
    spec = spec or ints()
    return Step({spec.name: tensor(spec, np.array(values, "<i4").tobytes(), (len(values),))})


def sent_by_tritonclient(rows: list[list[int]], **fields: Any) -> Any:
    array = np.array(rows, np.int32)
    tensor_ = InferInput("IN", list(array.shape), "INT32").set_data_from_numpy(array)
    common: dict[str, Any] = {"model_version": "", "priority": 0, "timeout": None, "parameters": None}
    plain = {"request_id": "", "sequence_id": 0, "sequence_start": False, "sequence_end": False}
    outputs = [InferRequestedOutput("OUT")]
    request = _get_inference_request(inputs=[tensor_], model_name="m", outputs=outputs, **common, **{**plain, **fields})
    for requested in request.outputs:
        requested.parameters.clear()  # binary_data, which gRPC does not need
    return request


def read(raw: bytes) -> Any:
    return service_pb2.ModelInferRequest.FromString(raw)


@given(st.text(max_size=200).filter(lambda text: text == "" or text.strip()))
def test_a_request_with_an_id_is_what_tritonclient_sends(request_id: str) -> None:
    prepared = PreparedRequest(BATCHED, [step([1, 2, 3, 4])])
    assert read(prepared.encode(request_id)) == sent_by_tritonclient([[1, 2, 3, 4]], request_id=request_id)


def test_steps_stand_one_after_the_other_in_a_batch() -> None:
    prepared = PreparedRequest(BATCHED, [step([1, 2, 3, 4]), step([5, 6, 7, 8])])
    assert read(prepared.encode("")) == sent_by_tritonclient([[1, 2, 3, 4], [5, 6, 7, 8]])


def test_a_model_without_a_batch_dimension_gets_none() -> None:
    request = read(PreparedRequest(model(ints()), [step([1, 2, 3, 4])]).encode("a"))
    assert list(request.inputs[0].shape) == [4]


@pytest.mark.parametrize("correlation_id", [7, 2**62, "a name"])
@pytest.mark.parametrize("start", [True, False])
@pytest.mark.parametrize("end", [True, False])
def test_a_request_of_a_sequence_is_what_tritonclient_sends(correlation_id: Any, start: bool, end: bool) -> None:
    prepared = PreparedRequest(BATCHED, [step([1, 2, 3, 4])])
    sent = prepared.encode_in_sequence("3", correlation_id, start=start, end=end)
    wanted = sent_by_tritonclient(
        [[1, 2, 3, 4]], request_id="3", sequence_id=correlation_id, sequence_start=start, sequence_end=end
    )
    assert read(sent) == wanted


def test_classes_are_asked_of_outputs_that_have_labels() -> None:
    labelled = model(ints(), outputs=(TensorSpec("OUT", "FP32", (10,), labels=True), TensorSpec("X", "FP32", (1,))))
    outputs = read(PreparedRequest(labelled.with_classes(3), [step([1, 2, 3, 4])]).encode("")).outputs
    assert outputs[0].parameters["classification"].int64_param == 3
    assert "classification" not in outputs[1].parameters


def test_steps_of_different_shapes_are_no_batch() -> None:
    open_ = TensorSpec("IN", "INT32", (-1,))
    with pytest.raises(DataError, match=r"IN is \[3\] in a batch whose first step has \[2\]"):
        PreparedRequest(model(open_, max_batch_size=2), [step([1, 2], open_), step([1, 2, 3], open_)])


@pytest.mark.parametrize("first_has_it", [True, False])
def test_steps_of_a_batch_with_other_inputs_are_refused(first_has_it: bool) -> None:
    """A batch has one shape for each input: none can be sent for some of its steps only, and none is left out."""
    more = ints("MORE", optional=True)
    plain = step([1, 2, 3, 4])
    fuller = Step({**plain.inputs, **step([1, 2, 3, 4], more).inputs})
    both = model(ints(), more, outputs=(OUT,), max_batch_size=8)
    with pytest.raises(DataError, match="MORE is in some steps of a batch and not in all of them"):
        PreparedRequest(both, [fuller, plain] if first_has_it else [plain, fuller])
