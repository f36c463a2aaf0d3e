"""How often the verdicts on leaks and comparisons are wrong: simulated servers, healthy ones and ones with a defect."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import table
from tests.compare.simulated import comparison
from tests.judge.simulated import healthy, leaking
from triton_users.judge.leaks import Memory, Requests, judge_memory

#: The default limit, in MiB an hour.
LIMIT = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=100, help="simulated runs of each kind (default %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    found: dict[str, Counter[str]] = {}
    kinds: dict[str, Callable[[int], tuple[Memory, Requests]]] = {
        "healthy, 12 h": healthy,
        "healthy, 10 min": lambda seed: healthy(seed, 1 / 6, 600),
        "60 MiB an hour, 12 h": _an_hour(60.0),
        "1 MiB in 100 requests, 10 min": _a_request(10.24),
        "64 KiB a request, 10 min": _a_request(64.0),
    }
    for name, make in kinds.items():
        found[name] = Counter(judge_memory(*make(seed), LIMIT).answer for seed in range(options.runs))
    for slower in (1.0, 1.03, 1.1):
        answers = [comparison(seed, slower) for seed in range(options.runs)]
        found[f"compare, B {100 * slower - 100:.0f} % slower"] = Counter(
            "worse" if "worse" in each else "better" if "better" in each else "no difference shown" for each in answers
        )
    print(table.render(["case", "answers"], [[name, _told(counts)] for name, counts in found.items()]))
    return [{"case": name, "answers": dict(counts)} for name, counts in found.items()]


def _an_hour(mib: float) -> Callable[[int], tuple[Memory, Requests]]:
    def make(seed: int) -> tuple[Memory, Requests]:
        memory, requests = healthy(seed)
        return leaking(memory, requests, "a", mib * 12 * 1024 / requests.answered["a"][-1]), requests

    return make


def _a_request(kib: float) -> Callable[[int], tuple[Memory, Requests]]:
    def make(seed: int) -> tuple[Memory, Requests]:
        memory, requests = healthy(seed, 1 / 6, 600)
        return leaking(memory, requests, "a", kib), requests

    return make


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{answer} {number}" for answer, number in counts.most_common())
