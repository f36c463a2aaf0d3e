"""What the channel tells about each call's time and size, and of its connections; owns no state, knows no statistics.

All methods run in a greenlet of the call (the caller's, the stream reader's or the stream's request pump) or of the
channel, never in the hub, and must not block. Times are `time.perf_counter()` seconds. Sizes are message bytes, without
framing or headers. Serialising and deserialising lie outside every interval.
"""

from __future__ import annotations

from typing import Any, Protocol

from triton_users.transport.errors import CallError


class StreamInfo:
    """One streaming call, as all its events name it: the same object each time, hashable by identity."""

    __slots__ = ("__weakref__", "called_s", "half_closed", "method", "note")

    def __init__(self, method: str, called_s: float) -> None:
        #: The method's path, such as `/inference.GRPCInferenceService/ModelStreamInfer`.
        self.method = method
        #: When the call was made.
        self.called_s = called_s
        #: Whether the caller has said that no more requests follow.
        self.half_closed = False
        #: The observer's own; this package never touches it.
        self.note: Any = None


class CallObserver(Protocol):
    """Implement all five; each is called once per event, in the order of events of one call."""

    def unary_done(
        self,
        method: str,
        request: Any,
        response: Any,
        error: CallError | None,
        called_s: float,
        started_s: float | None,
        ended_s: float,
        sent_bytes: int,
        received_bytes: int,
    ) -> None:
        """A unary-unary call ended.

        `called_s` is when the call was made; `started_s` is just before its first byte was handed to the socket (None
        if none ever was); `ended_s` is when its last byte had been parsed, or when it failed. So `started_s - called_s`
        is time queued in this client (no connection yet, MAX_CONCURRENT_STREAMS reached) and `ended_s - started_s` is
        the server's time. `response` is the deserialised message, None on an error. After a transparent retry the times
        are those of the last attempt, except `called_s`.
        """
        ...

    def stream_sent(self, call: StreamInfo, request: Any, at_s: float, size: int) -> None:
        """A request of a streaming call is on its way; `at_s` is just before its first byte was handed to the socket.

        It is called before the bytes are handed over, so that no response can be seen before its request.
        """
        ...

    def stream_received(self, call: StreamInfo, response: Any, at_s: float, size: int) -> None:
        """A response of a streaming call was taken by its reader; `at_s` is when its last byte had been parsed."""
        ...

    def stream_done(self, call: StreamInfo, error: CallError | None, at_s: float) -> None:
        """A streaming call ended; `error` is None if its status is OK. Called once for every streaming call made."""
        ...

    def connection_opened(self, reason: str | None) -> None:
        """The channel has a connection again; `reason` is why the one before took no more calls, None for the first.

        Of a connection that several share, one of their observers is told.
        """
        ...
