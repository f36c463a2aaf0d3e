"""Which clients meet in a comparison, ours first."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.clients import H2load, LocustClient, PerfAnalyzer
from bench.messages import Identity
from bench.sampling import Client

#: perf_analyzer shares a connection among so many of its threads.
SHARED_BY = 6


def identity(case: Identity, users: int) -> list[Client]:
    """All clients on an identity model."""
    shape = ["--shape", f"{case.input}:{case.floats}"]
    settings = dataclasses.asdict(case)
    return [
        *ours("ours.py", users, settings),
        PerfAnalyzer(case.model, users, shape),
        LocustClient("stock", "stock.py", users, settings),
        *([H2load(case, users)] if H2load.installed() else []),
    ]


def streams(model: str, length: int, sequences: int) -> list[Client]:
    """The two clients that speak Triton's bidirectional stream, on a sequence model."""
    settings = {"model": model, "length": length}
    options = [
        *["--streaming", "--sequence-length", str(length), "--sequence-length-variation", "0"],
        # Ids far from those of the other client, whose sequences may still be open; it reads them as 32 bits.
        *["--sequence-id-range", f"{2**30}:{2**31 - 1}"],
    ]
    return [
        *ours("stream.py", sequences, settings),
        PerfAnalyzer(model, sequences, options),
    ]


def repeats(model: str, count: int, users: int, data: Path) -> list[Client]:
    """On a decoupled model that answers `count` times, as `data` says: a model's scenario, tritonclient's calls, PA."""
    scenario = ["--models", model, "--input-data", f"{model}={data}"]
    return [
        *ours("model.py", users, {}, options=scenario),
        *ours("repeat.py", users, {"model": model, "count": count}, "ours, tritonclient's calls"),
        PerfAnalyzer(model, users, ["--streaming"], input_data=str(data)),
    ]


def ours(
    locustfile: str, users: int, case: dict[str, Any], name: str = "ours", options: Sequence[str] = ()
) -> list[Client]:
    """Ours as it comes, a connection for each user; and with as many connections as perf_analyzer makes."""
    connections = math.ceil(users / SHARED_BY)
    clients: list[Client] = [LocustClient(name, locustfile, users, case, options=options)]
    if connections < users:
        shared, more = {**case, "connections": connections}, ["--connections", str(connections)]
        clients.append(
            LocustClient(f"{name} shared", locustfile, users, shared, options=[*options, *more] if options else ())
        )
    return clients
