"""The table of open sequences, without a server."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from triton_users.scenarios.open_sequences import OpenSequences


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
