"""What a failure carries becomes plain and bounded; error texts that differ in numbers only become one."""

import json
from dataclasses import dataclass
from pathlib import Path

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.ledger import normalise, plain
from triton_users.ledger.plain import MAX_ITEMS, MAX_TEXT

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.integers() | st.text(), inner) | st.tuples(inner, inner),
)


@given(anything)
def test_anything_becomes_what_msgpack_and_json_can_carry(value) -> None:
    became = plain(value)
    assert msgpack.unpackb(msgpack.packb(became)) == became
    json.dumps(became, allow_nan=False).encode()


def test_numpy_values_paths_sets_and_objects_become_plain() -> None:
    @dataclass
    class Thing:
        x: int = 1

    became = plain(
        {"n": np.int64(7), "a": np.arange(3), "p": Path("a/b"), "s": {1}, "o": Thing(), "f": np.float32(0.5)}
    )
    assert became["n"] == 7
    assert became["a"] == [0, 1, 2]
    assert became["p"] == "a/b"
    assert became["s"] == [1]
    assert "Thing(x=1)" in became["o"]
    assert became["f"] == 0.5


def test_a_long_list_keeps_its_beginning_and_its_end() -> None:
    became = plain(list(range(1000)))
    assert len(became) == MAX_ITEMS + 1
    assert became[0] == 0
    assert became[-1] == 999
    assert "940 left out" in became[20]


def test_a_long_text_says_how_much_is_left_out() -> None:
    became = plain("a" * 5000)
    assert len(became) < MAX_TEXT + 100
    assert "3000 characters left out" in became


def test_a_container_that_holds_itself_comes_to_an_end() -> None:
    ring: list[object] = []
    ring.append(ring)
    assert isinstance(plain(ring), list)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sequence 17 to model 'm' must specify", "sequence 99 to model 'm' must specify"),
        ("got 3.5, expected -7", "got 44, expected 1e-9"),
        ("object at 0x7f00aa", "object at 0x1b"),
        ("id 123e4567-e89b-12d3-a456-426614174000 gone", "id 00000000-0000-0000-0000-000000000001 gone"),
        ("connect to 127.0.0.1:8001 failed", "connect to 10.0.0.2:9001 failed"),
    ],
)
def test_texts_that_differ_in_numbers_only_are_one(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


def test_names_keep_their_digits() -> None:
    assert normalise("model 'resnet_v1_50' on int32, stub 'M_0_1'") == "model 'resnet_v1_50' on int32, stub 'M_0_1'"


def test_different_errors_stay_different() -> None:
    assert normalise("UNAVAILABLE: no such model") != normalise("INTERNAL: no such model")
