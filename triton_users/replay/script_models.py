"""What a script of a model under load (`--models`) sends and must get: the very requests of the run, and its data.

The requests lie beside the script as the server got them, since their tensors may be of any datatype and size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from triton_users.inputs.answers import of_response, responses_expected
from triton_users.inputs.checks import TOLERANCES, Tolerance
from triton_users.inputs.data import Step, Tensor
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.pool import RequestPool
from triton_users.replay.case import Plan
from triton_users.settings import UsageError


@dataclass(frozen=True)
class Loaded:
    """One model under load."""

    spec: ModelSpec
    tolerances: Mapping[str, Tolerance]
    pool: RequestPool


@dataclass
class Asked:
    """The expressions of a script and the arrays that they name."""

    arrays: dict[str, Any] = field(default_factory=dict)

    def line(self, loaded: Loaded, plan: Plan) -> str:
        """The expression that sends a plan's requests. UsageError where nothing like it can be written."""
        if plan.get("seed"):
            raise UsageError(f"there is no script of {loaded.spec.name}: its requests are made by the user's own code")
        if any(output.classes for output in loaded.spec.outputs):
            raise UsageError(f"there is no script of {loaded.spec.name}: classes are asked for; replay plays it")
        count = loaded.pool.streams[plan["stream"]]
        sent = [loaded.pool.request(plan["stream"], (plan["first"] + i) % count) for i in range(plan["length"])]
        requests = [self._kept(np.frombuffer(each.encoded, np.uint8)) for each in sent]
        wanted = [self._wanted(loaded, each.steps) for each in sent]
        counts = [responses_expected(each.steps) for each in sent]
        streamed = f", ids + {plan['offset']}" if loaded.spec.sequences else ""
        kind = "stream" if loaded.spec.sequences or loaded.spec.decoupled else "ask"
        lacking = [] if loaded.spec.decoupled else [output.name for output in loaded.spec.outputs]
        return f"{kind}({requests}, {wanted}, {counts}, {lacking}{streamed})"

    def _kept(self, array: Any) -> str:
        name = f"a{len(self.arrays)}"
        self.arrays[name] = array
        return name

    def _wanted(self, loaded: Loaded, steps: Sequence[Step]) -> list[list[tuple[Any, ...]]]:
        """Of each response, whose last stands for all that follow, the outputs and what they must be."""
        found = []
        for number in range(responses_expected(steps) or 1):
            outputs = []
            for name in steps[0].expected:
                tensors = [of_response(step.expected[name], number) for step in steps if name in step.expected]
                if len(tensors) == len(steps) and all(tensors):
                    outputs.append(self._output(loaded, name, [each for each in tensors if each is not None]))
            found.append(outputs)
        return found

    def _output(self, loaded: Loaded, name: str, tensors: Sequence[Tensor]) -> tuple[Any, ...]:
        batch = [len(tensors)] if loaded.spec.max_batch_size else []
        datatype = tensors[0].spec.datatype
        limits = loaded.tolerances.get(name) or TOLERANCES.get(datatype, Tolerance())
        raw = np.frombuffer(b"".join(each.raw for each in tensors), np.uint8)
        return name, datatype, [*batch, *tensors[0].shape], self._kept(raw), limits.rtol, limits.atol


PART = '''
DATA = np.load(__file__.removesuffix(".py") + ".npz")

def message(name, number, ids=None, start=False, end=False):
    made = service_pb2.ModelInferRequest.FromString(DATA[name].tobytes())
    made.id = str(number)
    if ids is not None:
        made.parameters["sequence_id"].int64_param = ids
        made.parameters["sequence_start"].bool_param = start
        made.parameters["sequence_end"].bool_param = end
    return made


def stub():  # of this thread
    if not hasattr(OF_THREAD, "stub"):
        largest = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        OF_THREAD.stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(URL, largest))
    return OF_THREAD.stub


def values(raw, datatype):
    if datatype == "BYTES":
        return deserialize_bytes_tensor(raw)
    if datatype == "BF16":  # the upper half of a float
        return (np.frombuffer(raw, np.uint16).astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, triton_to_np_dtype(datatype))


def judge(response, wanted, lacking):
    """What is wrong with one response, or ""."""
    came = {}
    for output, raw in zip(response.outputs, response.raw_output_contents):
        came[output.name] = (output.datatype, list(output.shape), raw)
    for name in lacking:
        if name not in came:
            return f"the answer lacks {name}; it has {', '.join(came) or 'nothing'}"
    for name, datatype, shape, kept, rtol, atol in wanted:
        if name not in came or came[name][:2] != (datatype, shape):
            return f"{name} is {came.get(name, ['missing'])[:2]}, not {datatype} {shape}"
        got, right = values(came[name][2], datatype), values(DATA[kept].tobytes(), datatype)
        if got.dtype.kind == "f":
            wrong = ~np.isclose(got, right, rtol=rtol, atol=atol, equal_nan=True)
        else:
            wrong = got != right
        if np.any(wrong):
            first = np.flatnonzero(wrong)[0]
            return f"{name}[{first}] is {got[first]}, not {right[first]}; {wrong.sum()} of {wrong.size} differ"
    return ""


def ask(requests, wanted, counts, lacking):
    """Send one request; what is wrong with its answer, or ""."""
    try:
        answer = stub().ModelInfer(message(requests[0], 0), timeout=ANSWER_LIMIT_S)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return judge(answer, wanted[0][0], lacking)


def stream(requests, wanted, counts, lacking, ids=None):
    """Send these requests over one stream, without waiting; what is wrong with the answers, or ""."""
    last, came = len(requests) - 1, [0] * len(requests)
    sent = [message(each, i, ids, i == 0, i == last) for i, each in enumerate(requests)]
    try:
        for answer in stub().ModelStreamInfer(iter(sent), timeout=ANSWER_LIMIT_S):
            if answer.error_message:
                return answer.error_message
            response = answer.infer_response
            if not response.outputs:
                continue  # it only says that there are no more
            number = int(response.id or 0)
            of_response = wanted[number][min(came[number], len(wanted[number]) - 1)]
            came[number] += 1
            if counts[number] is not None and came[number] > counts[number]:
                return f"there are more than {counts[number]} responses to request {number}"
            if wrong := judge(response, of_response, lacking):
                return f"response {came[number]} to request {number}: {wrong}"
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    for number, count in enumerate(counts):
        if count is not None and came[number] != count or ids is not None and not came[number]:
            return f"{came[number]} responses to request {number}, not {1 if count is None else count}"
    return ""
'''
IMPORTS = """import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype
"""
