"""Defective: each request leaves 64 KiB behind."""

import ctypes

import numpy as np
import triton_python_backend_utils as pb_utils

LEFT = 64 * 1024
"""Bytes."""


class TritonPythonModel:
    def initialize(self, args):
        self._left = []

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        numbers = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "INPUT0")).copy()
        self._left.append(b"x" * LEFT)  # the defect
        return pb_utils.InferenceResponse([tensor("OUTPUT0", numbers)])


def tensor(name, array):
    """A Triton tensor of `array`, as the healthy models make it."""
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
