"""An identity, at once or after a delay. It knows no other model and no client.

Contract
    INPUT0   FP32, shape [-1] (with a batch dimension, [b, -1]).
    OUTPUT0  the same numbers in the same shape.

Parameter `execute_delay_ms` of config.pbtxt (0 when absent): how long one execution takes. The delay ends early once
every client of the batch has cancelled or gone, so that clients that crash leave no work behind; such a request is
answered with the error "cancelled by its client", which nobody reads.

Tensors are exchanged through DLPack: the backend's numpy functions give empty data under numpy 2.
This file is the same in every `custom_*zero_1_float32` model, so that each folder is complete in itself.
"""

import json
import time

import triton_python_backend_utils as pb_utils

#: How often a delayed execution looks whether its clients are still there, in seconds.
POLL_S = 0.05


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        self._delay_s = float(parameters.get("execute_delay_ms", {}).get("string_value", 0)) / 1000

    def execute(self, requests):
        if self._delay_s > 0:
            self._delay(requests)
        return [self._answer(request) for request in requests]

    def _delay(self, requests):
        end = time.monotonic() + self._delay_s
        while time.monotonic() < end and not all(request.is_cancelled() for request in requests):
            time.sleep(POLL_S)

    def _answer(self, request):
        if self._delay_s > 0 and request.is_cancelled():
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("cancelled by its client"))
        data = pb_utils.get_input_tensor_by_name(request, "INPUT0").to_dlpack()
        return pb_utils.InferenceResponse([pb_utils.Tensor.from_dlpack("OUTPUT0", data)])
