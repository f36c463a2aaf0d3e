"""A model scenario (`--models`) on the real Triton, 16 floats from a file: beside perf_analyzer and a fixed tensor.

perf_analyzer reads the same JSON. The fixed tensor is a `TritonGrpcUser` that sends one, with the plugin, so that both
are counted and judged alike: what it costs more CPU is what the scenario costs. `ours checked` compares each answer.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench import compare, triton
from bench.clients import LocustClient, PerfAnalyzer
from bench.messages import Identity
from bench.peers import SHARED_BY
from bench.sampling import Client

CASE = Identity(triton.IDENTITY, 16)
#: Steps in the file, each with values of its own.
STEPS = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    triton.add_option(parser)
    compare.add_options(parser)
    compare.add_users(parser, "8,64")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder, triton.triton(options, [CASE.model]) as (address, pid):
        server = triton.Triton(address, pid, CASE.model)
        plain, checked = _write(Path(folder))
        return [
            compare.compare(
                f"Triton, {CASE.floats} floats from a file, {users} users",
                server,
                _clients(users, plain, checked),
                options,
            )
            for users in options.users
        ]


def _clients(users: int, plain: Path, checked: Path) -> list[Client]:
    settings = dataclasses.asdict(CASE)

    def scenario(name: str, data: Path, *more: str) -> Client:
        options = ("--models", CASE.model, "--input-data", f"{CASE.model}={data}", *more)
        return LocustClient(name, "model.py", users, {}, options=options)

    return [
        scenario("ours", plain),
        scenario("ours shared", plain, "--connections", str(math.ceil(users / SHARED_BY))),
        scenario("ours checked", checked),
        LocustClient("fixed tensor", "fixed.py", users, settings),
        PerfAnalyzer(CASE.model, users, input_data=str(plain)),
    ]


def _write(folder: Path) -> tuple[Path, Path]:
    """The same steps without and with what must be answered."""
    draw = random.Random(1)
    values = [[draw.random() for _ in range(CASE.floats)] for _ in range(STEPS)]
    steps = [{CASE.input: {"content": each, "shape": [CASE.floats]}} for each in values]
    answers = [{CASE.output: {"content": each, "shape": [CASE.floats]}} for each in values]
    plain, checked = folder / "steps.json", folder / "checked.json"
    plain.write_text(json.dumps({"data": steps}))
    checked.write_text(json.dumps({"data": steps, "validation_data": answers}))
    return plain, checked
