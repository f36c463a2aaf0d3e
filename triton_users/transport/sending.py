"""Sends a message of any size under flow control, in slices that leave the hub its turn; knows frames only by name."""

from __future__ import annotations

from collections.abc import Iterable
from time import perf_counter
from typing import Any, Final

from gevent import sleep

from triton_users.transport.exchange import Exchange
from triton_users.transport.messages import PREFIX, StreamedMessage

#: How long one greenlet sends before the hub has its turn. Half of the 5 ms for which the hub may be held, because one more
#: piece may be in the making.
SLICE_S: Final = 0.0025


def send_large(call: Exchange, opening: bytes, prefix: bytes, message: bytes | StreamedMessage, end_stream: bool) -> int:
    """Send `opening` (HEADERS, or nothing), the prefix and the message on the call's stream: the count of message bytes taken.

    Returns early, without an error, when the call is over. ValueError if a StreamedMessage's chunks do not have its length.
    """
    link, stream = call.link, call.stream
    assert link is not None and stream is not None
    pieces: Iterable[Any] = message.chunks if isinstance(message, StreamedMessage) else (message,)
    left = len(message)
    slice_ends_s = perf_counter() + SLICE_S
    view = memoryview(prefix)
    chunks = iter(pieces)
    first = True
    while True:
        last = end_stream and (left == 0 if first else len(view) == left)
        while len(view):
            if call.over:
                return len(message) - left
            if link.backlog:
                if opening:
                    link.send(opening)
                    opening = b""
                link.when_writable(call)
                call.wait()
                continue
            taken, parts = link.core.take_data(stream, view, last)
            if opening:
                parts.insert(0, opening)
                opening = b""
            if parts:
                link.send_parts(parts)
            if taken:
                view = view[taken:]
                left -= 0 if first else taken
            else:
                call.wait()
            if perf_counter() > slice_ends_s:
                sleep(0)
                slice_ends_s = perf_counter() + SLICE_S
        if first and not left:
            return len(message)
        first = False
        if not left:
            return len(message)
        view = _next_view(chunks, left, message)


def _next_view(chunks: Any, left: int, message: Any) -> memoryview:
    chunk = next(chunks, None)
    if chunk is None:
        raise ValueError(f"the chunks of a StreamedMessage({len(message)}) end {left} bytes early")
    view = memoryview(chunk).cast("B")
    if len(view) > left:
        raise ValueError(f"the chunks of a StreamedMessage({len(message)}) hold more than that")
    return view


def prefix_of(message: bytes | StreamedMessage) -> bytes:
    """The uncompressed prefix of a message."""
    return PREFIX.pack(0, len(message))
