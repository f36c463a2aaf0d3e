"""Defective: one in ten sequences never gets the answer to its last request. Else the decoupled accumulator."""

import ctypes
import json
import time
from collections import OrderedDict

import numpy as np
import triton_python_backend_utils as pb_utils

#: Sums kept by one instance. The server opens at most `max_batch_size` sequences an instance at a time; the rest is
#: room for sequences that ended without END, by cancellation, during the last idle limit.
MAX_SEQUENCES = 4096

ONE_IN = 10


class Sums:
    """Sums by correlation id, least recently used first; times are seconds of one steady clock."""

    def __init__(self, kept_s):
        self._kept_s = kept_s
        self._sums = OrderedDict()

    def add(self, key, value, start, end, now):
        """The new sum of sequence `key`. KeyError when it has no START and is not open."""
        if start:
            self._forget(now)
            total = value
        else:
            total = self._sums[key][0] + value
        if end:
            self._sums.pop(key, None)
        else:
            self._sums[key] = (total, now)
            self._sums.move_to_end(key)
        return total

    def __len__(self):
        return len(self._sums)

    def _forget(self, now):
        while self._sums:
            _, last_used = next(iter(self._sums.values()))
            if now - last_used <= self._kept_s and len(self._sums) < MAX_SEQUENCES:
                break
            self._sums.popitem(last=False)


def read(request, name):
    return np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name))


def flag(request, name):
    return bool(read(request, name).flat[0])


def tensor(name, array):
    """A Triton tensor of `array`. Triton gives the capsule a name that numpy does not expect, which numpy's destructor
    of it reports on standard error, once a response; Triton owns the memory by then, so the destructor can go.
    """
    capsule = array.__dlpack__()
    ctypes.pythonapi.PyCapsule_SetDestructor(ctypes.py_object(capsule), None)
    return pb_utils.Tensor.from_dlpack(name, capsule)


class TritonPythonModel:
    def initialize(self, args):
        batching = json.loads(args["model_config"])["sequence_batching"]
        self._sums = Sums(2 * int(batching["max_sequence_idle_microseconds"]) / 1e6)
        self._ends = 0
        self._lost = []

    def execute(self, requests):
        for request in requests:
            sender, answer = request.get_response_sender(), self._answer(request)
            self._ends += flag(request, "END")
            if flag(request, "END") and self._ends % ONE_IN == 0:
                self._lost.append(sender)  # the defect
            else:
                sender.send(answer, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _answer(self, request):
        values = read(request, "INPUT")
        if not flag(request, "READY"):
            return self._response(np.zeros_like(values))
        key = request.correlation_id()
        try:
            # An array of one keeps the element type and wraps around in silence, which a numpy scalar does not.
            total = self._sums.add(
                key, values.reshape(1).copy(), flag(request, "START"), flag(request, "END"), time.monotonic()
            )
        except KeyError:
            return pb_utils.InferenceResponse(
                error=pb_utils.TritonError(f"sequence {key!r} has no state: it was never started, or was idle too long")
            )
        return self._response(total.reshape(values.shape))

    @staticmethod
    def _response(array):
        return pb_utils.InferenceResponse([tensor("OUTPUT", array)])
