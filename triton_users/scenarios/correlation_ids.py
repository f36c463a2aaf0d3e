"""Who owns which correlation ids, and how a plan draws one of them. Knows no client and no sequence."""

from __future__ import annotations

import random

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

BURST_OFFSETS = range(11, 11 + 64)
"""The ids of sequences that are sent at the same time, counted from the start of the user's block."""

FRESH_OFFSETS = range(11 + 64, BLOCK)
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
