"""Makes one connection to a target, from its name to the server's SETTINGS; knows no calls and no pauses."""

from __future__ import annotations

import gevent

from triton_users.transport.connection import Connection, ConnectionListener
from triton_users.transport.dial import dial
from triton_users.transport.errors import ConnectFailure
from triton_users.transport.http2.streams import ConnectionState
from triton_users.transport.options import ChannelOptions
from triton_users.transport.target import Target
from triton_users.transport.tls import TlsCredentials


class Connector:
    """Connects to one target, as often as it is asked to."""

    def __init__(self, target: Target, tls: TlsCredentials | None) -> None:
        """ValueError for TLS files that cannot be used."""
        self.target = target
        self._context = None if tls is None else tls.context()
        self._server_name = (tls.server_name if tls is not None else None) or target.host or "localhost"

    def connect(self, options: ChannelOptions, listener: ConnectionListener) -> Connection:
        """A connection on which streams can be opened; ConnectFailure with the reason if there is none in time."""
        limit_s = options.connect_timeout_s
        connection = None
        timeout = gevent.Timeout.start_new(limit_s)
        try:
            sock, pipe = dial(self.target, self._context, self._server_name)
            connection = Connection(sock, pipe, options, listener)
            connection.settled.wait()
        except BaseException as exc:  # whatever ends the attempt, also just after the server's SETTINGS came
            if connection is not None:
                connection.close()
            if exc is not timeout:
                raise
            what = "did not answer" if connection is None else "sent no SETTINGS"
            raise ConnectFailure(f"cannot connect to {self.target}: it {what} within {limit_s} s") from None
        finally:
            timeout.close()
        if connection.lost is not None:
            raise ConnectFailure(f"cannot connect to {self.target}: {connection.lost}") from connection.lost
        if connection.core.state is ConnectionState.DRAINING:
            connection.close()
            raise ConnectFailure(f"cannot connect to {self.target}: it began with {connection.core.goaway}")
        return connection
