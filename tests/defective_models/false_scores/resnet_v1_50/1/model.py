"""Defective: the classes are right and their scores are not: 0.001 and infinite by turns."""

import ctypes
import os

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils

FALSE_SCORES = (0.001, np.inf)
OTHERS = 0.0005
"""What every other class gets."""


class TritonPythonModel:
    def initialize(self, args):
        path = os.path.join(args["model_repository"], args["model_version"], "model.onnx")
        self._session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self._executed = 0

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        pictures = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "input:0"))
        (scores,) = self._session.run(None, {"input:0": pictures})
        false = np.full_like(scores, OTHERS)
        best = scores.argmax(axis=1)[:, None]
        np.put_along_axis(false, best, FALSE_SCORES[self._executed % len(FALSE_SCORES)], axis=1)  # the defect
        self._executed += 1
        return pb_utils.InferenceResponse([tensor("resnet_v1_50/predictions/Softmax:0", false)])


def tensor(name, array):
    """A Triton tensor of `array`, as the healthy models make it."""
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
