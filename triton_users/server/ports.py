"""Chooses the server's three ports: the ones that were asked for, else free ones. It binds for a moment only."""

from __future__ import annotations

import socket
from typing import NamedTuple

from triton_users.server.errors import ServerError


class Ports(NamedTuple):
    """TCP ports of one server; 0 is any free one."""

    grpc: int = 0
    http: int = 0
    metrics: int = 0


def check(wanted: Ports) -> None:
    """ServerError when a port is none, or two services shall have the same."""
    for service, port in wanted._asdict().items():
        if not 0 <= port <= 65535:
            raise ServerError(f"The {service} port is {port}; it must be 1 to 65535, or 0 for any that is free.")
    given = [port for port in wanted if port]
    if len(set(given)) < len(given):
        raise ServerError(
            f"The ports are {wanted.grpc} for gRPC, {wanted.http} for HTTP and {wanted.metrics} for metrics; "
            "each service needs one of its own, or 0 for any that is free."
        )


def choose(wanted: Ports) -> Ports:
    """Ports that are free now; another process may still take one before the server does.

    ServerError when one that was asked for is not to be had.
    """
    probes: list[socket.socket] = []
    chosen = wanted._asdict()
    try:
        for service, port in sorted(chosen.items(), key=lambda each: not each[1]):  # those asked for come first
            probe = socket.socket()
            probes.append(probe)
            if port:  # as servers do: a connection of a former server that lingers is no obstacle
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen()  # two sockets may share a port until one listens
            except OSError as exc:
                raise ServerError(
                    f"Port {port} on 127.0.0.1 cannot be the {service} port: {exc.strerror}. "
                    "Give another, or 0 for any that is free."
                ) from exc
            chosen[service] = probe.getsockname()[1]
    finally:
        for probe in probes:
            probe.close()
    return Ports(**chosen)
