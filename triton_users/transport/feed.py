"""Requests for a stream that come up one by one; knows no sockets and no frames.

A plain iterator of requests costs a wake-up of the call's pump for each of them. `put` of a feed sends in the caller's
greenlet instead, whenever the call can take a request at once; only otherwise is it left to the pump.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gevent.queue import SimpleQueue

_END: Final = object()


class RequestFeed:
    """The `request_iterator` of one call, for requests made while the call runs.

        feed = RequestFeed()
        call = stub.ModelStreamInfer(feed)
        feed.put(request)
        feed.close()

    Requests leave in the order of their `put`. What the peer's flow control does not let out waits in the feed, which
    has no bound of its own, as the queue of an ordinary iterator has none. After the call's end requests are dropped.
    """

    def __init__(self) -> None:
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._pump_waits = False
        self._send_now: Callable[[Any], bool] | None = None
        self._over = False

    def put(self, request: Any) -> None:
        """Send a request, or leave it to the pump; never blocks. One that cannot be serialised ends the call."""
        if self._over:
            return
        if self._pump_waits and self._queue.empty() and self._send_now is not None and self._send_now(request):
            return
        self._queue.put(request)

    def close(self) -> None:
        """No more requests: half-close the stream after those that wait."""
        self._queue.put(_END)

    def begin(self, send_now: Callable[[Any], bool]) -> None:
        """The call has begun: `send_now(request)` sends at once, without a switch of greenlets, or returns False."""
        self._send_now = send_now

    def end(self) -> None:
        """The call is over."""
        self._over = True
        self._send_now = None

    def __iter__(self) -> RequestFeed:
        return self

    def __next__(self) -> Any:
        self._pump_waits = True
        try:
            request = self._queue.get()
        finally:
            self._pump_waits = False
        if request is _END:
            raise StopIteration
        return request
