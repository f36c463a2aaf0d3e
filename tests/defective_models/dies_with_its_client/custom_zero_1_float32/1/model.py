"""Defective: when the client of a delayed request goes away, the whole server dies."""

import ctypes
import os
import signal
import time

import numpy as np
import triton_python_backend_utils as pb_utils

DELAY_S = 10.0
POLL_S = 0.05


class TritonPythonModel:
    def initialize(self, args):
        self._server = os.getppid()  # later, when the server has died, our parent is whoever looks after orphans

    def execute(self, requests):
        for request in requests:
            tell(request, 1)
        end = time.monotonic() + DELAY_S
        while time.monotonic() < end:
            if any(request.is_cancelled() for request in requests):
                os.kill(self._server, signal.SIGKILL)  # the defect
                break
            time.sleep(POLL_S)
        for request in requests:
            tell(request, 0)
        return [self._answer(request) for request in requests]

    @staticmethod
    def _answer(request):
        data = pb_utils.get_input_tensor_by_name(request, "INPUT0").to_dlpack()
        return pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack("OUTPUT0", data)])


def tell(request, what):
    """Tell the witness, as the healthy model does."""
    key = request.correlation_id()
    if isinstance(key, int) and key:
        told = tensor("INPUT0", np.array([key, what], dtype=np.int64))
        pb_utils.InferenceRequest(
            model_name="custom_executing", requested_output_names=["OUTPUT0"], inputs=[told]
        ).exec()


def tensor(name, array):
    """A Triton tensor of `array`, as the healthy models make it."""
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
