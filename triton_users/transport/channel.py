"""The `grpc.Channel`: finds a connection for every call, makes and replaces connections; knows no frames, no messages.

At most one connection takes new calls. Connections that the server is draining (GOAWAY) live on beside it until their
last stream ends.
A greenlet exists only while a connection is being made.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from types import TracebackType
from typing import Any, Final

import gevent
import grpc
from grpc import ChannelConnectivity

from triton_users.transport.backoff import Backoff
from triton_users.transport.call import Call, thread_ident
from triton_users.transport.callables import CLOSED, Callables
from triton_users.transport.connection import STALE_S, Connection
from triton_users.transport.connectivity import Connectivity
from triton_users.transport.connector import Connector
from triton_users.transport.errors import CallError, ConnectFailure, Outcome
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.streams import ConnectionState
from triton_users.transport.journal import journal, logger
from triton_users.transport.method import Method, common_fields
from triton_users.transport.observer import CallObserver
from triton_users.transport.options import ChannelOptions, ChannelStats
from triton_users.transport.target import parse_target
from triton_users.transport.tls import TlsCredentials

#: A connection that takes no call and ends within this time counts as one that could not be made, so that a server
#: which keeps doing that is not asked for connections without a pause. Seconds; below STALE_S, or a call that looks
#: whether an idle connection is still there might fail because it is not.
USELESS_S: Final = 0.5


class Channel(Callables):
    """See the package's docstring. `TargetError` for a bad target, ValueError for TLS files that cannot be used."""

    def __init__(
        self,
        target: str,
        *,
        tls: TlsCredentials | None = None,
        options: ChannelOptions | None = None,
        observer: CallObserver | None = None,
    ) -> None:
        self.options = options or ChannelOptions()
        self.observer = observer
        self.hub = gevent.get_hub()
        self._target = parse_target(target)
        if tls is None and self._target.secure:
            tls = TlsCredentials()
        self._connector = Connector(self._target, tls)
        server_name = tls.server_name if tls is not None else None
        authority = self.options.authority or server_name or self._target.authority
        self._common_fields = common_fields(authority, tls is not None, self.options)
        #: The connection that takes new calls; None while there is none.
        self.connection: Connection | None = None
        #: Calls that wait for a connection or for a stream, first come, first served.
        self.waiting: deque[Call] = deque()
        self._draining: list[Connection] = []
        #: Makes a connection; None while none is being made.
        self._connecting: gevent.Greenlet[[], None] | None = None
        self._connectivity = Connectivity()
        self._closed_s = None
        self._backoff = Backoff(self.options)
        self._ready_s = 0.0
        self._listener = _WeakListener(self)
        self._past = ChannelStats(0, 0, 0, 0, 0, 0, 0)
        #: Why the last connection took no more calls; None while there was none.
        self._ended: str | None = None

    # grpc.Channel

    def _method(self, path: str, serializer: Any, deserializer: Any) -> Method:
        return Method(path, self._common_fields, self.options, serializer, deserializer)

    def subscribe(self, callback: Callable[[ChannelConnectivity], Any], try_to_connect: bool | None = False) -> None:
        self._connectivity.subscribe(callback, bool(try_to_connect))
        if try_to_connect and self.connection is None and self._closed_s is None:
            self._connect()

    def unsubscribe(self, callback: Callable[[ChannelConnectivity], Any]) -> None:
        self._connectivity.unsubscribe(callback)

    def close(self) -> None:
        """End everything now: calls in flight get CANCELLED, the connection is closed. Later calls raise ValueError."""
        if self._closed_s is not None:
            return
        self._closed_s = perf_counter()
        for call in self.calls():
            call.end(CLOSED)
        for connection in self._connections():
            connection.close()
            self._retire(connection)
        self._draining.clear()
        self.connection = None
        if self._connecting is not None:
            self._connecting.kill(block=False)
        self._connectivity.change(ChannelConnectivity.SHUTDOWN)

    def __enter__(self) -> Channel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_closed_s", 0.0) is not None:
            return
        try:
            if thread_ident() == self.hub.thread_ident:
                self.close()
            else:  # the garbage collector runs in any thread, but a connection belongs to its hub's
                for connection in self._connections():
                    self.hub.loop.run_callback_threadsafe(connection.close)
        except RuntimeError:
            pass  # the interpreter is exiting: there are no greenlets any more

    def _connections(self) -> list[Connection]:
        return [*self._draining, self.connection] if self.connection is not None else list(self._draining)

    def calls(self) -> list[Call]:
        """Those that wait for a stream, and those that have one."""
        return [
            *self.waiting,
            *(stream.listener for connection in self._connections() for stream in connection.core.streams.values()),
        ]

    def stats(self) -> ChannelStats:
        """What the channel has done so far."""
        stats = replace(self._past, waiting_calls=len(self.waiting))
        for connection in self._connections():
            stats = replace(_added(stats, connection), open_streams=stats.open_streams + len(connection.core.streams))
        return stats

    # A connection for a call

    def acquire(self, call: Call, wait_for_ready: bool | None) -> Connection:
        """Wait for a connection on which `call` may open a stream. CallError for its own verdict, or UNAVAILABLE."""
        self._refuse_if_closed(call)
        backoff = self._backoff
        failures = backoff.failures
        self.waiting.append(call)
        try:
            if self.connection is not None and self.connection.received_s + STALE_S < call.called_s:
                self.connection.poll()
            while True:
                call.raise_if_over()
                connection = self.connection
                if connection is not None:
                    if self.waiting[0] is call and connection.available:
                        return connection
                elif not wait_for_ready and (backoff.failures != failures or perf_counter() < backoff.retry_s):
                    why = backoff.failure
                    raise CallError(Outcome(grpc.StatusCode.UNAVAILABLE, str(why), debug=repr(why)))
                else:
                    self._connect()
                call.wait()
        finally:
            if self.waiting[0] is call:
                self.waiting.popleft()
            else:
                self.waiting.remove(call)
            if self.waiting:
                self.hub.loop.run_callback(self._serve)

    def why_no_connection(self) -> str:
        """What the connection that is being made waits for, or why there is none; "" if there is one."""
        if self.connection is not None:
            return ""
        return self._connector.waits_for or str(self._backoff.failure or "")

    def _serve(self) -> None:
        """Wake waiting calls in turn while the connection can take them, or all if there is none. In the hub."""
        for call in list(self.waiting):
            Call.progress(call)  # only that: a call may still hold a stream that was refused
            if self.connection is not None and not self.connection.available:
                break

    def connection_changed(self, connection: Connection) -> None:
        """See `ConnectionListener`."""
        if connection.lost is not None or connection.core.state is ConnectionState.DRAINING:
            if connection is self.connection:
                self.connection = None
                self._connectivity.change(ChannelConnectivity.IDLE)
                self._note_end(connection)
                if connection.lost is None:
                    self._draining.append(connection)
                else:
                    self._retire(connection)
            if connection in self._draining and (connection.lost is not None or not connection.core.streams):
                self._draining.remove(connection)
                if connection.lost is None:
                    connection.close()
                self._retire(connection)
        if self.waiting:
            self.hub.loop.run_callback(self._serve)

    def _retire(self, connection: Connection) -> None:
        """A connection is over: keep its counts, and what its server thinks of our pace."""
        self._past = _added(self._past, connection)
        if connection.core.goaway_code == ErrorCode.ENHANCE_YOUR_CALM and self.options.keepalive_time_s is not None:
            # gRPC's A8: the server finds our keep-alive PINGs too many.
            self.options = replace(self.options, keepalive_time_s=2 * self.options.keepalive_time_s)

    # Connecting

    def _connect(self) -> None:
        """Make a connection, now or after the backoff, unless one is being made."""
        if self._connecting is None:
            self._connecting = gevent.spawn(self._make_connection)

    def _make_connection(self) -> None:
        try:
            while self._closed_s is None and self.connection is None:
                pause_s = self._backoff.retry_s - perf_counter()
                if pause_s > 0:
                    gevent.sleep(pause_s)
                self._connectivity.change(ChannelConnectivity.CONNECTING)
                try:
                    connection = self._connector.connect(self.options, self._listener)
                except ConnectFailure as exc:
                    self._note_failure(exc)
                    gevent.sleep(0)  # the calls that do not wait for readiness leave now
                    if not self.waiting and not self._connectivity.wanted:
                        break
                else:
                    if self._closed_s is not None:
                        connection.close()
                    else:
                        self._note_success(connection)
        finally:
            self._connecting = None
            if self.waiting:
                self.hub.loop.run_callback(self._serve)

    def _note_end(self, connection: Connection) -> None:
        """The connection takes no more calls."""
        core = connection.core
        why = self._ended = str(connection.lost or core.goaway or "its stream ids were used up")
        if connection.lost is not None:
            journal.info("the connection to %s ended: %s", self._target, why)
        else:
            journal.info("%s takes no more calls on a connection, %d go on: %s", self._target, len(core.streams), why)
        if self.waiting and not core.streams.used and perf_counter() < self._ready_s + USELESS_S:
            self._note_failure(ConnectFailure(f"{self._target} took no call before it ended: {why}"))

    def _note_success(self, connection: Connection) -> None:
        self._backoff.succeeded()
        if self._ended is None:
            logger.debug("connected to %s", self._target)
        else:
            journal.info("connected to %s again, after: %s", self._target, self._ended)
        self._ready_s = perf_counter()
        self._past = replace(self._past, connections=self._past.connections + 1)
        self.connection = connection
        self._connectivity.change(ChannelConnectivity.READY)
        self.connection_changed(connection)
        self._tell_opened(self._ended)

    def _tell_opened(self, reason: str | None) -> None:
        """Tell the observer; see `CallObserver.connection_opened`."""
        if self.observer is not None:
            self.observer.connection_opened(reason)

    def _note_failure(self, exc: ConnectFailure) -> None:
        now_s = perf_counter()
        self._backoff.failed(exc, now_s)
        journal.info("%s; the next attempt not before %.1f s from now", exc, self._backoff.retry_s - now_s)
        self._connectivity.change(ChannelConnectivity.TRANSIENT_FAILURE)
        if self.waiting:
            self.hub.loop.run_callback(self._serve)


def _added(stats: ChannelStats, connection: Connection) -> ChannelStats:
    """`stats` with a connection's counts."""
    return replace(
        stats,
        bytes_sent=stats.bytes_sent + connection.bytes_sent,
        bytes_received=stats.bytes_received + connection.bytes_received,
        pings_sent=stats.pings_sent + connection.pings_sent,
        pings_answered=stats.pings_answered + connection.core.pings_answered,
    )


class _WeakListener:
    """Lets a channel that nobody holds be collected, although the loop holds its connection."""

    __slots__ = ("_channel",)

    def __init__(self, channel: Channel) -> None:
        self._channel = weakref.ref(channel)

    def connection_changed(self, connection: Connection) -> None:
        channel = self._channel()
        if channel is not None:
            channel.connection_changed(connection)
