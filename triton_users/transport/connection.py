"""One HTTP/2 connection on a socket: the bytes' way between the kernel, TLS and the state machine; knows no gRPC.

One watcher of gevent's loop stays armed for the connection's whole life. Its callback runs in the hub: it reads what is
there, hands it to the state machine and tells the streams' listeners, which switch to a waiting greenlet at once. So
there is no greenlet for a connection and no watcher for a request, and an idle connection still answers PING and
notices its end.

Everything here is non-blocking. What the socket does not take waits in `backlog`, and whoever has more to send waits
until that is empty; only control frames are added to it meanwhile, up to a bound.
"""

from __future__ import annotations

import _socket
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Final, Protocol

import gevent
from gevent.event import Event

from triton_users.transport.dial import READ, WRITE
from triton_users.transport.errors import ConnectionLost
from triton_users.transport.http2.connection import Http2Connection, Limits
from triton_users.transport.http2.faults import ErrorCode
from triton_users.transport.http2.stream import Stream
from triton_users.transport.options import ChannelOptions
from triton_users.transport.tls import TlsPipe
from triton_users.transport.together import AT_ONCE, HeldCall, together_of

#: Bytes read at once: twice that after a full read, so that only busy connections pay for large buffers, and half of it
#: after one that took too long to digest (a flood of tiny messages), so that the hub is never held for long.
READ_SIZE: Final = 64 * 1024
MIN_READ_SIZE: Final = 4 * 1024
MAX_READ_SIZE: Final = 1024 * 1024
#: How long one read may take to digest before the next one is made smaller.
DIGEST_S: Final = 0.002
#: A connection on which nothing has come for this long is looked at before a call trusts it.
STALE_S: Final = 1.0
#: Control frames that may wait for a peer that does not read. Picked arbitrarily: 60,000 PING answers.
MAX_BACKLOG: Final = 1024 * 1024


class StreamListener(Protocol):
    """Who a stream belongs to."""

    def progress(self) -> None:
        """The stream has news, or the connection can be written again. Called in the hub; must not block."""


class ConnectionListener(Protocol):
    """Who the connection belongs to."""

    def connection_changed(self, connection: Connection) -> None:
        """A stream ended, the backlog emptied, or the state changed. Called anywhere; must neither block nor switch."""


