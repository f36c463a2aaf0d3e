"""The charts of the report's page: what they draw of points that differ in length."""

import re
from typing import Any

import pytest

from triton_users.report.over_time import OverTime

NAME = "ResNet"


def part(**values: Any) -> dict[str, Any]:
    """One scenario in one point."""
    nothing = {"runs": 0, "failures": 0, "expected_deadlines": 0, "requests_per_s": 0.0, "p50_ms": None, "p99_ms": None}
    return {**nothing, **values}


def charts(ends: list[float], parts: list[dict[str, Any]]) -> OverTime:
    """The charts of one scenario's points; `ends`: where each ends, in seconds."""
    starts = [0.0, *ends[:-1]]
    timeline = [
        {"start_s": start, "end_s": end, "users": None, "open_sequences": None, "scenarios": {NAME: one}}
        for start, end, one in zip(starts, ends, parts, strict=True)
    ]
    scenarios, selfcheck = [{"name": NAME}], {"findings": []}
    report = {"timeline": timeline, "duration_s": ends[-1], "scenarios": scenarios, "selfcheck": selfcheck}
    return OverTime(report)


def drawing(html: str, chart: str) -> str:
    """One chart's SVG."""
    return re.search(rf'<svg[^>]*data-chart="{chart}".*?</svg>', html).group()


def bars(svg: str) -> list[float]:
    """The heights of the bars, in pixels."""
    return [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', svg)]


def test_an_even_rate_of_failures_is_drawn_even_whatever_a_point_covers() -> None:
    told = charts([40.0, 60.0, 65.0, 70.0], [part(failures=count) for count in (80, 40, 10, 10)])
    html = told.html()
    heights = bars(drawing(html, "events"))
    assert len(heights) == 4
    assert heights == pytest.approx([heights[0]] * 4, abs=0.2)
    assert "Failures and expected deadlines per minute" in html
    assert told.data["charts"]["events"][0] == ["failed runs", [80, 40, 10, 10]]


@pytest.mark.parametrize("last", [0, 12])
def test_a_last_point_that_was_cut_off_is_drawn_with_the_rate_of_the_one_before_it(last: int) -> None:
    heights = bars(drawing(charts([5.0, 10.0, 10.2], [part(failures=n) for n in (10, 10, last)]).html(), "events"))
    assert heights[1] == heights[2]
    assert heights[2] < 2.5 * heights[0]
