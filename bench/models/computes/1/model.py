"""Answers with its input after so much work: a hash of BYTES bytes, so that a tenth more of them is a tenth slower."""

import hashlib
import json

import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        self.work = bytes(int(json.loads(args["model_config"])["parameters"]["BYTES"]["string_value"]))

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        hashlib.sha256(self.work).digest()
        given = pb_utils.get_input_tensor_by_name(request, "IN").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("OUT", given)])
