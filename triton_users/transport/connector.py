"""Makes one connection to a target, from its name to the server's SETTINGS; knows no calls and no pauses.

A name may have several addresses, and any of them may swallow packets. So they race as RFC 8305 ("Happy Eyeballs") has
it: the next one is tried as soon as one fails, or has not answered for a moment. One that did answer gets its share of
the time for TLS and SETTINGS first. The address of the last good connection comes first in the next race.
"""

from __future__ import annotations

from collections import deque
from time import perf_counter
from typing import Final

import gevent
from gevent.queue import Empty, SimpleQueue

from triton_users.transport.connection import Connection, ConnectionListener
from triton_users.transport.dial import Address, address_text, addresses_of, connected_socket, secured
from triton_users.transport.errors import ConnectFailure, ConnectionLost
from triton_users.transport.hints import with_hint
from triton_users.transport.http2.faults import ConnectionFault
from triton_users.transport.http2.streams import ConnectionState
from triton_users.transport.options import ChannelOptions
from triton_users.transport.target import Target
from triton_users.transport.tls import TlsCredentials

#: How long an address may take to answer before the next one is tried beside it: RFC 8305 section 5 recommends that.
ATTEMPT_DELAY_S: Final = 0.25
#: Addresses whose failure is told.
TOLD_ADDRESSES: Final = 4

#: What fails for a reason that its text tells; of anything else the type is told, too.
_TOLD_AS_TEXT: Final = (OSError, ConnectFailure, ConnectionLost, ConnectionFault)


class Connector:
    """Connects to one target, as often as it is asked to, once at a time."""

    def __init__(self, target: Target, tls: TlsCredentials | None) -> None:
        """ValueError for TLS files that cannot be used."""
        self.target = target
        #: What the connection that is being made waits for; "" while none is being made.
        self.waits_for = ""
        self._context = None if tls is None else tls.context()
        self._server_name = (tls.server_name if tls is not None else None) or target.host or "localhost"
        self._last_good: Address | None = None

    def connect(self, options: ChannelOptions, listener: ConnectionListener) -> Connection:
        """A connection on which streams can be opened; ConnectFailure with the reason if there is none in time."""
        limit_s = options.connect_timeout_s
        race: _Race | None = None
        timeout = gevent.Timeout.start_new(limit_s)
        try:
            self.waits_for = "the name look-up has not ended"
            race = _Race(self, options, listener, self._in_order(addresses_of(self.target)))
            connection, self._last_good = race.run()
            return connection
        except gevent.Timeout as exc:
            if exc is not timeout:
                raise
            why = self.waits_for if race is None else race.told(f"within {limit_s} s")
            raise ConnectFailure(f"cannot connect to {self.target}: {why}") from None
        except ConnectFailure as exc:
            raise ConnectFailure(f"cannot connect to {self.target}: {exc}") from exc
        except Exception as exc:
            raise ConnectFailure(f"cannot connect to {self.target}: {exc!r}") from exc
        finally:
            timeout.close()
            self.waits_for = ""
            if race is not None:
                race.end()

    def _in_order(self, addresses: list[Address]) -> list[Address]:
        return sorted(addresses, key=lambda address: address != self._last_good)

    def attempt(self, attempt: _Attempt) -> Connection:
        """Connect to one address. Any Exception is its failure."""
        sock = connected_socket(attempt.address)
        try:
            attempt.answered(self._context is not None)
            pipe = None if self._context is None else secured(sock, self._context, self._server_name)
            attempt.waits_for = "it sent no SETTINGS"
            connection = Connection(sock, pipe, attempt.options, attempt.listener)
        except BaseException:
            sock.close()
            raise
        try:
            connection.settled.wait()
            if connection.lost is not None:
                raise connection.lost
            if connection.core.state is ConnectionState.DRAINING:
                raise ConnectFailure(f"it began with {connection.core.goaway}")
        except BaseException:
            attempt.greeted = connection.core.greeted
            connection.close()
            raise
        return connection

    def explained(self, attempt: _Attempt, exc: Exception) -> str:
        """Why an attempt failed, for people."""
        reason = str(exc) if isinstance(exc, _TOLD_AS_TEXT) else repr(exc)
        return with_hint(reason, self._context is not None, attempt.greeted)


class _Attempt:
    """The way to one address, in a greenlet of its own."""

    def __init__(self, race: _Race, address: Address) -> None:
        self._race = race
        self.address = address
        self.options = race.options
        self.listener = race.listener
        self.waits_for = "it did not answer"
        self.greeted = False
        self.connection: Connection | None = None
        self.failure: Exception | None = None
        self.greenlet = gevent.spawn(self._run)

    def answered(self, secure: bool) -> None:
        """There is somebody at the address."""
        self.waits_for = "it did not end the TLS handshake" if secure else "it sent no SETTINGS"
        self._race.news.put(self)

    def _run(self) -> None:
        try:
            self.connection = self._race.connector.attempt(self)
        except Exception as exc:  # noqa: BLE001  # whatever it is: the address is no good, and the next one is tried
            self.failure = exc
        self._race.news.put(self)


class _Race:
    """The attempts of one connection."""

    def __init__(
        self, connector: Connector, options: ChannelOptions, listener: ConnectionListener, addresses: list[Address]
    ) -> None:
        self.connector = connector
        self.options = options
        self.listener = listener
        self.news: SimpleQueue[_Attempt] = SimpleQueue()
        self._many = len(addresses) > 1
        self._left = deque(addresses)
        self._attempts: list[_Attempt] = []
        self._winner: Connection | None = None
        self._ends_s = perf_counter() + options.connect_timeout_s

    def run(self) -> tuple[Connection, Address]:
        """The first connection that is made, and its address. ConnectFailure when every address has failed."""
        running = 0
        next_s = 0.0
        while running or self._left:
            if self._left and (not running or perf_counter() >= next_s):
                self._attempts.append(_Attempt(self, self._left.popleft()))
                running += 1
                next_s = perf_counter() + ATTEMPT_DELAY_S
            self.connector.waits_for = self.told("so far")
            try:
                attempt = self.news.get(timeout=max(0.0, next_s - perf_counter()) if self._left else None)
            except Empty:
                continue
            if attempt.connection is not None and attempt.connection.lost is None:
                self._winner = attempt.connection
                return attempt.connection, attempt.address
            if attempt.connection is not None:
                attempt.failure = attempt.connection.lost  # since then
            if attempt.failure is not None:
                running -= 1
                next_s = 0.0
            else:  # it has answered, and gets its share of the time before the next one is tried beside it
                now_s = perf_counter()
                next_s = now_s + (self._ends_s - now_s) / (len(self._left) + 1)
        raise ConnectFailure(self.told(""))

    def told(self, since: str) -> str:
        """What became of each address that was tried."""
        told = []
        for attempt in self._attempts[:TOLD_ADDRESSES]:
            if attempt.failure is not None:
                what = self.connector.explained(attempt, attempt.failure)
            else:
                what = f"{attempt.waits_for} {since}"
            told.append(f"{address_text(attempt.address)}: {what}" if self._many else what)
        more = len(self._attempts) - len(told)
        return "; ".join(told) + (f"; {more} more addresses" if more else "")

    def end(self) -> None:
        """Give up every attempt but the one that won."""
        for attempt in self._attempts:
            if attempt.connection is None:
                attempt.greenlet.kill(block=False)
            elif attempt.connection is not self._winner:
                attempt.connection.close()
        self._attempts.clear()  # or they would keep the connection until a garbage collection
