"""Throughput, CPU and latency on the real Triton, identity model, 16 floats."""

from __future__ import annotations

import argparse
from typing import Any

from bench import compare, peers, triton
from bench.messages import Identity

CASE = Identity(triton.IDENTITY, 16)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    triton.add_option(parser)
    compare.add_options(parser)
    compare.add_users(parser, "1,8,64")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    return run_case(CASE, options)


def run_case(case: Identity, options: argparse.Namespace) -> list[dict[str, Any]]:
    """All clients on one identity model and tensor."""
    with triton.triton(options, [case.model]) as (address, pid):
        server = triton.Triton(address, pid, case.model)
        return [
            compare.compare(
                f"Triton, {case.floats} floats, {users} users", server, peers.identity(case, users), options
            )
            for users in options.users
        ]
