"""Makes connected non-blocking sockets, with TLS where wanted; knows no HTTP/2. The caller limits the time."""

from __future__ import annotations

import _socket
import errno
import os
import socket
import ssl
from typing import Any, Final

import gevent
from gevent import socket as gevent_socket

from triton_users.transport.errors import ConnectFailure
from triton_users.transport.target import Target
from triton_users.transport.tls import TlsPipe

#: libev's event bits.
READ: Final = 1
WRITE: Final = 2

_IN_PROGRESS: Final = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EAGAIN)


def dial(target: Target, context: ssl.SSLContext | None, server_name: str) -> tuple[_socket.socket, TlsPipe | None]:
    """Connect to `target`, trying its addresses in order; ConnectFailure with the last address's reason.

    The plain C socket is used: Python's and gevent's wrappers cost more than the system call.
    """
    failure: Exception | None = None
    for family, address in _addresses(target):
        sock = _socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.setblocking(False)
            _connect(sock, address)
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock, _secure(sock, context, server_name) if context is not None else None
        except (OSError, ConnectFailure) as exc:
            sock.close()
            failure = exc
        except BaseException:
            sock.close()
            raise
    raise ConnectFailure(f"cannot connect to {target}: {failure or 'the name has no address'}") from failure


def _addresses(target: Target) -> list[tuple[int, Any]]:
    if target.path is not None:
        return [(socket.AF_UNIX, target.path)]
    try:
        found = gevent_socket.getaddrinfo(target.host, target.port, 0, socket.SOCK_STREAM)
    except OSError as exc:
        raise ConnectFailure(f"cannot resolve {target.host!r}: {exc}") from exc
    return [(family, address) for family, _, _, _, address in found]


def _connect(sock: _socket.socket, address: Any) -> None:
    error = sock.connect_ex(address)
    if error in _IN_PROGRESS:
        _wait(sock, WRITE)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _secure(sock: _socket.socket, context: ssl.SSLContext, server_name: str) -> TlsPipe:
    pipe = TlsPipe(context, server_name)
    done, outgoing = pipe.handshake(b"")
    while True:
        while outgoing:
            try:
                outgoing = outgoing[sock.send(outgoing) :]
            except BlockingIOError:
                _wait(sock, WRITE)
        if done:
            return pipe
        _wait(sock, READ)
        # Not more than the handshake may be taken from the socket, but what follows it stays inside the session.
        received = sock.recv(65_536)
        if not received:
            raise ConnectFailure("the server closed the connection during the TLS handshake")
        done, outgoing = pipe.handshake(received)


def _wait(sock: _socket.socket, event: int) -> None:
    hub = gevent.get_hub()
    watcher = hub.loop.io(sock.fileno(), event)
    try:
        hub.wait(watcher)
    finally:
        watcher.stop()
        watcher.close()
