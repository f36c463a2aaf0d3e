"""gRPC's message framing and compression: each message is a flag, a length and bytes; knows no HTTP/2 and no calls.

Source: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md ("Length-Prefixed-Message") and compression.md.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from struct import Struct
from typing import Final

import grpc

from triton_users.transport.errors import MessageFault
from triton_users.transport.http2.pieces import Pieces, append_piece, join_pieces

#: Compressed flag (0 or 1) and length in bytes.
PREFIX: Final = Struct(">BL")
PREFIX_SIZE: Final = 5
#: What a server may compress its answers with; sent as `grpc-accept-encoding`.
ACCEPTED_ENCODINGS: Final = b"identity, deflate, gzip"

#: zlib's window bits for each encoding: gzip format (RFC 1952), zlib format (RFC 1950, what gRPC calls deflate).
_WINDOW_BITS: Final = {"gzip": 31, "deflate": 15}
_ENCODING_NAMES: Final = {grpc.Compression.Gzip: "gzip", grpc.Compression.Deflate: "deflate"}


class StreamedMessage:
    """A request whose bytes are made while they are sent.

    `chunks` yields buffers (bytes, bytearray, memoryview, C-contiguous numpy array, ...) of together `length` bytes; a
    call that ends early does not ask for the rest. A chunk is held until the next one is made, so two of them bound the
    memory; 256 KiB is a good size, and making one must take well under 5 ms, for that holds the hub. A fresh
    `iter(chunks)` is taken for each attempt to send. It is never compressed.
    """

    __slots__ = ("chunks", "length")

    def __init__(self, length: int, chunks: Iterable[object]) -> None:
        if not 0 <= length < 2**32:
            raise ValueError(f"a gRPC message has 0 to 2**32 - 1 bytes, not {length!r}")
        self.length = length
        self.chunks = chunks

    def __len__(self) -> int:
        return self.length


def encoding_name(compression: grpc.Compression | None) -> str | None:
    """The `grpc-encoding` of a compression; None for none."""
    return None if compression is None else _ENCODING_NAMES.get(compression)


def compress(message: bytes, encoding: str) -> bytes:
    """The compressed form of a message."""
    compressor = zlib.compressobj(wbits=_WINDOW_BITS[encoding])
    return compressor.compress(message) + compressor.flush()


def decompress(packed: bytes, encoding: str, limit: int) -> bytes:
    """The bytes of a compressed message, at most `limit` of them; MessageFault for more, or if it cannot be read."""
    if encoding not in _WINDOW_BITS:
        raise MessageFault(grpc.StatusCode.INTERNAL, f"the server compressed with {encoding!r}, unknown to us")
    inflater = zlib.decompressobj(wbits=_WINDOW_BITS[encoding])
    try:
        message = inflater.decompress(packed, limit + 1)
    except zlib.error as exc:
        raise MessageFault(grpc.StatusCode.INTERNAL, f"undecodable {encoding} message: {exc}") from exc
    if len(message) > limit:
        raise MessageFault(grpc.StatusCode.RESOURCE_EXHAUSTED, f"message decompresses to more than {limit} bytes")
    if not inflater.eof or inflater.unused_data:
        fault = "bytes after the end of a" if inflater.eof else "truncated"
        raise MessageFault(grpc.StatusCode.INTERNAL, f"{fault} {encoding} message")
    return message


class MessageReader:
    """Cuts a stream of bytes into messages, whatever the pieces; copies each byte once."""

    __slots__ = ("_collected", "_length", "_limit", "_packed", "_pieces", "_prefix")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._prefix = bytearray()
        self._pieces: Pieces = []
        self._collected = 0
        self._length = -1
        self._packed = False

    @property
    def between_messages(self) -> bool:
        """Whether no message is incomplete."""
        return self._length < 0 and not self._prefix

    def feed(self, piece: bytes | bytearray) -> list[tuple[bool, bytes]]:
        """The messages that `piece` completes: whether it is compressed, and its bytes.

        MessageFault for an undefined flag or a message over the limit, as soon as its prefix is read.
        """
        messages: list[tuple[bool, bytes]] = []
        position = 0
        size = len(piece)
        while True:
            if self._length < 0:
                if not self._prefix and size - position >= PREFIX_SIZE:  # most are whole: no copy of a copy
                    flag, length = PREFIX.unpack_from(piece, position)
                    start, end = position + PREFIX_SIZE, position + PREFIX_SIZE + length
                    if flag <= 1 and length <= self._limit and end <= size:
                        messages.append((flag == 1, bytes(piece[start:end])))
                        if end == size:
                            return messages
                        position = end
                        continue
                taken = min(PREFIX_SIZE - len(self._prefix), size - position)
                self._prefix += piece[position : position + taken]
                position += taken
                if len(self._prefix) < PREFIX_SIZE:
                    return messages
                self._begin(*PREFIX.unpack(self._prefix))
                self._prefix.clear()
            taken = min(self._length - self._collected, size - position)
            if taken:
                append_piece(self._pieces, piece[position : position + taken])
                self._collected += taken
                position += taken
            if self._collected < self._length:
                return messages
            messages.append((self._packed, join_pieces(self._pieces)))
            self._pieces.clear()
            self._collected = 0
            self._length = -1
            if position == size:
                return messages

    def _begin(self, flag: int, length: int) -> None:
        if flag > 1:
            raise MessageFault(grpc.StatusCode.INTERNAL, f"message flag is {flag}, neither 0 nor 1")
        if length > self._limit:
            raise MessageFault(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"received message larger than max ({length} vs. {self._limit})"
            )
        self._packed = flag == 1
        self._length = length
