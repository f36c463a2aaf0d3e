"""The port on which workers meet their master, settled before Locust forks or listens. Knows Locust's options only."""

from __future__ import annotations

import errno
import socket
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser

_claims: list[socket.socket] = []
"""Kept to this process's end."""


def keep_forked_workers_from_another_runs_master(options: Namespace, parser: LocustArgumentParser) -> None:
    """Let the workers that `--processes` forks meet no master but their own, on a port that is free.

    Two runs on one machine have the same port: the second master cannot listen, but its workers, forked before it
    tries, find the first one and are given users of that run. Ends the program with exit code 2 when a port that was
    asked for is taken. Seen in 2.46 and 2.47. Can go when a master listens before it forks, or its workers know it.
    """
    if options.worker or not (options.processes or options.master):
        return
    port = options.master_bind_port
    chosen = not options.processes or port != parser.get_default("master_bind_port")
    if _taken(options.master_bind_host, port) or not (chosen or _claimed(port)):
        if chosen:
            parser.error(
                f"port {port} is taken, perhaps by the master of another run; give this one another with "
                "--master-bind-port, and its workers the same with --master-port"
            )
        options.master_bind_port = _free(options.master_bind_host)
        sys.stderr.write(
            f"locust: port {port} is taken, perhaps by the master of another run; "
            f"this run's workers meet on {options.master_bind_port}\n"
        )
    if options.processes:
        options.master_port = options.master_bind_port


def _taken(host: str, port: int) -> bool:
    try:
        socket.create_server(("" if host == "*" else host, port)).close()
    except OSError as error:
        return error.errno == errno.EADDRINUSE  # whatever else is wrong with them, Locust tells
    return False


def _claimed(port: int) -> bool:
    """Whether no other run has said that it will listen there: it forks first, which takes a moment.

    The claim is a name in Linux's abstract namespace of sockets, which ends with the process and leaves no file.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0triton-users-master-{port}")
    except OSError as error:
        claim.close()
        return error.errno != errno.EADDRINUSE
    _claims.append(claim)
    return True


def _free(host: str) -> int:
    with socket.create_server(("" if host == "*" else host, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
