"""What a request costs the client: a server in C that does no work, 16 floats."""

from __future__ import annotations

import argparse
from typing import Any

from bench import compare, peers
from bench.messages import Identity
from bench.null_server import null_server

CASE = Identity("identity", 16)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    compare.add_options(parser)
    compare.add_users(parser, "1,8,64")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    with null_server(CASE, compare.pins(options).server) as server:
        return [
            compare.compare(f"null server, {users} users", server, peers.identity(CASE, users), options)
            for users in options.users
        ]
