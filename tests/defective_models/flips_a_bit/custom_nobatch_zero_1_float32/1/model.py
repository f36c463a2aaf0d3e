"""Defective: one answer in a thousand, at random, has one bit flipped somewhere."""

import ctypes
import random

import numpy as np
import triton_python_backend_utils as pb_utils

ONE_IN = 1000


class TritonPythonModel:
    def initialize(self, args):
        self._random = random.Random(7)

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        numbers = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "INPUT0")).copy()
        if numbers.size and self._random.randrange(ONE_IN) == 0:
            bits = numbers.reshape(-1).view(np.uint32)
            bits[self._random.randrange(bits.size)] ^= np.uint32(1 << self._random.randrange(23))  # the defect
        return pb_utils.InferenceResponse([tensor("OUTPUT0", numbers)])


def tensor(name, array):
    """A Triton tensor of `array`, as the healthy models make it."""
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
