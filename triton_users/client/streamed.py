"""Requests whose tensors are sent from where they are: no copy is made of them, and a huge one need not exist.

tritonclient copies a tensor three times before a byte of it leaves, in one go that holds up every other greenlet: 20 ms
and more for a batch of pictures. Here the small fields of the ModelInferRequest are encoded as ever, and its
`raw_input_contents` follow piece by piece (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tritonclient.grpc import InferInput, service_pb2

from triton_users.transport import Channel, Share, StreamedMessage

PIECE_BYTES = 256 * 1024
"""The largest piece handed to the channel at once."""

_TAG = service_pb2.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | 2


class StreamedInput(InferInput):  # type: ignore[misc]  # tritonclient ships no type information
    """An InferInput whose data are `arrays`, one after the other, for `TritonClient.infer`.

    `arrays` are C-contiguous buffers in little-endian order, such as numpy arrays; `shape` is that of all together.
    They must not change until the request has ended.
    """

    def __init__(self, name: str, shape: Sequence[int], datatype: str, arrays: Sequence[Any]) -> None:
        super().__init__(name, list(shape), datatype)
        views = [memoryview(array) for array in arrays]
        self.arrays = [view.cast("B") for view in views if view.nbytes]  # an empty one cannot be cast
        self.size = sum(map(len, self.arrays))
        """Bytes in all arrays."""

    def __iter__(self) -> Iterator[memoryview]:
        for array in self.arrays:
            for start in range(0, len(array), PIECE_BYTES):
                yield array[start : start + PIECE_BYTES]

    def _get_content(self) -> bytes:
        """What tritonclient's own calls send: a copy after all."""
        return b"".join(self.arrays)


class StreamedRequest:
    """A ModelInferRequest without its tensors' bytes, and the bytes: the request that the channel is given."""

    def __init__(self, request: service_pb2.ModelInferRequest, tensors: Iterable[tuple[int, Iterable[Any]]]) -> None:
        """`tensors`: the size of each tensor in bytes, and its pieces, taken anew for each attempt to send."""
        self.model_name: str = request.model_name
        self.id: str = request.id
        self.handed_over = 0
        """Bytes of tensors that the channel has taken to send them."""
        self._head = request.SerializeToString()
        self._tensors = [(varint(_TAG) + varint(size), size, pieces) for size, pieces in tensors]
        length = len(self._head) + sum(len(prefix) + size for prefix, size, _ in self._tensors)
        self.message = StreamedMessage(length, self)

    def __iter__(self) -> Iterator[Any]:
        self.handed_over = 0
        yield self._head
        for prefix, _, pieces in self._tensors:
            yield prefix
            for piece in pieces:
                self.handed_over += len(piece)
                yield piece


def streamed_infer(
    channel: Channel | Share, deserializer: Callable[[bytes], Any] = service_pb2.ModelInferResponse.FromString
) -> Any:
    """ModelInfer on this channel for `StreamedRequest`s: a `grpc.UnaryUnaryMultiCallable`.

    `deserializer` makes of the response's bytes, once the last of them is there, what a call returns.
    """
    return channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=lambda request: request.message,
        response_deserializer=deserializer,
    )


def varint(number: int) -> bytes:
    """Protocol Buffers' base-128 varint of a number from 0."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
