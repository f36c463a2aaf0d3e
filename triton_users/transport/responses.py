"""What has come of a stream of responses and has not been read yet; knows no greenlets and no sockets."""

from __future__ import annotations

from collections import deque
from typing import Final

from triton_users.transport.http2.pieces import Pieces
from triton_users.transport.messages import MessageReader

#: What an unread response costs besides its bytes, or a server could fill the memory with empty ones.
RESPONSE_COST: Final = 160


class UnreadResponses(deque[tuple[bool, bytes, float]]):
    """Messages in order, and how far the server may run ahead of who reads them. Change it by its methods only."""

    __slots__ = ("_bytes", "_reader", "_window", "uncredited")

    def __init__(self, limit: int, window: int) -> None:
        """`limit`: the longest message; `window`: how far the server may run ahead. Bytes."""
        super().__init__()
        self._reader = MessageReader(limit)
        self._bytes = 0
        self._window = window
        #: Bytes that came and were in no `credit` yet.
        self.uncredited = 0

    @property
    def complete(self) -> bool:
        """Whether what came ends with the end of a message."""
        return self._reader.between_messages

    def add(self, pieces: Pieces, at_s: float) -> None:
        """Take what arrived at a time. MessageFault for what is no message, or one that is too long."""
        for piece in pieces:
            self.uncredited += len(piece)
            for packed, message in self._reader.feed(piece):
                self.append((packed, message, at_s))
                self._bytes += len(message) + RESPONSE_COST

    def take(self) -> tuple[bool, bytes, float]:
        """The oldest response: whether it is compressed, its bytes, when its last byte came."""
        taken = self.popleft()
        self._bytes -= len(taken[1]) + RESPONSE_COST
        return taken

    def credit(self) -> int:
        """Bytes of credit that the server is due: all that came since it was last asked, or none while it is far ahead.

        Far is half of the window.
        """
        if self._bytes * 2 > self._window:
            return 0
        uncredited, self.uncredited = self.uncredited, 0
        return uncredited
