"""Defective: what a sequence without END left is kept for ever, and the next START of its id goes on from there.

A START within the idle limit, when the sequence is still open on the server, clears the sum as it must. There is one
instance, so that the next START comes to the same one.
"""

import ctypes
import json
import time

import numpy as np
import triton_python_backend_utils as pb_utils


def read(request, name):
    return np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name))


class TritonPythonModel:
    def initialize(self, args):
        batching = json.loads(args["model_config"])["sequence_batching"]
        self._sums = {}
        self._idle_limit_s = int(batching["max_sequence_idle_microseconds"]) / 1e6

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        total = read(request, "INPUT").copy()
        if read(request, "READY").flat[0]:
            key, now = request.correlation_id(), time.monotonic()
            kept, last_used = self._sums.get(key, (0, now))
            is_open = now - last_used <= self._idle_limit_s
            if not (read(request, "START").flat[0] and is_open):
                total = total + kept  # the defect: at a START too, when the slot was reclaimed
            self._sums[key] = (total, now)
            if read(request, "END").flat[0]:
                del self._sums[key]
        return pb_utils.InferenceResponse([tensor("OUTPUT", total)])


def tensor(name, array):
    """A Triton tensor of `array`, as the healthy models make it."""
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
