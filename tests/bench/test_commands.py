"""Every measurement can be finished with the options that it has by default."""

from __future__ import annotations

import argparse

import pytest

from bench.__main__ import MEASUREMENTS
from bench.compare import pins


@pytest.mark.parametrize("name", sorted(MEASUREMENTS))
def test_a_measurement_s_own_options_are_enough_for_its_last_line(name: str) -> None:
    parser = argparse.ArgumentParser()
    MEASUREMENTS[name].add_arguments(parser)
    assert pins(parser.parse_args([])).server == pins(argparse.Namespace(pin=False)).server
