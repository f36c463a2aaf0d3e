"""The witness: tells which requests a slow model is executing right now. It knows ids, not who sent or serves them.

A client that means to be killed in the middle of an inference needs a second client that knows when the inference has
begun; Triton itself reports a request only once it is over. So a slow model says here, from inside the server, that it
begins and ends, and anyone may ask, over the same gRPC service.

Contract
    INPUT0   INT64, shape [2]: an id (not 0), and what about it: 1 it begins, 0 it ends, -1 does it execute now?
    OUTPUT0  INT64, shape [1]: 1 when the id executes after this request, else 0.

State: a table of the ids that execute, of at most MAX_IDS; the oldest is forgotten first. The one instance is the one
table. Tensors are exchanged through DLPack: the backend's numpy functions give empty data under numpy 2.
"""

import ctypes

import numpy as np
import triton_python_backend_utils as pb_utils

#: More than any slow model executes at once.
MAX_IDS = 4096

ENDS, BEGINS = 0, 1


def tensor(name, array):
    """A Triton tensor of `array`. Triton gives the capsule a name that numpy does not expect, which numpy's destructor
    of it reports on standard error, once a response; Triton owns the memory by then, so the destructor can go.
    """
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)


class TritonPythonModel:
    def initialize(self, args):
        self._executing = {}

    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        key, what = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "INPUT0")).tolist()
        if what == BEGINS:
            self._executing[key] = True
            if len(self._executing) > MAX_IDS:
                del self._executing[next(iter(self._executing))]
        elif what == ENDS:
            self._executing.pop(key, None)
        answer = np.array([key in self._executing], dtype=np.int64)
        return pb_utils.InferenceResponse([tensor("OUTPUT0", answer)])
