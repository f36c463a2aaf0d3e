"""The data of one file or of several as one: which steps are a stream, and where each of them stands. Reads no file."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from triton_users.inputs.data import InputData, Step
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import ModelSpec


class FileData:
    """The steps of files in their order.

    Files of one stream each make one stream together, a file of several adds them, as perf_analyzer has it. But what is
    a sequence from its first step to its last stays one.
    """

    def __init__(self, files: Sequence[tuple[str, InputData]], model: ModelSpec) -> None:
        """`files`: name and data of each. DataError where some hold whole sequences and others do not."""
        self._files = files
        self.whole = any(data.whole for _, data in files)
        if model.sequences and self.whole and (loose := [name for name, data in files if not data.whole]):
            whole = next(name for name, data in files if data.whole)
            raise DataError(
                f"{whole} holds whole sequences and {loose[0]} steps for sequences of any length; give one kind"
            )
        self._streams: list[list[tuple[int, int]]] = []
        """Of each stream: the files and their streams that it is made of."""
        joined: list[tuple[int, int]] = []
        for number, (_, data) in enumerate(files):
            if len(data.streams) == 1 and not (model.sequences and data.whole):
                if not joined:
                    self._streams.append(joined)
                joined.append((number, 0))
            else:
                self._streams += [[(number, stream)] for stream in range(len(data.streams))]
        self._ends = [list(self._ends_of(stream)) for stream in self._streams]
        self.streams = tuple(ends[-1] for ends in self._ends)

    def _ends_of(self, parts: list[tuple[int, int]]) -> Iterator[int]:
        end = 0
        for number, stream in parts:
            end += self._files[number][1].streams[stream]
            yield end

    def step(self, stream: int, index: int) -> Step:
        name, data, stream, index = self._find(stream, index)
        try:
            return data.step(stream, index)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None

    def place(self, stream: int, index: int) -> str:
        name, data, stream, index = self._find(stream, index)
        return f"{name}, {data.place(stream, index)}"

    def _find(self, stream: int, index: int) -> tuple[str, InputData, int, int]:
        """The file of a step, and its stream and index there."""
        ends = self._ends[stream]
        part = bisect_right(ends, index)
        number, own_stream = self._streams[stream][part]
        return *self._files[number], own_stream, index - (ends[part - 1] if part else 0)
