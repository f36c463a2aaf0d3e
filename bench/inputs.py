"""Input data of a model: what comparing an answer costs, and what the largest files take in memory and time.

An answer is compared as the scenario of a model does it, once with every bit as expected and once with floats that
differ in their last bit, within the tolerance. Each file is made anew and read in a process of its own, whose peak is
counted beyond what Python and the imports take. A file of JSON lines is read as it is sent: first where its lines
begin, then 10,000 steps from all over it.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from bench import table
from bench.clients import ROOT
from bench.procs import BenchError
from triton_users.inputs.answers import mismatch
from triton_users.inputs.data import Step, Tensor
from triton_users.inputs.datatypes import encode
from triton_users.inputs.load import load
from triton_users.inputs.model import ModelSpec, TensorSpec

FLOATS = 150_528
#: Steps that are read of a file, from all over it.
READ = 10_000
MIB = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mib", type=int, default=200, metavar="N", help="size of the .json and the .npz (%(default)s)"
    )
    parser.add_argument("--jsonl-mib", type=int, default=2048, metavar="N", help="size of the .jsonl (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    checks = _checks()
    print(table.render(["comparing an answer", "us"], [[name, cost] for name, cost in checks.items()]), flush=True)
    sizes = {".json": options.mib, ".npz": options.mib, ".jsonl": options.jsonl_mib}
    with tempfile.TemporaryDirectory(prefix="bench-inputs-") as folder:
        files = [_file(Path(folder) / f"data{ending}", mib) for ending, mib in sizes.items()]
    heads = ["file", "MiB", "steps", "read in s", "peak MiB", "us a step"]
    print(table.render(heads, [list(each.values()) for each in files]), flush=True)
    return [checks, *files]


def _checks() -> dict[str, float]:
    draw = np.random.default_rng(1)
    texts = np.array([draw.bytes(100) for _ in range(10)], dtype=object)
    cases: dict[str, tuple[str, Any]] = {
        "16 floats": ("FP32", draw.random(16, np.float32)),
        f"{FLOATS:,} floats": ("FP32", draw.random(FLOATS, np.float32)),
        "10 texts of 100 bytes": ("BYTES", texts),
    }
    results: dict[str, float] = {}
    for name, (datatype, values) in cases.items():
        results[f"{name}, every bit as expected"] = _check(datatype, values, values)
        if datatype == "FP32":
            results[f"{name}, within the tolerance"] = _check(datatype, values, np.nextafter(values, np.float32(2)))
    return results


def _check(datatype: str, wanted: Any, came: Any) -> float:
    spec = TensorSpec("OUT", datatype, wanted.shape)
    step = Step({}, {"OUT": Tensor(spec, spec.shape, encode(wanted, datatype))})
    response = service_pb2.ModelInferResponse(model_name="m")
    response.outputs.add(name="OUT", datatype=datatype, shape=list(wanted.shape))
    response.raw_output_contents.append(encode(came, datatype))

    def compare() -> None:
        if mismatch((step,), response, batched=False, tolerances={}) is not None:
            raise BenchError("an answer that is right was found wrong")

    return _least(compare, 20 if wanted.size > 1000 else 1000)


def _least(work: Callable[[], None], times: int) -> float:
    """Microseconds of CPU, of the best of 30 rounds: another process on the machine can only add to it."""
    best = float("inf")
    for _ in range(30):
        begun = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - begun)
    return best / times * 1e6


def _file(path: Path, mib: int) -> dict[str, Any]:
    steps = _write(path, mib * MIB)
    command = [sys.executable, "-m", "bench.inputs", str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise BenchError(f"{path.name} could not be read: {ended.stderr[-2000:]}")
    size = path.stat().st_size / MIB
    path.unlink()
    return {"file": path.name, "mib": round(size), "steps": steps, **json.loads(ended.stdout)}


def _write(path: Path, size: int) -> int:
    """A file of about this size; how many steps of 1,000 floats it has."""
    draw = random.Random(1)
    if path.suffix == ".npz":
        steps = size // 4000
        np.savez(path, IN=np.random.default_rng(1).random((steps, 1000), np.float32))
        return steps
    entries = [json.dumps({"IN": [round(draw.random(), 6) for _ in range(1000)]}) for _ in range(100)]
    begin, between, end = ("", "\n", "\n") if path.suffix == ".jsonl" else ('{"data": [', ",", "]}")
    steps = size // (len(entries[0]) + 1)
    with path.open("w") as file:
        file.write(begin)
        for number in range(steps):
            file.write((between if number else "") + entries[number % len(entries)])
        file.write(end)
    return steps


def _read(path: Path) -> dict[str, float]:
    """In a process of its own."""
    spec = ModelSpec("m", (TensorSpec("IN", "FP32", (1000,)),), ())
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun_s = time.perf_counter()
    data = load([path], spec)
    loaded_s = time.perf_counter()
    count = data.streams[0]
    for number in range(READ):
        data.step(0, number * 7919 % count)
    read_s = time.perf_counter()
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "read_s": loaded_s - begun_s,
        "peak_mib": (peak_kib - before_kib) / 1024,
        "step_us": 1e6 * (read_s - loaded_s) / READ,
    }


if __name__ == "__main__":
    print(json.dumps(_read(Path(sys.argv[1]))))
