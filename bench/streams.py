"""Sequences over streams on the real Triton: ours beside `perf_analyzer --streaming`, 8 sequences at once.

Both keep one request of each sequence under way and send sequences of 16 requests. The model has four slots, so half
of the sequences wait for one at any time, on both sides.
"""

from __future__ import annotations

import argparse
from typing import Any

from bench import compare, peers, triton

#: The mean length of the stress test's sequences.
LENGTH = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    triton.add_option(parser)
    compare.add_options(parser)
    compare.add_users(parser, "8")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    with triton.triton(options, [triton.SEQUENCE]) as (address, pid):
        server = triton.Triton(address, pid, triton.SEQUENCE)
        return [
            compare.compare(
                f"Triton, {users} sequences of {LENGTH}",
                server,
                peers.streams(triton.SEQUENCE, LENGTH, users),
                options,
            )
            for users in options.users
        ]
