"""One RPC method as its calls share it: path, codecs, header fields; knows no connection and no greenlets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import grpc

from triton_users.transport.errors import CallError, MessageFault, Outcome
from triton_users.transport.http2.headers import RequestHead, encode_literal
from triton_users.transport.messages import ACCEPTED_ENCODINGS, StreamedMessage, decompress, encoding_name
from triton_users.transport.metadata import encode_metadata, encode_timeout
from triton_users.transport.options import ChannelOptions

#: Different timeouts whose encoded field is remembered, for each method.
MAX_CACHED_TIMEOUTS: Final = 64


class Method:
    """What is needed to make and read the messages of a method."""

    __slots__ = ("_deserializer", "_fields", "_heads", "_serializer", "_timeouts", "encoding", "options", "path")

    def __init__(
        self,
        path: str,
        authority: str,
        secure: bool,
        options: ChannelOptions,
        serializer: Callable[[Any], Any] | None,
        deserializer: Callable[[bytes], Any] | None,
    ) -> None:
        self.path = path if isinstance(path, str) else path.decode()
        self.options = options
        self.encoding = encoding_name(options.compression)
        self._serializer = serializer
        self._deserializer = deserializer
        self._fields = (
            (b":method", b"POST"),
            (b":scheme", b"https" if secure else b"http"),
            (b":path", self.path.encode()),
            (b":authority", authority.encode()),
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", options.user_agent.encode()),
            (b"grpc-accept-encoding", ACCEPTED_ENCODINGS),
        )
        self._heads: dict[str | None, RequestHead] = {None: RequestHead(self._fields)}
        self._timeouts: dict[float, bytes] = {}

    def encoding_of(self, compression: grpc.Compression | None) -> str | None:
        """The `grpc-encoding` of a call: the call's own choice, else the channel's; None for none."""
        return self.encoding if compression is None else encoding_name(compression)

    def head(self, encoding: str | None) -> RequestHead:
        """The fixed fields of a call."""
        head = self._heads.get(encoding)
        if head is None:
            assert encoding is not None
            head = self._heads[encoding] = RequestHead((*self._fields, (b"grpc-encoding", encoding.encode())))
        return head

    def timeout_field(self, timeout_s: float) -> bytes:
        """The encoded `grpc-timeout`; the same few values come again and again."""
        field = self._timeouts.get(timeout_s)
        if field is None:
            field = encode_literal(b"grpc-timeout", encode_timeout(timeout_s).encode())
            if len(self._timeouts) >= MAX_CACHED_TIMEOUTS:
                self._timeouts.clear()
            self._timeouts[timeout_s] = field
        return field

    def metadata_fields(self, metadata: Iterable[tuple[str, str | bytes]]) -> bytes:
        """The encoded fields of a call's metadata; ValueError for what the protocol does not allow."""
        return b"".join(encode_literal(name, value) for name, value in encode_metadata(metadata))

    def serialize(self, request: Any) -> bytes | StreamedMessage:
        """The message of a request. CallError INTERNAL if it has none, RESOURCE_EXHAUSTED if it is too long."""
        serializer = self._serializer
        try:
            message = request if serializer is None else serializer(request)
        except Exception as exc:
            raise CallError(Outcome(grpc.StatusCode.INTERNAL, f"Exception serializing request! {exc!r}")) from exc
        if len(message) > self.options.max_send_message_bytes:
            limit = self.options.max_send_message_bytes
            text = f"Sent message larger than max ({len(message)} vs. {limit})"
            raise CallError(Outcome(grpc.StatusCode.RESOURCE_EXHAUSTED, text))
        return message  # type: ignore[no-any-return]  # a serializer's type is its owner's

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
