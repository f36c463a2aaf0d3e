"""One HTTP/2 stream of a client: its state, its windows and what has arrived; refuses to know frames, bytes and gRPC.

The states and transitions are those of RFC 9113 section 5.1, without the reserved states (we forbid server push).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from triton_users.transport.http2.headers import HeaderList
from triton_users.transport.http2.pieces import Pieces


class StreamState(IntEnum):
    """Where a stream is in its life. Numbered, because a transition indexes the table."""

    #: Its HEADERS have not been sent.
    IDLE = 0
    #: Both sides may send.
    OPEN = 1
    #: We have ended our side; the response may go on.
    HALF_CLOSED_LOCAL = 2
    #: The response is complete; we have not ended the request.
    HALF_CLOSED_REMOTE = 3
    #: Both sides ended, or one reset it.
    CLOSED = 4


class StreamEvent(IntEnum):
    """What moves a stream from state to state."""

    #: Our HEADERS went out, without END_STREAM.
    SEND_HEADERS = 0
    #: Our HEADERS or DATA went out, with END_STREAM.
    SEND_END = 1
    #: HEADERS or DATA with END_STREAM arrived.
    RECEIVE_END = 2
    #: RST_STREAM in either direction, GOAWAY below the stream, or the loss of the connection.
    RESET = 3


_S: Final = StreamState
#: NEXT_STATE[state][event]; None marks what the connection never lets happen.
NEXT_STATE: Final[tuple[tuple[StreamState | None, ...], ...]] = (
    # SEND_HEADERS  SEND_END              RECEIVE_END            RESET
    (_S.OPEN,       _S.HALF_CLOSED_LOCAL, None,                  _S.CLOSED),  # IDLE
    (None,          _S.HALF_CLOSED_LOCAL, _S.HALF_CLOSED_REMOTE, _S.CLOSED),  # OPEN
    (None,          None,                 _S.CLOSED,             _S.CLOSED),  # HALF_CLOSED_LOCAL
    (None,          _S.CLOSED,            None,                  _S.CLOSED),  # HALF_CLOSED_REMOTE
    (None,          None,                 None,                  _S.CLOSED),  # CLOSED
)  # fmt: skip


class Stream:
    """A stream that the connection opened. Only the connection writes to it, but for `listener` and `inbox`."""

    __slots__ = (
        "ended_s",
        "fault",
        "headers",
        "id",
        "inbox",
        "listener",
        "listener_consumes",
        "receive_unacked",
        "receive_window",
        "received_bytes",
        "reset_code",
        "send_window",
        "state",
        "trailers",
        "unprocessed",
    )

    def __init__(self, stream_id: int, send_window: int, receive_window: int) -> None:
        self.id = stream_id
        self.state = StreamState.IDLE
        #: DATA bytes that we may still send; a SETTINGS change can make it negative.
        self.send_window = send_window
        #: DATA bytes that the peer may still send.
        self.receive_window = receive_window
        #: DATA bytes consumed for which no credit has been given back yet.
        self.receive_unacked = 0
        #: Whether the listener tells, by `Http2Connection.consume`, when it has taken DATA; else it counts as taken on
        #: arrival.
        self.listener_consumes = False
        #: The response's first header list; interim (1xx) ones are dropped.
        self.headers: HeaderList | None = None
        #: The trailers; the same object as `headers` if the response was one header list with END_STREAM.
        self.trailers: HeaderList | None = None
        #: DATA payloads in order; whoever reads them clears the list.
        self.inbox: Pieces = []
        self.received_bytes = 0
        #: The code of the RST_STREAM that the peer sent.
        self.reset_code: int | None = None
        #: Why we, or the loss of the connection, ended it; None if the peer did.
        self.fault: Exception | None = None
        #: True if the peer vouches that it did nothing for this stream (GOAWAY, REFUSED_STREAM).
        self.unprocessed = False
        #: The time that `Http2Connection.receive` was told when the last byte of the response arrived.
        self.ended_s = 0.0
        #: What the layer above attached; it lets go when it is done with the stream.
        self.listener: Any = None

    def move(self, event: StreamEvent) -> None:
        """Make the transition; a forbidden one is our own bug."""
        state = NEXT_STATE[self.state][event]
        assert state is not None, f"stream {self.id}: {event.name} in {self.state.name}"
        self.state = state
