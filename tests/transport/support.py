"""What several tests of the channel need: to wait for a condition, a free port, calls of all four kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import gevent
from gevent import socket
from gevent.event import Event

from triton_users.transport import Channel

KINDS: Final = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def wait_until(condition: Callable[[], Any]) -> None:
    with gevent.Timeout(5):
        while not condition():
            gevent.sleep(0.005)


def free_port() -> int:
    """A port on loopback that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def endless(message: bytes) -> Iterator[bytes]:
    """One request, and then an iterator that blocks for ever."""
    yield message
    Event().wait()


def run(channel: Channel, kind: str, message: bytes = b"x", **options: Any) -> Any:
    """Make a call of any kind and wait for its end; a stream of requests does not end by itself."""
    request: bytes | Iterable[bytes] = endless(message) if kind.startswith("stream") else message
    answer = getattr(channel, kind)("/s/m")(request, **options)
    return list(answer) if kind.endswith("stream") else answer


def begin(channel: Channel, kind: str, message: bytes = b"x", **options: Any) -> Any:
    """Begin a call of any kind: its future or its call object."""
    request: bytes | Iterable[bytes] = endless(message) if kind.startswith("stream") else message
    method = getattr(channel, kind)("/s/m")
    return method(request, **options) if kind.endswith("stream") else method.future(request, **options)
