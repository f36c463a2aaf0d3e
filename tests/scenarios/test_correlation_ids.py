"""Correlation ids, without a server."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.scenarios import correlation_ids
from triton_users.scenarios.correlation_ids import (
    BLOCK,
    COMMON_OFFSETS,
    FRESH_OFFSETS,
    RARE_OFFSETS,
    USERS,
    WORKERS,
    draw_offset,
    id_block,
    perf_analyzer_ids,
)

run_ids = st.integers(0, 2**63 - 1)
places = st.tuples(st.integers(0, WORKERS - 1), st.integers(0, USERS - 1))


@given(run_ids, places)
def test_a_users_block_has_1048576_ids_that_triton_accepts(run_id: int, place: tuple[int, int]) -> None:
    block = id_block(run_id, *place)
    assert len(block) == BLOCK == 1_048_576
    assert 0 < block[0] <= block[-1] < 2**63


@given(run_ids, st.lists(places, min_size=2, max_size=5, unique=True))
def test_no_two_users_of_a_run_share_an_id(run_id: int, users: list[tuple[int, int]]) -> None:
    blocks = [id_block(run_id, *place) for place in users]
    tools = [perf_analyzer_ids(block) for block in blocks]
    for one, other in combinations([*blocks, *tools], 2):
        assert one.stop <= other.start or other.stop <= one.start


@given(run_ids, run_ids, places)
def test_the_same_user_of_another_run_has_other_ids(run_id: int, other: int, place: tuple[int, int]) -> None:
    one, two = id_block(run_id, *place), id_block(other, *place)
    assert (one == two) == (run_id % correlation_ids.RUNS == other % correlation_ids.RUNS)


@given(run_ids, places)
def test_perf_analyzer_can_read_its_ids_as_32_bit_numbers(run_id: int, place: tuple[int, int]) -> None:
    ids = perf_analyzer_ids(id_block(run_id, *place))
    assert len(ids) == correlation_ids.PERF_ANALYZER_IDS
    assert 0 < ids.start < ids.stop < 2**31


@pytest.mark.parametrize(("worker", "user", "named"), [(WORKERS, 0, "worker"), (0, USERS, "user"), (0, -1, "user")])
def test_a_user_beyond_the_last_block_is_refused(worker: int, user: int, named: str) -> None:
    with pytest.raises(ValueError, match=f"number of the {named} is"):
        id_block(1, worker, user)


def test_a_rare_id_is_used_one_time_in_ten() -> None:
    draw = random.Random(1)
    offsets = [draw_offset(draw) for _ in range(20_000)]
    assert set(offsets) == {*COMMON_OFFSETS, *RARE_OFFSETS}
    assert len(COMMON_OFFSETS) == 2
    assert len(RARE_OFFSETS) == 8
    assert sum(offset in RARE_OFFSETS for offset in offsets) == pytest.approx(2_000, rel=0.1)


def test_fresh_ids_are_none_of_the_ten() -> None:
    assert not set(FRESH_OFFSETS[:100]) & {*COMMON_OFFSETS, *RARE_OFFSETS}
    assert FRESH_OFFSETS[-1] == BLOCK - 1
