"""The client that the Crashing scenario kills: sends one inference request and waits for its death.

    python -I -S crash_child.py HOST PORT AUTHORITY REQUEST_IN_HEX

A program of its own that needs nothing but the standard library, so that it starts in about 20 ms. It speaks just
enough HTTP/2 for one gRPC call. It writes to its standard output, a line each: "started"; "connected"; "reached", once
the server has acknowledged a PING sent behind the request, so has read all of the request. When the server ends the
call or the connection, it writes the frames that say why, "frame TYPE FLAGS PAYLOAD_IN_HEX", and "ended", or the error,
and exits with 1; so it does when its standard input closes because its parent has gone.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
from collections.abc import Iterator
from enum import IntEnum

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATH = "/inference.GRPCInferenceService/ModelInfer"
CONNECT_LIMIT_S = 10.0
SHOWN_BYTES = 1000
"""Of an answer's body, for instance a proxy's page that says what it minds."""
HEADERS = "TRITON_USERS_CRASH_CLIENT_HEADERS"
"""Environment variable with the call's other headers, a line NAME VALUE each: a command line is anybody's to read."""
ACK = 0x1
END_STREAM = 0x1
END_HEADERS = 0x4


class Frame(IntEnum):
    """The frame types used here (RFC 9113, section 6)."""

    DATA = 0x0
    HEADERS = 0x1
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PING = 0x6
    GOAWAY = 0x7


def frame(kind: Frame, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def text(value: str) -> bytes:
    """A string, not Huffman coded: its length as an integer of a 7-bit prefix, and its bytes (RFC 7541, 5)."""
    rest, length = len(value) - 127, bytearray([min(len(value), 127)])
    while rest >= 128:
        length.append(rest & 127 | 128)
        rest >>= 7
    if rest >= 0:
        length.append(rest)
    return bytes(length) + value.encode()


def header(name: str, value: str) -> bytes:
    """A literal header field, never indexed (RFC 7541, 6.2.3)."""
    return b"\x10" + text(name) + text(value)


def call(authority: str, request: bytes, more: str) -> bytes:
    """All that the client sends by itself: the preface, one unary call and a PING. `more`: as in HEADERS."""
    headers = b"".join(
        header(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", PATH),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            *(line.split(" ", 1) for line in more.splitlines()),
        )
    )
    message = b"\x00" + struct.pack(">I", len(request)) + request
    return (
        PREFACE
        + frame(Frame.SETTINGS, 0, 0, b"")
        + frame(Frame.HEADERS, END_HEADERS, 1, headers)
        + frame(Frame.DATA, END_STREAM, 1, message)
        + frame(Frame.PING, 0, 0, b"crashing")
    )


def frames(connection: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """(type, flags, payload) of each frame received, until the connection or our standard input ends."""
    received = bytearray()
    while True:
        while len(received) >= 9 and len(received) >= 9 + (length := int.from_bytes(received[:3], "big")):
            yield received[3], received[4], bytes(received[9 : 9 + length])
            del received[: 9 + length]
        readable, _, _ = select.select([connection.fileno(), 0], [], [])
        if 0 in readable and not os.read(0, 1):
            return
        if connection.fileno() in readable:
            piece = connection.recv(65536)
            if not piece:
                return
            received += piece


def main(host: str, port: str, authority: str, request: str) -> int:
    os.write(1, b"started\n")
    try:
        with socket.create_connection((host, int(port)), CONNECT_LIMIT_S) as connection:
            connection.settimeout(None)
            os.write(1, b"connected\n")
            connection.sendall(call(authority, bytes.fromhex(request), os.environ.get(HEADERS, "")))
            converse(connection)
        os.write(1, b"ended\n")
    except OSError as exc:
        os.write(1, f"{type(exc).__name__}: {exc}\n".encode())
    return 1


def converse(connection: socket.socket) -> None:
    """Answer what the protocol wants answered, until the call or the connection ends."""
    shown = 0
    for kind, flags, payload in frames(connection):
        if kind == Frame.SETTINGS and not flags & ACK:
            connection.sendall(frame(Frame.SETTINGS, ACK, 0, b""))
        elif kind == Frame.PING and not flags & ACK:
            connection.sendall(frame(Frame.PING, ACK, 0, payload))
        elif kind == Frame.PING:
            os.write(1, b"reached\n")
        elif kind in (Frame.HEADERS, Frame.DATA, Frame.RST_STREAM, Frame.GOAWAY):
            payload = payload[: SHOWN_BYTES - shown] if kind == Frame.DATA else payload
            shown += len(payload) if kind == Frame.DATA else 0
            os.write(1, b"frame %d %d %s\n" % (kind, flags, payload.hex().encode()))
            if shown >= SHOWN_BYTES or kind in (Frame.RST_STREAM, Frame.GOAWAY) or flags & END_STREAM:
                return


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
