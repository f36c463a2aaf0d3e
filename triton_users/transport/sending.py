"""Sends a message of any size under flow control, in slices that leave the hub its turn; knows no calls' outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Any, Final

from gevent import sleep

from triton_users.transport.call import Call
from triton_users.transport.http2.stream import StreamState
from triton_users.transport.messages import StreamedMessage

#: How long one greenlet sends before the hub has its turn. Half of the 5 ms for which the hub may be held, because one
#: more chunk may be in the making.
SLICE_S: Final = 0.0025


def send_large(call: Call, opening: bytes, prefix: bytes, message: bytes | StreamedMessage, end_stream: bool) -> None:
    """Send `opening` (HEADERS, or nothing), then the prefix and the message as DATA of the call's stream.

    Returns early, without an error, when the stream or the call is over. ValueError if a StreamedMessage's chunks do
    not have its length; whatever its chunks raise.
    """
    connection, stream = call.connection, call.stream
    assert connection is not None
    assert stream is not None
    core = connection.core
    left = len(prefix) + len(message)
    slice_ends_s = perf_counter() + SLICE_S
    for view in _views(prefix, message):
        while len(view):
            if call.outcome is not None or stream.state >= StreamState.HALF_CLOSED_REMOTE:
                return
            parts: list[bytes | memoryview] = []
            taken = 0
            if not connection.backlog:
                taken, parts = core.take_data(stream, view, end_stream and left == len(view))
            opens = bool(opening)
            if opens:
                parts.insert(0, opening)
                opening = b""
            if parts and not connection.send_parts(parts) and opens:
                stream.unprocessed = True
            if taken:
                view = view[taken:]
                left -= taken
            elif not connection.backlog:
                call.wait()
            else:
                call.wait_until_writable()
            if perf_counter() > slice_ends_s:
                # Not sleep(0): gevent would come back before it looks at any socket or timer, up to 50 times over.
                sleep(1e-6)
                slice_ends_s = perf_counter() + SLICE_S


def _views(prefix: bytes, message: bytes | StreamedMessage) -> Iterator[memoryview]:
    """The bytes to send, piece by piece. ValueError unless they are as many as announced."""
    yield memoryview(prefix)
    if not isinstance(message, StreamedMessage):
        yield memoryview(message)
        return
    left = message.length
    chunks: Iterable[Any] = message.chunks
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        if len(view) > left:
            raise ValueError(f"the chunks of a StreamedMessage({message.length}) hold more than that")
        left -= len(view)
        yield view
        if not left:
            return
    if left:
        raise ValueError(f"the chunks of a StreamedMessage({message.length}) end {left} bytes early")
