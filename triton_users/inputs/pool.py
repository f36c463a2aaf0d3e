"""The requests of one model under load: input data, drawn by a plan, encoded once, kept within a bound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from triton_users.inputs.data import InputData
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.requests import PreparedRequest

KEPT_BYTES = 128 * 1024 * 1024
"""The most that a model's encoded requests take in a process, in bytes; those used longest ago are encoded again."""


class RequestPool:
    """Encoded requests of one model. Shared by all users of a process."""

    def __init__(self, model: ModelSpec, data: InputData, batch_size: int = 1, kept_bytes: int = KEPT_BYTES) -> None:
        """`batch_size`: consecutive steps in one request, 1 where the model has no batch dimension."""
        self.model = model
        self.streams: Sequence[int] = data.streams
        """How many steps each stream of the data has."""
        self.whole = data.whole
        """Whether a sequence is a whole stream (`InputData.whole`)."""
        self._data = data
        self._batch_size = batch_size
        self._kept_bytes = kept_bytes
        self._requests: OrderedDict[tuple[int, int], PreparedRequest] = OrderedDict()
        self._bytes = 0

    def place(self, stream: int, first: int) -> str:
        """Where the steps of the request from `first` on stand, for people."""
        place = self._data.place(stream, first % self.streams[stream])
        return place if self._batch_size == 1 else f"{place} and the {self._batch_size - 1} after it"

    def request(self, stream: int, first: int) -> PreparedRequest:
        """The request of the steps from `first` on; behind a stream's last step its first one follows.

        DataError when they cannot be read or do not make a batch.
        """
        key = (stream, first)
        found = self._requests.get(key)
        if found is not None:
            self._requests.move_to_end(key)
            return found
        count = self.streams[stream]
        steps = [self._data.step(stream, (first + offset) % count) for offset in range(self._batch_size)]
        made = PreparedRequest(self.model, steps)
        self._requests[key] = made
        self._bytes += len(made)
        while self._bytes > self._kept_bytes and len(self._requests) > 1:
            _, dropped = self._requests.popitem(last=False)
            self._bytes -= len(dropped)
        return made
