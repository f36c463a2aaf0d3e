"""Memory and load of servers that nobody has run: what a healthy one shows, and what a leak adds to it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from triton_users.judge.leaks import KEEPS_MIB, Memory, Requests

POOL_MIB = 300.0
"""What the simulated server's pool may hold."""


def healthy(seed: int, hours: float = 12.0, samples: int = 720) -> tuple[Memory, Requests]:
    """A server without a leak, with all that looks like one for a while.

    A pool that fills in minutes or hours, saw-teeth of a garbage collector, a day's load of which part of the memory is
    given back and part is kept, steps of an allocator in the beginning, noise with a memory.
    """
    draw = np.random.default_rng(seed)
    times = np.linspace(0, 3600 * hours, samples + 1)[1:]
    phase, depth = draw.uniform(0, 2 * math.pi), draw.uniform(0, 0.6)
    rate = 200 * (1 + depth * np.sin(2 * math.pi * times / 86_400 + phase)) * draw.lognormal(0, 0.05, samples)
    answered = np.cumsum(rate * np.diff(times, prepend=0))
    pool, fills_s = draw.uniform(20, POOL_MIB), 3600 * hours / 12 * draw.uniform(0.1, 3)
    tooth, period_s = draw.uniform(2, 60), 60 * draw.uniform(2, 40) * min(1.0, hours / 3)
    follows = draw.uniform(0, 60) * rate / 200
    keeps = np.maximum.accumulate(draw.uniform(0, 40) * rate / 200)
    steps = sum(24.0 * (times > at) for at in draw.uniform(0, times[-1] / 5, draw.integers(0, 3)))
    mib = 500 + pool * (1 - np.exp(-times / fills_s)) + tooth * ((times / period_s) % 1) + follows + keeps + steps
    mib = mib + remembering(draw, samples, draw.uniform(0, 0.9), draw.uniform(0.1, 4))
    memory = Memory("the server", list(times), list(mib), KEEPS_MIB + POOL_MIB, "that it keeps on purpose")
    split = draw.uniform(0.2, 0.8)
    return memory, Requests(list(times), {"a": list(split * answered), "b": list((1 - split) * answered)})


def remembering(draw: np.random.Generator, samples: int, memory: float, spread: float) -> np.ndarray:
    """Noise in which each value remembers the one before."""
    noise = draw.normal(0, spread, samples)
    for i in range(1, samples):
        noise[i] += memory * noise[i - 1]
    return noise


def leaking(memory: Memory, requests: Requests, model: str, kib_per_request: float) -> Memory:
    """The same process with a leak in one model."""
    lost = np.asarray(requests.answered[model]) * kib_per_request / 1024
    return replace(memory, mib=list(np.asarray(memory.mib) + lost))
