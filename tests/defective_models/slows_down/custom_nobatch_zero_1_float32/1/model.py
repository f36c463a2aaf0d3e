"""Defective: each answer takes 20 % longer every minute, from 2 ms on."""

import ctypes
import time

import numpy as np
import triton_python_backend_utils as pb_utils

FIRST_S, EACH_MINUTE = 0.002, 1.2


class TritonPythonModel:
    def initialize(self, args):
        self._begun_s = time.monotonic()

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        numbers = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "INPUT0")).copy()
        time.sleep(FIRST_S * EACH_MINUTE ** ((time.monotonic() - self._begun_s) / 60))  # the defect
        return pb_utils.InferenceResponse([tensor("OUTPUT0", numbers)])


def tensor(name, array):
    """A Triton tensor of `array`, as the healthy models make it."""
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
