"""An identity, at once or after a delay. It knows no client.

Contract
    INPUT0   FP32, shape [-1] (with a batch dimension, [b, -1]).
    OUTPUT0  the same numbers in the same shape.

Parameter `execute_delay_ms` of config.pbtxt (0 when absent): how long one execution takes. The delay ends early once
every client of the batch has cancelled or gone, so that clients that crash leave no work behind; such a request is
answered with the status CANCELLED, which nobody reads.

How another client learns that a delayed request is being executed: the request carries a correlation id (an integer,
`sequence_id` in tritonclient), which this model does not otherwise use. The delay tells the model `custom_executing`
when the id begins and ends; ask that model about the id. Where `custom_executing` is not loaded, nothing is told.

Tensors are exchanged through DLPack: the backend's numpy functions give empty data under numpy 2.
This file is the same in every `custom_*zero_1_float32` model, so that each folder is complete in itself.
"""

import ctypes
import json
import time

import numpy as np
import triton_python_backend_utils as pb_utils

#: How often a delayed execution looks whether its clients are still there, in seconds.
POLL_S = 0.05

WITNESS = "custom_executing"
BEGINS, ENDS = 1, 0


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        self._delay_s = float(parameters.get("execute_delay_ms", {}).get("string_value", 0)) / 1000

    def execute(self, requests):
        if self._delay_s > 0:
            ids = [key for key in (request.correlation_id() for request in requests) if isinstance(key, int) and key]
            tell(ids, BEGINS)
            try:
                self._delay(requests)
            finally:
                tell(ids, ENDS)
        return [self._answer(request) for request in requests]

    def _delay(self, requests):
        end = time.monotonic() + self._delay_s
        while time.monotonic() < end and not all(request.is_cancelled() for request in requests):
            time.sleep(POLL_S)

    def _answer(self, request):
        if self._delay_s > 0 and request.is_cancelled():
            error = pb_utils.TritonError("its client has cancelled or gone", pb_utils.TritonError.CANCELLED)
            return pb_utils.InferenceResponse(error=error)
        data = pb_utils.get_input_tensor_by_name(request, "INPUT0").to_dlpack()
        return pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack("OUTPUT0", data)])


def tell(ids, what):
    """Tell the witness what happens to `ids`; its answer, or that there is no witness, does not matter here."""
    for key in ids:
        told = tensor("INPUT0", np.array([key, what], dtype=np.int64))
        pb_utils.InferenceRequest(model_name=WITNESS, requested_output_names=["OUTPUT0"], inputs=[told]).exec()


def tensor(name, array):
    """A Triton tensor of `array`. Triton gives the capsule a name that numpy does not expect, which numpy's destructor
    of it reports on standard error, once a response; Triton owns the memory by then, so the destructor can go.
    """
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)
