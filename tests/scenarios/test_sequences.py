"""Correlation ids, the model of a sequence and the table of open sequences, without a server."""

from __future__ import annotations

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from triton_users.scenarios import sequences
from triton_users.scenarios.sequences import (
    BLOCK,
    COMMON_OFFSETS,
    FRESH_OFFSETS,
    RARE_OFFSETS,
    USERS,
    WORKERS,
    OpenSequences,
    draw_offset,
    draw_values,
    expected_answers,
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
    assert (one == two) == (run_id % sequences.RUNS == other % sequences.RUNS)


@given(run_ids, places)
def test_perf_analyzer_can_read_its_ids_as_32_bit_numbers(run_id: int, place: tuple[int, int]) -> None:
    ids = perf_analyzer_ids(id_block(run_id, *place))
    assert len(ids) == sequences.PERF_ANALYZER_IDS
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


@given(st.integers(), st.floats(1, 50), st.floats(0, 50))
def test_a_sequence_has_at_least_one_value_and_all_are_in_range(seed: int, mean: float, stdev: float) -> None:
    values = draw_values(random.Random(seed), mean, stdev)
    assert values
    assert all(0 <= value < 1024 * 1024 for value in values)


def test_lengths_follow_the_mean() -> None:
    draw = random.Random(2)
    lengths = [len(draw_values(draw, 16, 8)) for _ in range(3_000)]
    assert np.mean(lengths) == pytest.approx(15.5, abs=0.6)  # int() takes half of one off


whole = st.lists(st.integers(0, 1024 * 1024 - 1), min_size=1, max_size=50).map(tuple)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=50).map(tuple))
def test_an_int32_accumulator_wraps_around(values: tuple[int, ...]) -> None:
    total, wanted = 0, []
    for value in values:
        total = (total + value + 2**31) % 2**32 - 2**31
        wanted.append(total)
    assert expected_answers(values, "INT32", accumulates=True) == wanted


@given(whole)
def test_an_fp32_accumulator_rounds_after_each_addition(values: tuple[int, ...]) -> None:
    total, wanted = np.float32(0), []
    for value in values:
        total = np.float32(total + np.float32(value))
        wanted.append(float(total))
    assert expected_answers(values, "FP32", accumulates=True) == wanted


@given(whole, st.sampled_from(["INT32", "FP32"]))
def test_other_models_answer_the_value_and_one_more_on_start(values: tuple[int, ...], datatype: str) -> None:
    answers = expected_answers(values, datatype, accumulates=False)
    assert answers == [values[0] + 1, *values[1:]]
    assert all(isinstance(answer, int if datatype == "INT32" else float) for answer in answers)


class OpenSequencesMachine(RuleBasedStateMachine):
    """The bounded table beside one that forgets nothing."""

    HELD_S = 10.0
    keys = st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 4))

    @initialize(capacity=st.integers(1, 10))
    def start(self, capacity: int) -> None:
        self.capacity = capacity
        self.table = OpenSequences(self.HELD_S, capacity)
        self.now = 0.0
        self.last_signs: dict[tuple[str, int], float] = {}
        self.overflowed = False

    @rule(key=keys)
    def seen(self, key: tuple[str, int]) -> None:
        self.table.seen(*key, self.now)
        self.last_signs[key] = self.now
        self.overflowed |= len(self.last_signs) > self.capacity

    @rule(key=keys)
    def ended(self, key: tuple[str, int]) -> None:
        self.table.ended(*key)
        self.last_signs.pop(key, None)

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=keys)
    def ask(self, key: tuple[str, int]) -> None:
        truly_open = key in self.last_signs and self.now < self.last_signs[key] + self.HELD_S
        told_open = self.table.is_open(*key, self.now)
        if self.overflowed:
            assert told_open or not truly_open, "a sequence that may be open was called closed"
        else:
            assert told_open == truly_open

    @invariant()
    def bounded(self) -> None:
        assert len(self.table) <= self.capacity


TestOpenSequences = OpenSequencesMachine.TestCase
TestOpenSequences.settings = settings(max_examples=60, stateful_step_count=30)


def test_after_an_overflow_everything_unknown_is_open_until_the_dropped_one_is_over() -> None:
    table = OpenSequences(held_s=10, capacity=1)
    table.seen("m", 1, now=0)
    table.seen("m", 2, now=3)
    assert table.is_open("m", 1, now=9.9)
    assert table.is_open("m", 99, now=9.9)
    assert not table.is_open("m", 1, now=10)
    assert table.is_open("m", 2, now=10)


def test_only_sequences_within_their_time_are_counted_as_open() -> None:
    table = OpenSequences(held_s=10)
    table.seen("m", 1, now=0)
    table.seen("m", 2, now=3)
    table.seen("m", 3, now=4)
    table.ended("m", 3)
    assert table.open_at(9.9) == 2
    assert table.open_at(10) == 1
    assert table.open_at(13) == 0
