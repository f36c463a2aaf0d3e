"""One channel for several: each share has calls, an observer and an end of its own. Knows no frames."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

from grpc import ChannelConnectivity

from triton_users.transport.call import Call
from triton_users.transport.callables import CLOSED, Callables
from triton_users.transport.channel import Channel
from triton_users.transport.connection import Connection
from triton_users.transport.method import Method
from triton_users.transport.observer import CallObserver
from triton_users.transport.options import ChannelOptions, ChannelStats


class SharedChannel(Channel):
    """A channel that is used through its shares; the last one that is closed closes it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        #: The open ones. Weak: a share that nobody holds is over, and must not keep its connection.
        self.shares: weakref.WeakSet[Share] = weakref.WeakSet()

    def share(self, observer: CallObserver | None = None) -> Share:
        """One more user's part. ValueError when the channel is closed."""
        self.raise_if_closed()
        share = Share(self, observer)
        self.shares.add(share)
        return share

    def _note_success(self, connection: Connection) -> None:
        connection.shared = True
        super()._note_success(connection)

    def _tell_opened(self, reason: str | None) -> None:
        observer = next((share.observer for share in self.shares if share.observer is not None), None)
        if observer is not None:
            observer.connection_opened(reason)


class Share(Callables):
    """A whole `grpc.Channel` on the connection of another one; `close` ends its own calls only."""

    def __init__(self, whole: SharedChannel, observer: CallObserver | None) -> None:
        self.whole = whole
        self.hub = whole.hub
        self.observer = observer
        self._closed_s = None

    @property
    def options(self) -> ChannelOptions:
        """Those of the whole channel."""
        return self.whole.options

    # What its calls need

    def _method(self, path: str, serializer: Any, deserializer: Any) -> Method:
        return self.whole._method(path, serializer, deserializer)

    @property
    def connection(self) -> Connection | None:
        return self.whole.connection if self._closed_s is None else None

    @property
    def waiting(self) -> deque[Call]:
        return self.whole.waiting

    def raise_if_closed(self) -> None:
        super().raise_if_closed()
        self.whole.raise_if_closed()

    def why_no_connection(self) -> str:
        return self.whole.why_no_connection()

    def acquire(self, call: Call, wait_for_ready: bool | None) -> Connection:
        self._refuse_if_closed(call)
        return self.whole.acquire(call, wait_for_ready)

    # The rest of grpc.Channel

    def subscribe(self, callback: Callable[[ChannelConnectivity], Any], try_to_connect: bool | None = False) -> None:
        self.whole.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[ChannelConnectivity], Any]) -> None:
        self.whole.unsubscribe(callback)

    def stats(self) -> ChannelStats:
        """What the whole channel has done so far."""
        return self.whole.stats()

    def close(self) -> None:
        """End its own calls with CANCELLED; later ones raise ValueError. The last share takes the connection along."""
        if self._closed_s is not None:
            return
        self._closed_s = perf_counter()
        for call in self.whole.calls():
            if call.channel is self:
                call.end(CLOSED)
        self.whole.shares.discard(self)
        if not self.whole.shares:
            self.whole.close()

    def __enter__(self) -> Share:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
