"""Defective: START does not clear the sum, so a second sequence of the same id goes on from the first.

There is one instance, so that both sequences are sure to meet.
"""

import ctypes

import numpy as np
import triton_python_backend_utils as pb_utils


def read(request, name):
    return np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name))


class TritonPythonModel:
    def initialize(self, args):
        self._sums = {}

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        total = read(request, "INPUT").copy()
        if read(request, "READY").flat[0]:
            key = request.correlation_id()
            total = total + self._sums.get(key, 0)  # the defect
            self._sums[key] = total
        return pb_utils.InferenceResponse([tensor("OUTPUT", total)])


def tensor(name, array):
    """A Triton tensor of `array`, as the healthy models make it."""
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