class Connection:
    """See the module's docstring. Use it from the thread of the hub it was made in."""

    __slots__ = (
        "_held",
        "_hub",
        "_keepalive",
        "_listener",
        "_pinged_s",
        "_pipe",
        "_read_size",
        "_reader",
        "_sock",
        "_together",
        "_waiting",
        "_writer",
        "backlog",
        "bytes_received",
        "bytes_sent",
        "core",
        "lost",
        "options",
        "pings_sent",
        "received_s",
        "settled",
        "shared",
    )

    def __init__(
        self, sock: _socket.socket, pipe: TlsPipe | None, options: ChannelOptions, listener: ConnectionListener
    ) -> None:
        self._sock = sock
        self._pipe = pipe
        self._listener = listener
        self.options = options
        self.core = Http2Connection(
            Limits(options.stream_window_bytes, options.max_frame_bytes, options.max_header_list_bytes)
        )
        self.backlog = bytearray()
        self._waiting: dict[StreamListener, None] = {}
        #: Whether calls of several users go over it, so that `together` may hold back what they send.
        self.shared = False
        self._held: list[tuple[bytes, HeldCall]] = []
        self._read_size = READ_SIZE
        self.bytes_sent = self.bytes_received = self.pings_sent = 0
        self.received_s = perf_counter()
        self._pinged_s: float | None = None
        #: Why the connection is over; None while it is not.
        self.lost: Exception | None = None
        #: Set when the server's SETTINGS have arrived, or the connection is lost.
        self.settled = Event()
        self._hub = gevent.get_hub()
        self._together = together_of(self._hub)
        loop = self._hub.loop
        self._reader = loop.io(sock.fileno(), READ)
        self._writer = loop.io(sock.fileno(), WRITE)
        self._keepalive: Any = None
        if options.keepalive_time_s is not None:
            self._arm_keepalive(options.keepalive_time_s)
        self._reader.start(self._on_readable)
        self.send(self.core.start())
        if pipe is not None:
            # The session may hold bytes that came with the end of the handshake.
            self._hub.loop.run_callback(self._receive, b"")

    @property
    def available(self) -> bool:
        """Whether a call may open a stream and send now."""
        return self.core.can_open and not self.backlog

    # Sending

    def send(self, data: bytes) -> bool:
        """Send `data` after all that waits; False if the connection was lost before any byte of it was taken."""
        if self._held:
            self.release()
        core = self.core
        if core.out:
            core.out += data
            data = bytes(core.out)
            core.out.clear()
        return self._write(data)

    def send_together(self, data: bytes, call: HeldCall) -> bool:
        """Like `send`; but in a stretch (`together`) it is held back, and the call told when it leaves."""
        if not self.shared or not self._together.holding:
            return self.send(data)
        if not self._held:
            self._together.add(self)
        self._held.append((data, call))
        if len(self._held) >= AT_ONCE:
            self.release()
        return True

    def release(self) -> None:
        """Send what is held back, before any control frame that came up since: it may be a reset of one of these."""
        held, self._held = self._held, []
        if not held:
            return
        at_s = perf_counter()
        written = self.lost is None and self._write(b"".join(data for data, _ in held))
        for _, call in held:
            call.left(at_s, written=written)

    def _write(self, data: bytes) -> bool:
        if self._pipe is not None:
            data = self._pipe.encrypt((data,))
        if self.backlog:
            self.backlog += data
            return True
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            self._fail_sending(exc)
            return False
        self.bytes_sent += sent
        if sent < len(data):
            self.backlog += memoryview(data)[sent:]
            self._writer.start(self._on_writable)
        return True

    def send_parts(self, parts: Sequence[bytes | memoryview]) -> bool:
        """Like `send` for many buffers, copying only what the socket does not take."""
        if self._held:
            self.release()
        core = self.core
        if core.out:
            parts = (bytes(core.out), *parts)
            core.out.clear()
        if self._pipe is not None:
            parts = (self._pipe.encrypt(parts),)
        if self.backlog:
            self.backlog += b"".join(parts)
            return True
        try:
            sent = self._sock.sendmsg(parts)
        except BlockingIOError:
            sent = 0
        except OSError as exc:
            self._fail_sending(exc)
            return False
        self.bytes_sent += sent
        for part in parts:
            if sent >= len(part):
                sent -= len(part)
            else:
                self.backlog += memoryview(part)[sent:]
                sent = 0
        if self.backlog:
            self._writer.start(self._on_writable)
        return True

    def flush(self) -> None:
        """Send what the state machine has left in `out`."""
        if self.core.out and self.lost is None:
            self.send(b"")
            if len(self.backlog) > MAX_BACKLOG:
                self.lose(ConnectionLost(f"the server does not read; {len(self.backlog)} bytes of control frames wait"))

    def when_writable(self, listener: StreamListener) -> None:
        """Tell `listener` once, when the backlog is empty or the connection is lost."""
        self._waiting[listener] = None

    def never_mind(self, listener: StreamListener) -> None:
        """`listener` no longer waits; else a backlog that stays would keep each call that gave up."""
        self._waiting.pop(listener, None)

    def reset(self, stream: Stream, code: ErrorCode, fault: Exception | None = None) -> None:
        """End a stream from our side. Its listener is not told."""
        self.core.reset(stream, code, fault)
        self.flush()
        self._hub.loop.run_callback(self._listener.connection_changed, self)

    def _fail_sending(self, exc: OSError) -> None:
        """The socket is broken; what it still holds for us (GOAWAY, trailers) comes first."""
        self._hub.loop.run_callback(self._drain, ConnectionLost(f"sending failed: {exc}"))

    def _drain(self, why: ConnectionLost) -> None:
        while self.lost is None and self._read_once():
            pass
        self.lose(why)

    # Callbacks of the loop, in the hub

    def _on_readable(self) -> None:
        try:
            self._read_once()
        except BaseException:
            self.lose(ConnectionLost("a bug in the transport; see the traceback on stderr"))
            raise

    def _read_once(self) -> bool:
        """Read and digest what is there, up to a bound; whether there was anything."""
        try:
            data = self._sock.recv(self._read_size)
        except BlockingIOError:
            return False
        except OSError as exc:
            self.lose(ConnectionLost(f"the connection broke: {exc}"))
            return False
        if not data:
            self.lose(self.core.end_of_input() or ConnectionLost("the server closed the connection"))
            return False
        self.bytes_received += len(data)
        if len(data) < self._read_size:
            self._receive(data)
            if self._read_size != READ_SIZE:
                self._read_size = READ_SIZE
            return True
        started_s = perf_counter()
        self._receive(data)
        if perf_counter() - started_s > DIGEST_S:
            self._read_size = max(MIN_READ_SIZE, self._read_size // 2)
        elif self._read_size < MAX_READ_SIZE:
            self._read_size *= 2
        return True

    def _receive(self, data: bytes) -> None:
        if self.lost is not None:
            return
        if self._pipe is not None:
            data, reply = self._pipe.decrypt(data)
            if reply:
                self._send_raw(reply)
        self.received_s = now_s = perf_counter()
        core = self.core
        was = core.state
        touched = core.receive(data, now_s)
        if self._pipe is not None and self._pipe.over is not None:
            self.lose(self._pipe.over)  # before anybody is told, who could want to send on it
        several = self.shared and len(touched) > 1
        if several:
            self._together.begin()
        try:
            for stream in touched:
                listener = stream.listener
                if listener is not None:
                    listener.progress()
        finally:
            if several:
                self._together.end()
        if core.out:
            self.flush()
        if core.fault is not None:
            self.lose(core.fault)
        elif core.state is not was and self.lost is None:
            self.settled.set()
        self._listener.connection_changed(self)

    def _send_raw(self, ciphertext: bytes) -> None:
        self.backlog += ciphertext
        self._writer.start(self._on_writable)

    def _on_writable(self) -> None:
        try:
            sent = self._sock.send(self.backlog)
        except BlockingIOError:
            return
        except OSError as exc:
            self._drain(ConnectionLost(f"sending failed: {exc}"))
            return
        self.bytes_sent += sent
        del self.backlog[:sent]
        if not self.backlog:
            self._writer.stop()
            waiting, self._waiting = self._waiting, {}
            for listener in waiting:
                listener.progress()
            self._listener.connection_changed(self)

    def _arm_keepalive(self, after_s: float) -> None:
        if self._keepalive is not None:
            self._keepalive.close()
        self._keepalive = self._hub.loop.timer(after_s)
        self._keepalive.start(self._on_keepalive, update=True)

    def _on_keepalive(self) -> None:
        """Check the answer of the last keep-alive PING, or send the next one where it is due."""
        time_s, timeout_s = self.options.keepalive_time_s, self.options.keepalive_timeout_s
        assert time_s is not None
        if self._pinged_s is not None and self.received_s < self._pinged_s:
            self.lose(ConnectionLost(f"no answer to a keep-alive PING for {timeout_s} s"))
            return
        self._pinged_s = None
        now_s = perf_counter()
        wanted = self.options.keepalive_without_calls or self.core.streams
        due_s = self.received_s + time_s
        if not wanted or due_s > now_s:
            self._arm_keepalive(due_s - now_s if due_s > now_s else time_s)
            return
        self._pinged_s = now_s
        self.pings_sent += 1
        self.core.ping(b"keepaliv")
        self._arm_keepalive(timeout_s)
        self.flush()

    # The end

    def lose(self, why: Exception) -> None:
        """The connection is over: close the socket, end all streams, tell everyone. In the hub, or at its start."""
        if self.lost is not None:
            return
        if self.core.goaway is not None and isinstance(why, ConnectionLost):
            why = ConnectionLost(f"{why}, after {self.core.goaway}")
        self.lost = why
        self._shut(self.core.lost(why))

    def close(self) -> None:
        """End the connection politely: RST_STREAM and GOAWAY go out if the socket takes them at once."""
        if self.lost is not None:
            return
        if self._held:
            self.release()
        ended = self.core.close()
        if not self.backlog:
            self.send(b"")
        self.lost = ConnectionLost("the connection was closed by this client")
        self._shut(ended)

    def _shut(self, ended: list[Stream]) -> None:
        if self.core.fault is not None and not self.backlog:
            self._farewell()
        for watcher in (self._reader, self._writer, self._keepalive):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._sock.close()
        self.backlog.clear()
        self.settled.set()
        waiting, self._waiting = self._waiting, {}
        listeners: list[StreamListener] = [stream.listener for stream in ended if stream.listener is not None]
        self._hub.loop.run_callback(self._tell, [*listeners, *waiting])

    def _farewell(self) -> None:
        """The GOAWAY that names the peer's fault, for its log; nothing depends on its arrival."""
        farewell = bytes(self.core.out)
        if self._pipe is not None:
            farewell = self._pipe.encrypt((farewell,))
        try:
            self._sock.send(farewell)
        except OSError:
            pass  # the connection is closed in any case

    def _tell(self, listeners: list[StreamListener]) -> None:
        for listener in listeners:
            listener.progress()
        self._listener.connection_changed(self)

    def poll(self) -> None:
        """Notice now, not at the loop's next turn, that an idle connection has ended. For one without streams."""
        if not self.core.streams:
            self._on_readable()
