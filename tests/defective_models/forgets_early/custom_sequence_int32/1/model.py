"""A true accumulator: each response is the sum of its sequence so far. It knows no other model and no client.

Contract
    INPUT   one number, shape [1] (with a batch dimension, [1, 1]), INT32 or FP32 as config.pbtxt says.
    OUTPUT  same shape and type: the sum of every INPUT of this sequence since its START, this one included.
            INT32 wraps around as two's complement does; FP32 equals a running numpy.float32 sum, bit for bit.
    START   starts the sum at zero, also when the sequence was open already.
    END     releases the sum once the response is built.
    READY   0 marks the filler requests that the batcher puts into empty slots; they are answered with zero.
    ids     the request's own correlation id, an unsigned integer or a string.

State lives here, one table for each model instance; the server keeps a sequence on one instance. A sum whose sequence
has been silent for twice the server's idle limit is dropped, since the server has forgotten it too, and the table never
holds more than MAX_SEQUENCES. Not sooner: the server counts from a request's arrival, which is before its execution.

Tensors are exchanged through DLPack: the backend's numpy functions give empty data under numpy 2.
This file is the same in every `custom_*_sequence_*` model, so that each folder is complete in itself.
"""

import ctypes
import json
import time
from collections import OrderedDict

import numpy as np
import triton_python_backend_utils as pb_utils

#: Sums kept by one instance. The server opens at most `max_batch_size` sequences an instance at a time; the rest is
#: room for sequences that ended without END, by cancellation, during the last idle limit.
MAX_SEQUENCES = 4096


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

    def execute(self, requests):
        return [self._answer(request) for request in requests]

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
