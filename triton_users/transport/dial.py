"""Steps towards a connection: addresses of a name, a connected socket, a TLS handshake; knows no HTTP/2, no limits."""

from __future__ import annotations

import _socket
import errno
import os
import socket
import ssl
from itertools import zip_longest
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

#: Family, and the address as `socket` has it.
Address = tuple[int, Any]


def addresses_of(target: Target) -> list[Address]:
    """The addresses to try, in order; ConnectFailure if there are none.

    They alternate between the families, beginning with the one that the system puts first (RFC 8305 section 4).
    """
    if target.path is not None:
        return [(socket.AF_UNIX, target.path)]
    try:
        found = gevent_socket.getaddrinfo(target.host, target.port, 0, socket.SOCK_STREAM)
    except (OSError, ValueError) as exc:  # ValueError: no host name at all, such as one with an empty label
        raise ConnectFailure(f"cannot resolve {target.host!r}: {exc}") from exc
    addresses = list(dict.fromkeys((int(family), address) for family, _, _, _, address in found))
    if not addresses:
        raise ConnectFailure(f"cannot resolve {target.host!r}: the name has no address")
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [address for pair in zip_longest(first, others) for address in pair if address is not None]


def address_text(address: Address) -> str:
    """An address for people."""
    family, where = address
    if family == socket.AF_UNIX:
        return f"unix:{where}"
    return f"[{where[0]}]:{where[1]}" if family == socket.AF_INET6 else f"{where[0]}:{where[1]}"


def connected_socket(address: Address) -> _socket.socket:
    """A non-blocking socket that is connected; OSError with the reason if it cannot be.

    The plain C socket is used: Python's and gevent's wrappers cost more than the system call.
    """
    family, where = address
    sock = _socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        error = sock.connect_ex(where)
        if error in _IN_PROGRESS:
            _wait(sock, WRITE)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


def secured(sock: _socket.socket, context: ssl.SSLContext, server_name: str) -> TlsPipe:
    """The TLS session on a connected socket; ConnectFailure or OSError if there can be none."""
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
