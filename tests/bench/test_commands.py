"""Every measurement can be finished with the options that it has by default, and be held to cores of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.__main__ import MEASUREMENTS, parser
from bench.compare import pins
from bench.procs import BenchError, Pins, cores, on_cores, running


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_a_measurement_s_own_options_are_enough_for_its_last_line(name: str) -> None:
    assert pins(parser().parse_args([name])).describe() == "nothing pinned"


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_each_measurement_can_be_held_to_cores_of_its_own_to_run_beside_others(name: str) -> None:
    options = parser().parse_args([name, "--server-cores", "0-3", "--client-cores", "4-6,9"])
    assert pins(options) == Pins(cores("0,1,2,3"), frozenset({4, 5, 6, 9}))
    assert pins(options).describe() == "server on cores 0, 1, 2, 3, client on cores 4, 5, 6, 9"


def test_what_a_measurement_starts_stays_on_the_cores_of_its_side(tmp_path: Path) -> None:
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("two cores are needed to tell them apart")
    server, client = allowed[:1], allowed[1:2]
    show = [sys.executable, "-c", "import os; print(sorted(os.sched_getaffinity(0)))"]
    with on_cores(frozenset(allowed)):  # this thread's own come back, whatever `hold` leaves
        Pins(frozenset(server), frozenset(client)).hold()
        for side in (server, client):
            with running(show, tmp_path / "log", frozenset(side)) as child:
                child.wait(10)
            assert (tmp_path / "log").read_text() == f"{side}\n"
        with running(show, tmp_path / "log") as child:
            child.wait(10)
        assert (tmp_path / "log").read_text() == f"{[*server, *client]}\n"


@pytest.mark.parametrize(
    ("placed", "said"),
    [
        (Pins(client=frozenset({0})), "go together"),
        (Pins(frozenset(), frozenset({0})), "at least one core"),
        (Pins(frozenset({0}), frozenset({0})), "core 0 cannot be both"),
        (Pins(frozenset({0}), frozenset({70_000, 70_001})), "may not use cores 70000, 70001"),
    ],
)
def test_cores_that_cannot_be_had_are_refused_before_anything_starts(placed: Pins, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        placed.hold()
