"""Streams on the real Triton: ours beside `perf_analyzer --streaming`, sequences and a decoupled model.

Sequences: both keep one request of each sequence under way and send sequences of 16 requests. The model has four slots,
so half of 8 sequences wait for one at any time, on both sides. Decoupled: a model that answers each request 1, 8 or 64
times, as fast as it can; both send the next request after the final response. The server counts requests, not
responses.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from bench import compare, peers, triton

#: The mean length of the stress test's sequences.
LENGTH = 16
SEQUENCES = "sequences"
#: What is measured where nothing is chosen.
KINDS = (SEQUENCES, "1", "8", "64")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    triton.add_option(parser)
    compare.add_options(parser)
    compare.add_users(parser, "8")
    parser.add_argument(
        "--kinds",
        default=",".join(KINDS),
        metavar="A,B",
        help="sequences, or how often a decoupled model answers (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    kinds = options.kinds.split(",")
    results: list[dict[str, Any]] = []
    if SEQUENCES in kinds:
        with triton.triton(options, [triton.SEQUENCE]) as (address, pid):
            server = triton.Triton(address, pid, triton.SEQUENCE)
            for users in options.users:
                clients = peers.streams(triton.SEQUENCE, LENGTH, users)
                results.append(compare.compare(f"Triton, {users} sequences of {LENGTH}", server, clients, options))
    if counts := [int(kind) for kind in kinds if kind != SEQUENCES]:
        with (
            tempfile.TemporaryDirectory() as folder,
            triton.triton(options, [triton.REPEAT], triton.REPEAT_FOLDER) as (address, pid),
        ):
            server = triton.Triton(address, pid, triton.REPEAT)
            for count in counts:
                data = Path(folder) / f"{count}.json"
                data.write_text(json.dumps({"data": [{"COUNT": [count]}]}))
                for users in options.users:
                    title = f"Triton, a decoupled model that answers {count} times, {users} at once"
                    clients = peers.repeats(triton.REPEAT, count, users, data)
                    results.append(compare.compare(title, server, clients, options))
    return results
