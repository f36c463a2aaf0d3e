"""The open streams of a connection, by id: who is open, whether one more may be, who is blocked; knows no frames."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from triton_users.transport.http2.faults import ConnectionFault, ErrorCode
from triton_users.transport.http2.frames import MAX_WINDOW
from triton_users.transport.http2.stream import Stream, StreamEvent, StreamState

#: Stream ids are 31 bits, and a client's are odd (RFC 9113 section 5.1.1).
LAST_STREAM_ID: Final = 2**31 - 1


class ConnectionState(IntEnum):
    """Where a connection is in its life."""

    #: Waiting for the server's first SETTINGS (RFC 9113 section 3.4).
    OPENING = 0
    #: Streams can be opened.
    OPEN = 1
    #: GOAWAY came, or ids ran out: open streams finish, no new ones.
    DRAINING = 2
    #: Over; every stream has been closed.
    CLOSED = 3


class StreamTable(dict[int, Stream]):
    """Open streams, oldest first; a stream leaves when it is closed. Change it through its methods only."""

    __slots__ = ("_blocked", "_next_id", "state")

    def __init__(self) -> None:
        super().__init__()
        self.state = ConnectionState.OPENING
        self._next_id = 1
        self._blocked: dict[int, Stream] = {}

    @property
    def used(self) -> bool:
        """Whether there ever was a stream."""
        return self._next_id > 1

    def was_opened(self, stream_id: int) -> bool:
        """Whether a stream of this id is or was open."""
        return bool(stream_id & 1) and stream_id < self._next_id

    def add(self, send_window: int, receive_window: int) -> Stream:
        """A new stream with the next id; with the last one, the connection is drained."""
        assert self.state is ConnectionState.OPEN, f"a stream on a connection that is {self.state.name}"
        stream_id = self._next_id
        self._next_id = stream_id + 2
        if stream_id + 2 > LAST_STREAM_ID:
            self.state = ConnectionState.DRAINING
        stream = self[stream_id] = Stream(stream_id, send_window, receive_window)
        return stream

    def move(self, stream: Stream, event: StreamEvent) -> None:
        """Make a transition; a closed stream leaves."""
        stream.move(event)
        if stream.state is StreamState.CLOSED:
            self.pop(stream.id, None)
            self._blocked.pop(stream.id, None)

    def end_all(self, why: Exception | None) -> list[Stream]:
        """The connection is over: close every stream for the reason `why`; those that were open."""
        self.state = ConnectionState.CLOSED
        ended = list(self.values())
        for stream in ended:
            stream.fault = why
            self.move(stream, StreamEvent.RESET)
        return ended

    def end_above(self, last: int, why: Exception, now_s: float) -> list[Stream]:
        """Close the streams with ids above `last` (RFC 9113 section 6.8); those that were open.

        They were never processed, unless a response shows that they were.
        """
        ended = [stream for stream in self.values() if stream.id > last]
        for stream in ended:
            stream.ended_s = now_s
            stream.unprocessed = stream.headers is None
            stream.fault = why
            self.move(stream, StreamEvent.RESET)
        return ended

    # Senders that are blocked on window

    def block(self, stream: Stream) -> None:
        """The stream has DATA to send and no window for it."""
        self._blocked[stream.id] = stream

    def unblock(self, stream: Stream) -> bool:
        """The stream's window has grown; whether it waited for that."""
        return self._blocked.pop(stream.id, None) is not None

    def unblock_all(self) -> list[Stream]:
        """A window that they share has grown: those that waited."""
        unblocked = list(self._blocked.values())
        self._blocked.clear()
        return unblocked

    def resize_send_windows(self, change: int) -> None:
        """A new INITIAL_WINDOW_SIZE also changes the windows of open streams (RFC 9113 section 6.9.2)."""
        for stream in self.values():
            stream.send_window += change
            if stream.send_window > MAX_WINDOW:
                text = f"INITIAL_WINDOW_SIZE makes the window of stream {stream.id} {stream.send_window}"
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, text)
