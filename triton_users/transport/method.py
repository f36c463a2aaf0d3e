"""One RPC method as its calls share it: path, codecs, header fields; knows no connection and no greenlets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import grpc

from triton_users.transport.errors import CallError, MessageFault, Outcome
from triton_users.transport.http2.headers import Fields, RequestHeaders, encode_literal
from triton_users.transport.messages import (
    ACCEPTED_ENCODINGS,
    PREFIX,
    StreamedMessage,
    compress,
    decompress,
    encoding_name,
)
from triton_users.transport.metadata import encode_metadata, encode_timeout
from triton_users.transport.options import ChannelOptions

#: Different timeouts whose encoded field is remembered, for each method.
MAX_CACHED_TIMEOUTS: Final = 64


def common_fields(authority: str, secure: bool, options: ChannelOptions) -> Fields:
    """The header fields that all calls of a channel share."""
    return (
        (b":method", b"POST"),
        (b":scheme", b"https" if secure else b"http"),
        (b":authority", authority.encode()),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", options.user_agent.encode()),
        (b"grpc-accept-encoding", ACCEPTED_ENCODINGS),
        *encode_metadata(options.metadata),
    )


def metadata_fields(metadata: Iterable[tuple[str, str | bytes]] | None) -> bytes:
    """The encoded fields of a caller's metadata; ValueError for what the protocol does not allow."""
    if not metadata:
        return b""
    return b"".join(encode_literal(name, value) for name, value in encode_metadata(metadata))


class Method:
    """What is needed to make and read the messages of a method."""

    __slots__ = ("_common", "_deserializer", "_headers", "_serializer", "_timeouts", "encoding", "options", "path")

    def __init__(
        self,
        path: str,
        common: Fields,
        options: ChannelOptions,
        serializer: Callable[[Any], Any] | None,
        deserializer: Callable[[bytes], Any] | None,
    ) -> None:
        self.path = path if isinstance(path, str) else path.decode()
        self.options = options
        self.encoding = encoding_name(options.compression)
        self._serializer = serializer
        self._deserializer = deserializer
        self._common = common
        # Both are filled at the first use: a stub has two dozen methods and needs one or two.
        self._headers: dict[str | None, RequestHeaders] = {}
        self._timeouts: dict[float, bytes] = {}

    def encoding_of(self, compression: grpc.Compression | None) -> str | None:
        """The `grpc-encoding` of a call: the call's own choice, else the channel's; None for none."""
        return self.encoding if compression is None else encoding_name(compression)

    def headers(self, encoding: str | None) -> RequestHeaders:
        """The fixed fields of a call."""
        headers = self._headers.get(encoding)
        if headers is None:
            compressed = () if encoding is None else ((b"grpc-encoding", encoding.encode()),)
            headers = RequestHeaders(((b":path", self.path.encode()), *self._common, *compressed))
            self._headers[encoding] = headers
        return headers

    def extra_fields(self, timeout_s: float | None, metadata: bytes) -> bytes:
        """The encoded fields that vary by call; `metadata` as `metadata_fields` made it."""
        fields = metadata
        if timeout_s is not None:
            found = self._timeouts.get(timeout_s)
            if found is None:
                found = encode_literal(b"grpc-timeout", encode_timeout(timeout_s).encode())
                if len(self._timeouts) >= MAX_CACHED_TIMEOUTS:
                    self._timeouts.clear()
                self._timeouts[timeout_s] = found
            fields = found + metadata
        return fields

    def serialize(self, request: Any, encoding: str | None) -> tuple[int, bytes, bytes | StreamedMessage]:
        """A request's size, the prefix of its message, and the message, compressed where `encoding` says so.

        CallError INTERNAL if it cannot be serialised, RESOURCE_EXHAUSTED if it is too long.
        """
        serializer = self._serializer
        try:
            message = request if serializer is None else serializer(request)
            size = len(message)
        except Exception as exc:
            raise CallError(Outcome(grpc.StatusCode.INTERNAL, f"Exception serializing request! {exc!r}")) from exc
        if size > self.options.max_send_message_bytes:
            text = f"Sent message larger than max ({size} vs. {self.options.max_send_message_bytes})"
            raise CallError(Outcome(grpc.StatusCode.RESOURCE_EXHAUSTED, text))
        if encoding is None or message.__class__ is StreamedMessage:
            return size, PREFIX.pack(0, size), message
        message = compress(message, encoding)
        return size, PREFIX.pack(1, len(message)), message

    def deserialize(self, packed: bool, message: bytes, encoding: str | None) -> Any:
        """The response in a message. MessageFault if it is compressed without an encoding, or cannot be read."""
        if packed:
            if encoding is None:
                raise MessageFault(grpc.StatusCode.INTERNAL, "compressed message without a grpc-encoding")
            message = decompress(message, encoding, self.options.max_receive_message_bytes)
        deserializer = self._deserializer
        if deserializer is None:
            return message
        try:
            return deserializer(message)
        except Exception as exc:
            raise MessageFault(grpc.StatusCode.INTERNAL, f"Exception deserializing response! {exc!r}") from exc
