"""One call between its greenlets and its HTTP/2 stream: waiting, waking, the deadline, the end from our side.

It knows no messages. Greenlets of the call wait in `wait`; `progress`, in the hub, switches to them at once. Every wait
ends by news of the stream, by the deadline, by `end` (cancel, close), by the loss of the connection, or by an exception
thrown into the greenlet.
"""

from __future__ import annotations

import sys
from collections import deque
from time import perf_counter
from typing import Any, Final, Protocol

import grpc
from gevent import getcurrent, monkey

from triton_users.transport.connection import Connection
from triton_users.transport.errors import CallError, Outcome, WrongThreadError
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.stream import Stream, StreamState
from triton_users.transport.observer import CallObserver

#: The thread's, not the greenlet's, whether or not the standard library has been patched.
thread_ident: Final = monkey.get_original("_thread", "get_ident")


class CallChannel(Protocol):
    """A channel, as its calls see it."""

    hub: Any
    observer: CallObserver | None

    @property
    def connection(self) -> Connection | None:
        """The connection that takes new calls; None while there is none."""
        ...

    @property
    def waiting(self) -> deque[Call]:
        """Calls that wait for a connection or for a stream, first come, first served."""
        ...

    def raise_if_closed(self) -> None:
        """ValueError, as grpc's own channel raises it."""
        ...

    def why_no_connection(self) -> str:
        """What the connection that is being made waits for, or why there is none; "" if there is one."""
        ...

    def acquire(self, call: Call, wait_for_ready: bool | None) -> Connection:
        """Wait for a connection on which `call` may open a stream. CallError for its own verdict, or UNAVAILABLE."""
        ...


class Call:
    """Base of the calls, and a connection's `StreamListener`."""

    __slots__ = (
        "_timer",
        "_waiter",
        "called_s",
        "channel",
        "connection",
        "deadline_s",
        "hub",
        "outcome",
        "started_s",
        "stream",
    )

    def __init__(self, channel: CallChannel, called_s: float) -> None:
        self.channel = channel
        self.hub = channel.hub
        if thread_ident() != self.hub.thread_ident:
            raise WrongThreadError("a Channel belongs to the thread that made it; make one for each thread")
        self.called_s = called_s
        #: When the last attempt's first byte was about to be handed to the socket.
        self.started_s: float | None = None
        self.deadline_s: float | None = None
        self.connection: Connection | None = None
        self.stream: Stream | None = None
        #: Our own verdict (deadline, cancellation); None while there is none.
        self.outcome: Outcome | None = None
        self._waiter: Any = None
        self._timer: Any = None

    @property
    def over(self) -> bool:
        """Whether nothing more should be sent or awaited."""
        stream = self.stream
        return self.outcome is not None or (stream is not None and stream.state >= StreamState.HALF_CLOSED_REMOTE)

    # Waiting

    def wait(self) -> None:
        """Wait for any news, or for the turn that `Connection.when_writable` or `Channel.acquire` promises."""
        self._waiter = getcurrent()
        try:
            self.hub.switch()
        finally:
            self._waiter = None

    def wait_until_writable(self) -> None:
        """Wait until the connection's backlog is empty or the connection is lost, or for other news."""
        connection = self.connection
        assert connection is not None
        connection.when_writable(self)
        try:
            self.wait()
        finally:
            connection.never_mind(self)

    def progress(self) -> None:
        """Wake the waiting greenlet. In the hub."""
        greenlet, self._waiter = self._waiter, None
        if greenlet is not None:
            self.wake(greenlet)

    def wake(self, greenlet: Any) -> None:
        """Switch to a greenlet that waits. In the hub; what it lets out is reported as the hub reports it."""
        try:
            greenlet.switch()
        except BaseException:  # noqa: BLE001  # whatever a greenlet can die of; the hub decides
            self.hub.handle_error(self, *sys.exc_info())

    # The end from our side

    def start_deadline(self, timeout_s: float) -> None:
        """Arm the deadline, counted from the time of the call. `stop_deadline` must follow."""
        self.deadline_s = self.called_s + timeout_s
        left_s = self.deadline_s - perf_counter()
        if left_s > 0:
            self._timer = self.hub.loop.timer(left_s)
            self._timer.start(self._expire, update=True)
        else:
            self._expire()

    def stop_deadline(self) -> None:
        """Disarm the deadline."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def _expire(self) -> None:
        self.end(self.expired())

    def expired(self) -> Outcome:
        """What a call ends with whose deadline has passed."""
        why = self.channel.why_no_connection() if self.stream is None else ""
        text = f"Deadline Exceeded; no connection yet: {why}" if why else "Deadline Exceeded"
        return Outcome(grpc.StatusCode.DEADLINE_EXCEEDED, text, local=True)

    def time_left(self) -> float | None:
        """Seconds to the deadline, not negative; None without one."""
        return None if self.deadline_s is None else max(0.0, self.deadline_s - perf_counter())

    def end(self, outcome: Outcome) -> bool:
        """End the call with our own verdict, tell the server, wake the call's greenlets; False if it was over."""
        if self.over:
            return False
        self.outcome = outcome
        self.abandon()
        if getcurrent() is self.hub:
            self.progress()
        else:
            self.hub.loop.run_callback(self.progress)
        return True

    def abandon(self) -> None:
        """End the stream with RST_STREAM, if it is open; wake nobody."""
        stream = self.stream
        if stream is not None and self.connection is not None and stream.state is not StreamState.CLOSED:
            self.connection.reset(stream, ErrorCode.CANCEL)

    def raise_if_over(self) -> None:
        """Raise our own verdict, if there is one."""
        if self.outcome is not None:
            raise CallError(self.outcome)
