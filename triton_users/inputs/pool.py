"""The requests of one model under load: input data, drawn by a plan, encoded once, kept within a bound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from triton_users.inputs.data import InputData
from triton_users.inputs.datatypes import DataError
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

    def entry(self, name: str) -> tuple[int, int | None]:
        """What a trace names: a stream, and a step of it, None for whichever. DataError when there is none.

        "12" is the entry 12 of the data, counted from 0: a step where they are one stream of those, else a stream, of
        which "3:5" is one step. Of a model whose sequences are whole streams it is the stream.
        """
        streams, whole = self.streams, self.whole and self.model.sequences
        numbers = [int(part) if part.isascii() and part.isdigit() else -1 for part in name.split(":")]
        if len(numbers) == 1 and len(streams) == 1 and not whole:
            numbers.insert(0, 0)
        stream, step = numbers[0], numbers[1] if len(numbers) == 2 else None
        if len(numbers) <= 2 and 0 <= stream < len(streams) and (step is None or 0 <= step < streams[stream]):
            if step is None or not whole:
                return stream, step
            raise DataError(f"{name!r} is one step of a sequence, which is sent whole; write {stream}")
        known = f"0 to {len(streams) - 1}" if whole or len(streams) > 1 else f"0 to {streams[0] - 1}"
        steps = " or one step of it, as 0:0" if len(streams) > 1 and not whole else ""
        raise DataError(f"{name!r} is no entry of the input data; it must be {known}{steps}")

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
