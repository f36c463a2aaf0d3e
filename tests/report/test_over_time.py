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


def charts(ends: list[float], parts: list[dict[str, Any]], untrusted: tuple[tuple[float, float], ...] = ()) -> OverTime:
    """The charts of one scenario's points; `ends`: where each ends, in seconds; `untrusted`: the self-check's times."""
    starts = [0.0, *ends[:-1]]
    timeline = [
        {"start_s": start, "end_s": end, "users": None, "open_sequences": None, "scenarios": {NAME: one}}
        for start, end, one in zip(starts, ends, parts, strict=True)
    ]
    findings = [{"start_s": start, "end_s": end} for start, end in untrusted]
    scenarios, selfcheck = [{"name": NAME}], {"findings": findings}
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


def test_the_throughput_is_drawn_from_the_first_second_to_the_last() -> None:
    svg = drawing(charts([5.0, 10.0], [part(requests_per_s=3.0)] * 2).html(), "throughput")
    corners = re.search(r'<path d="M([^"]*)Z" fill="var\(--c0', svg).group(1).split()
    assert {corner.split(",")[0] for corner in corners} >= {"46.0", "1112.0"}


def test_a_scenario_of_which_every_request_failed_has_a_chart_with_its_failures_over_time() -> None:
    html = charts([5.0, 10.0], [part(runs=1, failures=1), part()]).html()
    svg = drawing(html, f"latency {NAME}")
    assert svg.count("var(--bad)") == 1
    assert "nothing was answered" in svg


def test_a_scenario_that_neither_answered_nor_failed_has_no_chart() -> None:
    assert "latency ResNet" not in charts([5.0], [part()]).html()


def test_stretches_in_which_the_client_was_too_slow_are_shaded() -> None:
    parts = [part(p50_ms=1.0, p99_ms=2.0)] * 2
    html = charts(
        [500.0, 1000.0], parts, untrusted=((100.0, 200.0), (150.0, 250.0), (252.0, 300.0), (700.0, 800.0))
    ).html()
    svg = drawing(html, f"latency {NAME}")
    assert re.findall(r'd="M([\d.]+),8h([\d.]+)v120h-[\d.]+z" fill="var\(--warn\)', svg) == [
        ("76.6", "61.2"),
        ("260.2", "30.6"),
    ]
    assert "too slow for its latencies to be believed" in html
    assert "too slow" not in charts([5.0], parts[:1]).html()
