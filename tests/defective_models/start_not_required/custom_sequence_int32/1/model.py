"""Defective: sums sequences rightly, but answers a request that belongs to no started sequence."""

import ctypes

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self._sums = {}

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        values = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "INPUT"))
        key, flags = request.correlation_id(), request.flags()
        total = values.copy()
        if not flags & pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_START:
            total = total + self._sums.get(key, 0)  # the defect: 0 where there must be an error
        self._sums[key] = total
        if flags & pb_utils.TRITONSERVER_REQUEST_FLAG_SEQUENCE_END:
            del self._sums[key]
        return pb_utils.InferenceResponse([tensor("OUTPUT", total)])


def tensor(name, array):
    """A Triton tensor of `array`, as the healthy models make it."""
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
