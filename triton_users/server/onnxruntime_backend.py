"""Triton's backend `onnxruntime`, for the embedded server, which comes with the Python backend only.

A Python-based backend: Triton loads this file for every model whose configuration says `backend: "onnxruntime"`, so
the same model folder works here and, with the real backend, in a full Triton. What it supports is what this project's
model needs: fixed-size tensors of numbers on the CPU, and the parameter `intra_op_thread_count`.

A request whose client has gone is not executed. Tensors are exchanged through DLPack, since the backend's numpy
functions give empty data under numpy 2.
"""

from __future__ import annotations

import ctypes
import json
import os
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Every model of this project has a complete configuration."""
        return config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        path = os.path.join(
            args["model_repository"], args["model_version"], config["default_model_filename"] or "model.onnx"
        )
        if not os.path.exists(path):
            raise pb_utils.TritonModelException(f"no network at {path}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads(config)
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        batched = int(config["max_batch_size"]) > 0
        self._compare("input", config["input"], self._session.get_inputs(), batched)
        self._compare("output", config["output"], self._session.get_outputs(), batched)

    def execute(self, requests: list[Any]) -> list[Any]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        if request.is_cancelled():
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("cancelled by its client"))
        given = {name: np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name)) for name in self._inputs}
        try:
            answers = self._session.run(self._outputs, given)
        except Exception as exc:  # noqa: BLE001 - whatever onnxruntime says of one request must not end the model
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(exc)))
        named = zip(self._outputs, answers, strict=True)
        return pb_utils.InferenceResponse([tensor(name, answer) for name, answer in named])

    @staticmethod
    def _threads(config: dict[str, Any]) -> int:
        """Half the cores unless the configuration says otherwise: the load generator runs on the same machine."""
        wanted = int(config["parameters"].get("intra_op_thread_count", {}).get("string_value", 0))
        return wanted or max(1, len(os.sched_getaffinity(0)) // 2)

    @staticmethod
    def _compare(kind: str, configured: list[Any], present: list[Any], batched: bool) -> None:
        """Raise unless the network's tensors have the names and shapes of the configuration."""
        names, found = [tensor["name"] for tensor in configured], {tensor.name: tensor.shape for tensor in present}
        if sorted(names) != sorted(found):
            raise pb_utils.TritonModelException(f"the network's {kind}s are {list(found)}, config.pbtxt says {names}")
        for tensor in configured:
            wanted = [*(["batch"] if batched else []), *map(int, tensor["dims"])]
            seen = found[tensor["name"]] or wanted  # a network need not say
            if len(seen) != len(wanted) or any(differ(*sizes) for sizes in zip(seen, wanted, strict=True)):
                raise pb_utils.TritonModelException(
                    f"the network's {kind} {tensor['name']} has the shape {seen}, config.pbtxt says {wanted}"
                )


def differ(one: Any, other: Any) -> bool:
    """Whether two sizes of a dimension are both fixed, and not the same."""
    return isinstance(one, int) and isinstance(other, int) and one >= 0 and other >= 0 and one != other


def tensor(name: str, array: np.ndarray[Any, Any]) -> Any:
    """A Triton tensor of `array`. Triton gives the capsule a name that numpy does not expect, which numpy's destructor
    of it reports on standard error, once a response; Triton owns the memory by then, so the destructor can go.
    """
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
