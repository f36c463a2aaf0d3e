"""A bounded number of the fuzzer's cases, the same each time; and the cases that once failed."""

from __future__ import annotations

import pytest

from tests.transport.fuzz import run_case


@pytest.mark.parametrize("block", range(4))
def test_invented_frames(block: int) -> None:
    for case in range(block * 400, block * 400 + 400):
        run_case(case)
