"""Requests encoded once and sent many times: only their ids and sequence fields differ. Sends nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tritonclient.grpc import service_pb2

from triton_users.inputs.data import Step, Tensor
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import ModelSpec


class PreparedRequest:
    """The ModelInferRequest of one step, or of several as one batch, without an id: can be sent as it is.

    Protocol Buffers' fields may stand in any order, and two messages' bytes one after the other are the message that
    has the fields of both (https://protobuf.dev/programming-guides/encoding/#last-one-wins).
    """

    id: ClassVar = ""

    def __init__(self, model: ModelSpec, steps: Sequence[Step]) -> None:
        """`steps`: 1 for a model without a batch dimension.

        DataError when the steps' tensors cannot stand in one batch.
        """
        self.model_name = model.name
        self.steps = tuple(steps)
        self.checked = any(step.expected for step in steps)
        """Whether its answer is compared with anything."""
        _named_alike(steps)
        message = service_pb2.ModelInferRequest(model_name=model.name, model_version=model.version)
        for name, first in steps[0].inputs.items():
            tensors = [_of(step, name, first) for step in steps]
            batch = (len(steps),) if model.max_batch_size else ()
            message.inputs.add(name=name, datatype=first.spec.datatype, shape=(*batch, *first.shape))
            message.raw_input_contents.append(b"".join(each.raw for each in tensors))
        for output in model.outputs:
            requested = message.outputs.add(name=output.name)
            if output.classes:
                requested.parameters["classification"].int64_param = output.classes
        if model.decoupled:
            message.parameters["triton_enable_empty_final_response"].bool_param = True  # or its end would be unknown
        self.encoded: bytes = message.SerializeToString()

    def __len__(self) -> int:
        return len(self.encoded)

    def encode(self, request_id: str) -> bytes:
        """The whole message, with this id."""
        return self.encoded + _id_field(request_id)

    def encode_in_sequence(self, request_id: str, correlation_id: int | str, *, start: bool, end: bool) -> bytes:
        """The whole message, as one of a sequence."""
        message = service_pb2.ModelInferRequest(id=request_id)
        if isinstance(correlation_id, str):
            message.parameters["sequence_id"].string_param = correlation_id
        else:
            message.parameters["sequence_id"].int64_param = correlation_id
        message.parameters["sequence_start"].bool_param = start
        message.parameters["sequence_end"].bool_param = end
        fields: bytes = message.SerializeToString()
        return self.encoded + fields


def _named_alike(steps: Sequence[Step]) -> None:
    """DataError when not all of them have the same inputs."""
    for step in steps:
        if lacking := steps[0].inputs.keys() ^ step.inputs.keys():
            raise DataError(f"{min(lacking)} is in some steps of a batch and not in all of them")


def _of(step: Step, name: str, first: Tensor) -> Tensor:
    found = step.inputs[name]
    if found.shape != first.shape:
        raise DataError(f"{name} is {list(found.shape)} in a batch whose first step has {list(first.shape)}")
    return found


def _id_field(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) < 128:
        return b"\x1a%c%b" % (len(encoded), encoded)
    message: bytes = service_pb2.ModelInferRequest(id=text).SerializeToString()
    return message
