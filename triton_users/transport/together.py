"""What several calls send over one connection, in one stretch of the hub, leaves in one write. Knows no frames.

Each write is a system call, and wakes the server, whose answer wakes us. Only connections that are shared hold anything
back, and only inside a stretch: where several answers came at once, or several arrivals of an open loop are due.
"""

from __future__ import annotations

from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

AT_ONCE: Final = 8
"""Calls after which a connection writes though the stretch goes on: the first of them waits for the others, some 40 us
each, and so does the server."""


class HeldCall(Protocol):
    """A call whose first bytes are held back."""

    def left(self, at_s: float, *, written: bool) -> None:
        """They were handed to the socket at that time; not `written`: the connection was lost before that."""


class HoldsBack(Protocol):
    """A connection, as a stretch sees it."""

    def release(self) -> None:
        """Write what is held back."""


class Together:
    """The stretches of one hub. `holding`: whether one goes on."""

    __slots__ = ("__weakref__", "_connections", "holding")

    def __init__(self) -> None:
        self.holding = False
        self._connections: list[HoldsBack] = []

    def begin(self) -> None:
        """A stretch begins. `end` must follow, before the hub goes on to anything else."""
        self.holding = True

    def add(self, connection: HoldsBack) -> None:
        """This connection holds something back."""
        self._connections.append(connection)

    def end(self) -> None:
        """The stretch ends: everything is written."""
        self.holding = False
        if self._connections:
            connections, self._connections = self._connections, []
            for connection in connections:
                connection.release()


_of_hub: WeakKeyDictionary[Any, Together] = WeakKeyDictionary()


def together_of(hub: Any) -> Together:
    """That of a hub, one for all of its connections."""
    return _of_hub.setdefault(hub, Together())
