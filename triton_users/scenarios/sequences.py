"""Who owns which correlation ids, which sequences are open, what each answer must be; no client, clock or greenlet."""

from __future__ import annotations

import random
from collections import OrderedDict

import numpy as np

BLOCK = 1 << 20
"""Ids in a block: 1,048,576 (`qa/L0_long_running_stress` gives each of its threads as many)."""

USERS = 1 << 14
"""Users of one worker whose ids are apart."""

WORKERS = 1 << 10
"""Workers of one run whose ids are apart."""

RUNS = (1 << 19) - 1
"""Runs whose ids are apart. Two masters on one server draw the same number of these 1 time in 524,287."""

PERF_ANALYZER_IDS = 64
"""Ids for the perf_analyzer runs of one user, of which there is one at a time with at most 4 open sequences."""

PERF_ANALYZER_SLOTS = (1 << 31) // PERF_ANALYZER_IDS - 2
"""Places for such ids: perf_analyzer 2.51 reads them as 32-bit numbers, and 0 is none. No user's own id is so low."""

COMMON_OFFSETS = range(1, 3)
"""A user's two common ids, counted from the start of its block."""

RARE_OFFSETS = range(3, 11)
"""A user's eight rare ids, counted from the start of its block."""

FRESH_OFFSETS = range(11, BLOCK)
"""The rest of the block: ids for sequences that nothing else may touch."""

RARE_CHANCE = 0.1
"""How often a rare id is used instead of a common one."""


def id_block(run_id: int, worker: int, user: int) -> range:
    """The ids that belong to one user alone, all in [2**44, 2**63).

    `run_id` is any random number, the same on all workers; `worker` is in [0, WORKERS), `user` in [0, USERS).
    From the top, an id's 63 bits are: run 19, worker 10, user 14, offset in the block 20.
    ValueError for a worker or user out of range: its block would be another's.
    """
    for name, value, count in (("worker", worker, WORKERS), ("user", user, USERS)):
        if not 0 <= value < count:
            raise ValueError(f"the number of the {name} is {value}; there are correlation ids for 0 to {count - 1}")
    run = 1 + run_id % RUNS  # never 0: Triton takes the id 0 for "no sequence", and low ids are perf_analyzer's
    start = ((run * WORKERS + worker) * USERS + user) * BLOCK
    return range(start, start + BLOCK)


def perf_analyzer_ids(block: range) -> range:
    """The ids for the perf_analyzer runs of the user with this block.

    Within one run no two users share any. Two runs on one server may, since 32 bits have no room for all: their random
    run numbers shift them apart, but for about 1 in 20,000 pairs of runs with four workers of a hundred users each.
    """
    run, place = divmod(block.start // BLOCK, WORKERS * USERS)
    slot = (place + run * (PERF_ANALYZER_SLOTS // RUNS)) % PERF_ANALYZER_SLOTS
    return range((slot + 1) * PERF_ANALYZER_IDS, (slot + 2) * PERF_ANALYZER_IDS)


def draw_offset(draw: random.Random) -> int:
    """One of a user's ten ids, as its offset in the block: a rare one 1 time in 10."""
    return draw.choice(RARE_OFFSETS if draw.random() < RARE_CHANCE else COMMON_OFFSETS)


def draw_fresh_offset(draw: random.Random) -> int:
    """An id beside the ten, as its offset in the block."""
    return draw.choice(FRESH_OFFSETS)


def draw_values(draw: random.Random, mean: float, stdev: float) -> tuple[int, ...]:
    """The values of one sequence: `max(1, int(normal(mean, stdev)))` numbers in [0, 1024 * 1024)."""
    return tuple(draw.randrange(1024 * 1024) for _ in range(draw_length(draw, mean, stdev)))


def draw_length(draw: random.Random, mean: float, stdev: float) -> int:
    """The number of requests of one sequence: `max(1, int(normal(mean, stdev)))`."""
    return max(1, int(draw.normalvariate(mean, stdev)))


def expected_answers(values: tuple[int, ...], datatype: str, accumulates: bool) -> list[int] | list[float]:
    """What a sequence model must answer to each value of one whole sequence, as Python numbers.

    An accumulator answers the sum so far: INT32 wraps around, FP32 rounds after each addition. The other models of
    Triton's tests keep no state between requests and answer the value, and one more than that on START.
    """
    kind = np.int32 if datatype == "INT32" else np.float32
    sent = np.array(values, dtype=kind)
    if accumulates:
        # cumsum adds one after the other in the given type, as the model does: no pairwise sums, no wider type.
        answers = np.cumsum(sent, dtype=kind)
    else:
        answers = sent
        answers[0] += 1
    listed: list[int] | list[float] = answers.tolist()
    return listed


class OpenSequences:
    """Which sequences a server may still hold, by model and correlation id.

    One is open from its first request until its END was answered, or until `held_s` (the server's idle limit and a
    margin) after the last sign of it: a request handed over, an answer, a stream cut off. Where it is not known what
    the server did, it counts as open.

    It holds at most `capacity` sequences. When one more comes, the one longest silent is dropped, and until that one's
    time is over every unknown sequence counts as open.
    """

    def __init__(self, held_s: float, capacity: int = 4096) -> None:
        self._held_s = held_s
        self._capacity = capacity
        self._last_sign: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._all_open_until = float("-inf")

    def __len__(self) -> int:
        return len(self._last_sign)

    def seen(self, model: str, correlation_id: int, now: float) -> None:
        """A request of the sequence was handed over, or its stream ended otherwise than by an answered END."""
        key = (model, correlation_id)
        self._last_sign[key] = now
        self._last_sign.move_to_end(key)
        if len(self._last_sign) > self._capacity:
            _, dropped = self._last_sign.popitem(last=False)
            self._all_open_until = max(self._all_open_until, dropped + self._held_s)

    def open_at(self, now: float) -> int:
        """How many are open."""
        count = 0
        for last_sign in reversed(self._last_sign.values()):
            if now >= last_sign + self._held_s:
                break  # the ones before it are older still
            count += 1
        return count

    def ended(self, model: str, correlation_id: int) -> None:
        """Its END was answered."""
        self._last_sign.pop((model, correlation_id), None)

    def is_open(self, model: str, correlation_id: int, now: float) -> bool:
        last_sign = self._last_sign.get((model, correlation_id))
        if last_sign is None:
            return now < self._all_open_until
        return now < last_sign + self._held_s
