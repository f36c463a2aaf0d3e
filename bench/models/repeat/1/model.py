"""Answers each request COUNT times, as fast as it can: what is measured is the stream, not the model."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.response = pb_utils.InferenceResponse([pb_utils.Tensor("OUT", np.zeros(1, np.int32))])

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            for _ in range(int(pb_utils.get_input_tensor_by_name(request, "COUNT").as_numpy()[0])):
                sender.send(self.response)
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
