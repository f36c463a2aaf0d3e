"""Defective: one answer in a hundred comes two seconds late."""

import ctypes
import time

import numpy as np
import triton_python_backend_utils as pb_utils

ONE_IN = 100
LATE_S = 2.0


class TritonPythonModel:
    def initialize(self, args):
        self._answers = 0

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        self._answers += 1
        if self._answers % ONE_IN == 0:
            time.sleep(LATE_S)  # the defect
        numbers = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "INPUT0")).copy()
        return pb_utils.InferenceResponse([tensor("OUTPUT0", numbers)])


def tensor(name, array):
    """A Triton tensor of `array`, as the healthy models make it."""
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
