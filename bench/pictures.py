"""Throughput, CPU and latency on the real Triton with picture-size tensors: 150,528 floats each way."""

from __future__ import annotations

import argparse
from typing import Any

from bench import compare, triton
from bench.messages import Identity
from bench.throughput import run_case

#: One picture of 224 x 224 x 3 as FP32: 602,112 bytes.
CASE = Identity(triton.IDENTITY, 224 * 224 * 3)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    triton.add_option(parser)
    compare.add_options(parser)
    compare.add_users(parser, "1,8")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    return run_case(CASE, options)
