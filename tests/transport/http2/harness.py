"""Our connection and a peer of it, in memory: `h2`'s server, or frames written by hand."""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.events
from hpack import Encoder

from triton_users.transport.http2 import frames
from triton_users.transport.http2.connection import Http2Connection, Limits
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.frames import END_HEADERS, END_STREAM, FrameType
from triton_users.transport.http2.headers import RequestHeaders
from triton_users.transport.http2.stream import Stream

LIMITS = Limits(stream_window=100_000, max_frame=16_384, max_header_list=8_192)
HEADERS = RequestHeaders(
    (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/service/Method"),
        (b":authority", b"host:1"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
)
RESPONSE = [(b":status", b"200"), (b"content-type", b"application/grpc")]
TRAILERS = [(b"grpc-status", b"0")]


class H2Pair:
    """Our connection and `h2`'s server, already introduced to each other."""

    def __init__(self, limits: Limits = LIMITS, **settings: int) -> None:
        self.ours = Http2Connection(limits)
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self.server = h2.connection.H2Connection(config)
        self.server.initiate_connection()
        if settings:
            self.server.update_settings(
                {getattr(h2.settings.SettingCodes, key): value for key, value in settings.items()}
            )
        self.events: list[Any] = []
        self.to_server(self.ours.start())
        self.exchange()

    def to_server(self, data: bytes) -> list[Any]:
        """Give the server bytes of ours: its events."""
        events: list[Any] = self.server.receive_data(data)
        self.events += events
        return events

    def exchange(self) -> list[Stream]:
        """Move bytes both ways until there are none: our streams with news."""
        touched: list[Stream] = []
        while True:
            to_us = self.server.data_to_send()
            if to_us:
                touched += self.ours.receive(to_us, 0.0)
            if self.ours.out:
                out = bytes(self.ours.out)
                self.ours.out.clear()
                self.to_server(out)
            elif not to_us:
                return touched

    def request(self, body: bytes = b"body") -> Stream:
        """Make a small request."""
        opened = self.ours.request(HEADERS, b"", b"", body)
        assert opened is not None
        stream, data = opened
        self.to_server(data)
        return stream

    def answer(self, stream: Stream, body: bytes = b"answer") -> None:
        """A whole answer of the server."""
        self.server.send_headers(stream.id, RESPONSE)
        self.server.send_data(stream.id, body)
        self.server.send_headers(stream.id, TRAILERS, end_stream=True)
        self.exchange()


class HandPeer:
    """Our connection, after a server's SETTINGS, and what is needed to write frames to it by hand."""

    def __init__(self, limits: Limits = LIMITS, greet: bool = True) -> None:
        self.ours = Http2Connection(limits)
        self.ours.start()
        self.encoder = Encoder()
        self.now_s = 0.0
        if greet:
            self.give(frames.encode_settings({}))
            self.ours.out.clear()

    def give(self, data: bytes) -> list[Stream]:
        """Let our side receive bytes."""
        return self.ours.receive(data, self.now_s)

    def request(self) -> Stream:
        """A small request is on its way."""
        opened = self.ours.request(HEADERS, b"", b"", b"body")
        assert opened is not None
        return opened[0]

    def headers(self, stream_id: int, fields: list[tuple[bytes, bytes]], ends: bool = False) -> bytes:
        """A HEADERS frame."""
        return frames.encode_headers(stream_id, self.encoder.encode(fields), ends, 16_384)

    def data(self, stream_id: int, payload: bytes, ends: bool = False) -> bytes:
        """A DATA frame."""
        return frames.encode_frame(FrameType.DATA, END_STREAM if ends else 0, stream_id, payload)

    def answer(self, stream_id: int, body: bytes = b"answer") -> bytes:
        """The frames of a whole answer."""
        return (
            self.headers(stream_id, RESPONSE)
            + self.data(stream_id, body)
            + self.headers(stream_id, TRAILERS, ends=True)
        )

    def goaway_code(self) -> ErrorCode | None:
        """The code of the GOAWAY that ends our output; None if none does."""
        out = bytes(self.ours.out)
        position = 0
        code = None
        while position < len(out):
            high, low, kind, _, _ = frames.FRAME_HEADER.unpack_from(out, position)
            length = high << 8 | low
            if kind == FrameType.GOAWAY:
                code = ErrorCode(int.from_bytes(out[position + 13 : position + 17], "big"))
            position += 9 + length
        return code


def block_frame(stream_id: int, block: bytes, flags: int = END_HEADERS | END_STREAM) -> bytes:
    """A HEADERS frame around any block."""
    return frames.encode_frame(FrameType.HEADERS, flags, stream_id, block)
