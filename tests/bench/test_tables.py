"""How results are shown."""

from __future__ import annotations

import argparse
import dataclasses

import pytest

from bench import compare, soak, table
from bench.deadline import render as render_deadline
from bench.sampling import Sample

SAMPLE = Sample(3000, 1000.0, 100.0, 50.0, 800.0, 900.0, 1500.0, 0)


@pytest.mark.parametrize(
    ("cell", "shown"),
    [(12345.6, "12,346"), (12.34, "12.3"), (1.234, "1.23"), (7, "7"), (None, "-"), ("text", "text"), (-0.5, "-0.50")],
)
def test_numbers_show_about_three_digits(cell: table.Cell, shown: str) -> None:
    assert table.show(cell) == shown


def test_columns_are_aligned() -> None:
    lines = table.render(["name", "n"], [["a", 1], ["long name", 1000]]).splitlines()
    assert lines == ["name           n", "----------------", "a              1", "long name  1,000"]


def test_a_comparison_shows_medians_and_ratios() -> None:
    slow = dataclasses.replace(SAMPLE, requests_per_s=500.0)
    shown = compare.render({"ours": [SAMPLE], "peer": [slow]})
    assert "ours / peer" in shown
    assert "2.00" in shown.splitlines()[-1]


def test_a_comparison_with_errors_shows_them_and_no_ratio() -> None:
    broken = dataclasses.replace(SAMPLE, errors=3, complaint="3 x refused")
    shown = compare.render({"ours": [SAMPLE], "peer": [broken]})
    ratio = next(line for line in shown.splitlines() if line.startswith("ours / peer"))
    assert ratio.split()[3] == "errors"
    assert "peer: 3 x refused" in shown


def test_deadline_shots_that_ended_otherwise_are_named() -> None:
    shot = {**dict.fromkeys(render_columns(), 1.0), "status": "OK"}
    shown = render_deadline({"shots": [shot], "quiet": {"latest_wake_ms": 1.0}})
    assert "1 shots did not end with DEADLINE_EXCEEDED but with OK" in shown


def render_columns() -> list[str]:
    from bench.deadline import COLUMNS

    return list(COLUMNS)


def test_growth_of_one_a_minute_is_a_slope_of_sixty_an_hour() -> None:
    samples = [(60.0 * minute, 100.0 + minute) for minute in range(10)]
    assert soak.slope_per_hour(samples) == pytest.approx(60)


@pytest.mark.parametrize("samples", [[], [(1.0, 1.0), (2.0, 1.0)], [(1.0, 1.0)] * 3])
def test_too_little_to_see_gives_no_slope(samples: list[tuple[float, float]]) -> None:
    assert soak.slope_per_hour(samples) is None


@pytest.mark.parametrize("text", ["0", "1,0", "-1"])
def test_counts_under_one_are_refused(text: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    compare.add_users(parser, "1")
    with pytest.raises((argparse.ArgumentError, SystemExit)):
        parser.parse_args(["--users", text])
