"""A server that runs a script of raw bytes on each connection: the peer that breaks every rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gevent import socket
from gevent.server import StreamServer

from triton_users.transport.http2 import frames


@contextmanager
def raw_server(script: Callable[[Any], None]) -> Iterator[str]:
    """Run `script(socket)` for each connection, in a greenlet; the target to connect to."""

    def serve(sock: Any, address: Any) -> None:
        try:
            script(sock)
        except OSError:
            pass  # the client has hung up on its tormentor
        finally:
            sock.close()

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    server = StreamServer(listener, serve)
    server.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stop(timeout=0.1)


def greet(sock: Any, settings: dict[frames.Setting, int] | None = None) -> bytes:
    """Send SETTINGS; read until the first HEADERS of the client: all that was read."""
    sock.sendall(frames.encode_settings(settings or {}))
    received = b""
    while not _has_headers(received):
        data = sock.recv(65_536)
        if not data:
            raise OSError("the client went away")
        received += data
    return received


def _has_headers(data: bytes) -> bool:
    position = len(frames.PREFACE)
    while position + 9 <= len(data):
        high, low, kind, _, _ = frames.FRAME_HEADER.unpack_from(data, position)
        if kind == frames.FrameType.HEADERS:
            return True
        position += 9 + (high << 8 | low)
    return False
