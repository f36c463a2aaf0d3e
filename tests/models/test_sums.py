"""The accumulators' table of sums, without a server."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

FILE = Path(__file__).parents[2] / "models/custom_sequence_int32/1/model.py"


def load() -> ModuleType:
    """The model's module, with nothing in place of what only Triton has."""
    specification = spec_from_file_location("accumulator", FILE)
    module = module_from_spec(specification)
    with mock.patch.dict(sys.modules, {"triton_python_backend_utils": ModuleType("triton_python_backend_utils")}):
        specification.loader.exec_module(module)
    return module


MODEL = load()


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2, "a", "1"]), st.integers(-(2**31), 2**31 - 1), st.booleans(), st.booleans()),
        max_size=60,
    )
)
def test_interleaved_sequences_are_summed_apart_and_wrap_around(steps):
    sums, expected = MODEL.Sums(kept_s=7.0), {}
    for now, (key, value, start, end) in enumerate(steps):
        given_value = np.array([value], dtype=np.int32)
        if not start and key not in expected:
            with pytest.raises(KeyError):
                sums.add(key, given_value, start, end, now / 100)
            continue
        total = value if start else expected[key] + value
        answer = sums.add(key, given_value, start, end, now / 100)
        assert answer.dtype == np.int32
        assert int(answer[0]) == (total + 2**31) % 2**32 - 2**31
        expected[key] = total
        if end:
            del expected[key]
        assert len(sums) == len(expected)


def test_a_sequence_silent_for_longer_than_it_is_kept_is_forgotten_at_the_next_start():
    sums, one = MODEL.Sums(kept_s=7.0), np.array([1], dtype=np.int32)
    sums.add("silent", one, True, False, now=0.0)
    sums.add("other", one, True, False, now=7.0)
    assert len(sums) == 2
    sums.add("third", one, True, False, now=7.1)
    assert len(sums) == 2
    with pytest.raises(KeyError):
        sums.add("silent", one, False, False, now=7.2)


def test_the_table_is_bounded_even_when_nothing_is_old():
    sums, one = MODEL.Sums(kept_s=7.0), np.array([1], dtype=np.int32)
    for key in range(MODEL.MAX_SEQUENCES + 10):
        sums.add(key, one, True, False, now=0.0)
    assert len(sums) == MODEL.MAX_SEQUENCES
