"""report.html in a real Chromium, opened as a file: what it draws, whatever a server said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.capacity.answers import FOUND
from tests.web.chromium import chromium, drawn, pixels, prefer_dark, texts
from tests.web.locusts import wait_for
from tests.web.values import HOSTILE, LARGE_ID
from triton_users.judge.audit import audit
from triton_users.ledger import Answers, Ledger
from triton_users.report.folder import write_whole
from triton_users.report.html import render_html
from triton_users.report.server_side import section
from triton_users.report.text import render_text
from triton_users.witness.seen import Seen, Source
from triton_users.witness.series import Key, Samples
from triton_users.witness.statistics import ModelCounts

pytestmark = pytest.mark.browser

LIMIT_S = 30.0
"""How long what a person waits for may take on a busy machine, in seconds; mostly well under one."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def shown(browser: Chrome, tmp_path: Path) -> Callable[[dict[str, Any]], Chrome]:
    """Opens a report's page."""

    def show(report: dict[str, Any]) -> Chrome:
        path = tmp_path / "report.html"
        write_whole(path, render_html(report))
        browser.get(path.as_uri())
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        return browser

    return show


def timeline(ends: list[float], **values: list[Any]) -> list[dict[str, Any]]:
    """Points of one scenario, ResNet; `ends`: where each ends, in seconds."""
    nothing = {"runs": 0, "failures": 0, "expected_deadlines": 0, "requests_per_s": 0.0, "p50_ms": None, "p99_ms": None}
    starts = [0.0, *ends[:-1]]
    return [
        {
            "start_s": start,
            "end_s": end,
            "users": 1,
            "open_sequences": None,
            "scenarios": {"ResNet": {**nothing, **{name: column[i] for name, column in values.items()}}},
        }
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
    ]


def test_every_scenario_that_did_something_has_its_charts(shown: Any, report: dict[str, Any]) -> None:
    browser = shown(report)
    assert texts(browser, "#cards h3") == ["SequenceValid", "Timeout", "ResNet"]
    assert len(browser.find_elements(By.CSS_SELECTOR, "#overview canvas")) == 4
    assert len(browser.find_elements(By.CSS_SELECTOR, "#cards canvas")) == 6
    assert len(browser.find_elements(By.CSS_SELECTOR, "#client canvas")) == 6
    assert texts(browser, ".pairs h3") == ["Server", "Client", "Settings"]


def test_an_even_rate_of_failures_is_drawn_even_whatever_a_point_covers(shown: Any, report: dict[str, Any]) -> None:
    points = timeline([40.0, 60.0, 65.0, 70.0], failures=[80, 40, 10, 10])
    browser = shown({**report, "timeline": points, "duration_s": 70.0})
    times, failed = drawn(browser, "[data-chart='Failed runs per minute'] .plot")
    assert times == [0, 40, 60, 65, 70]
    assert failed == [120] * 5


@pytest.mark.parametrize("last", [0, 12])
def test_a_last_point_that_was_cut_off_is_drawn_with_the_one_before_it(
    shown: Any, report: dict[str, Any], last: int
) -> None:
    points = timeline([5.0, 10.0, 10.2], failures=[10, 10, last])
    browser = shown({**report, "timeline": points, "duration_s": 10.2})
    times, failed = drawn(browser, "[data-chart='Failed runs per minute'] .plot")
    assert times == [0, 5, 10.2]
    assert failed[1] == pytest.approx(60 * (10 + last) / 5.2)


def test_a_long_run_is_drawn_in_fewer_points_with_the_same_requests(shown: Any, report: dict[str, Any]) -> None:
    ends = [60.0 * (n + 1) for n in range(480)] + [28_800 + 5.0 * (n + 1) for n in range(240)]
    rates = [float(10 + n % 7) for n in range(720)]
    browser = shown({**report, "timeline": timeline(ends, requests_per_s=rates), "duration_s": ends[-1]})
    times, _ = drawn(browser, "[data-chart='Answered requests per second'] .plot")
    assert len(times) < 480
    script = """
        const { points } = JSON.parse(document.getElementById("data").textContent);
        return points.start_s.length"""
    assert browser.execute_script(script) == 720
    edges = [0.0, *drawn(browser, "[data-chart='Failed runs per minute'] .plot")[0][1:]]
    drawn_rates = drawn(browser, "[data-chart='Answered requests per second'] .plot")[1][1:-1]
    total = sum(rate * (end - start) for rate, start, end in zip(drawn_rates, edges, edges[1:], strict=False))
    assert total == pytest.approx(sum(rates[:480]) * 60 + sum(rates[480:]) * 5)


def test_a_latency_that_stands_alone_is_drawn_as_a_dot(shown: Any, report: dict[str, Any]) -> None:
    latency = [None, None, 3.0, None, None]
    points = timeline([5.0, 10.0, 15.0, 20.0, 25.0], requests_per_s=[0, 0, 2.0, 0, 0], p50_ms=latency, p99_ms=latency)
    browser = shown({**report, "timeline": points, "duration_s": 25.0})
    card = "#cards [data-scenario=ResNet] .plot:last-child"
    assert drawn(browser, card)[1] == [None, None, None, 3, None, None, None]
    assert pixels(browser, card, "p50")


def test_stretches_in_which_the_client_was_the_bottleneck_are_shaded(shown: Any, report: dict[str, Any]) -> None:
    def background(browser: Chrome, seconds: float) -> list[int]:
        script = """
            const { plot } = document.querySelector("#cards [data-scenario=SequenceValid] .plot:last-child");
            const x = plot.valToPos(arguments[0], "x", true);
            return [...plot.ctx.getImageData(x, plot.bbox.top + 2, 1, 1).data];"""
        found: list[int] = browser.execute_script(script, seconds)
        return found

    found = [{"start_s": 20.0, "end_s": 40.0, "text": "too slow"}]
    browser = shown({**report, "selfcheck": {**report["selfcheck"], "findings": found}})
    assert texts(browser, "#findings li") == ["too slow"]
    assert background(browser, 30.0) != background(browser, 60.0)
    browser = shown({**report, "selfcheck": {**report["selfcheck"], "findings": []}})
    assert background(browser, 30.0) == background(browser, 60.0)
    assert texts(browser, "#findings p") == ["At no time was the client the bottleneck."]


@pytest.mark.parametrize("dark", [False, True])
def test_the_page_and_its_charts_follow_the_systems_colours(shown: Any, report: dict[str, Any], dark: bool) -> None:
    browser = shown(report)
    prefer_dark(browser, dark)
    script = "return getComputedStyle(document.querySelector('h1')).color.match(/\\d+/g).map(Number)"
    wait_for(lambda: (sum(browser.execute_script(script)) > 3 * 128) is dark, LIMIT_S)
    wait_for(lambda: pixels(browser, "[data-chart='Users and open sequences'] .plot", "open"), LIMIT_S)
    prefer_dark(browser, False)


def test_in_a_frame_without_storage_the_page_works_and_its_colours_can_be_switched(
    browser: Chrome, report: dict[str, Any], tmp_path: Path
) -> None:
    """As continuous integration shows what a build left behind."""
    write_whole(tmp_path / "report.html", render_html(report))
    write_whole(tmp_path / "frame.html", '<iframe sandbox="allow-scripts" src="report.html" height="900"></iframe>')
    browser.get((tmp_path / "frame.html").as_uri())
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    wait_for(lambda: texts(browser, "#verdict h2") == ["FAILED"], LIMIT_S)
    for chosen in ("dark", "light"):
        browser.find_element(By.ID, "theme").click()
        assert browser.execute_script("return document.documentElement.dataset.theme") == chosen
    browser.switch_to.default_content()


def test_what_a_server_said_is_never_markup(shown: Any, report_of: Any) -> None:
    report = report_of(
        left_out={HOSTILE: HOSTILE}, weights={HOSTILE: 0, "ResNet": 1}, reproduce=HOSTILE, notes=[HOSTILE]
    )
    failing = next(one for one in report["scenarios"] if one["name"] == "ResNet")
    failing["evidence"]["failures"] = [
        {
            "scenario": "ResNet",
            "worker": HOSTILE,
            "at_s": 1.0,
            "reason": f"{HOSTILE}\u202eevil",
            "record": {"number": LARGE_ID, "evidence": {"got": HOSTILE, "correlation_id": LARGE_ID, HOSTILE: 1}},
        }
    ]
    failing["rows"][0].update(model=HOSTILE, errors={HOSTILE: 3})
    report["server"] = {
        **dict.fromkeys(("name", "version", "address"), HOSTILE),
        "models": [HOSTILE],
        "unsent": [HOSTILE],
    }
    report["exceptions"] = {HOSTILE: 2}
    report["totals"] = {**report["totals"], "reconnects": 3, "reconnects_by_reason": {HOSTILE: 3}}
    browser = shown(report)
    browser.find_element(By.CSS_SELECTOR, ".failure > summary").click()
    assert texts(browser, ".failure .reason") == [f"{HOSTILE}\\u202eevil"]
    wait_for(lambda: texts(browser, ".failure dd[data-fact='correlation id']") == [str(LARGE_ID)], LIMIT_S)
    assert texts(browser, ".failure pre") == [f'{{"number": {LARGE_ID}}}']
    assert texts(browser, "#exceptions tbody th, #exceptions tbody td") == [HOSTILE, "2"]
    assert texts(browser, "#findings li")[-1] == f"3 after: {HOSTILE}"
    assert "owned" not in browser.title
    assert not browser.find_elements(By.CSS_SELECTOR, "img, main script")


def test_a_run_in_which_nothing_happened_has_a_page(shown: Any, empty: dict[str, Any]) -> None:
    browser = shown(empty)
    assert texts(browser, "#verdict h2")[0].startswith("INCOMPLETE as of ")
    assert texts(browser, "#thresholds .badge") == ["not yet"]
    assert texts(browser, "#cards h3") == []


def test_without_scripts_the_page_shows_the_text(shown: Any, report: dict[str, Any], browser: Chrome) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        text = shown(report).find_element(By.CSS_SELECTOR, "noscript pre")
        assert text.is_displayed()
        assert text.text.strip() == render_text(report).strip()
        assert not browser.find_element(By.CSS_SELECTOR, "header").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_search_for_the_capacity_has_its_curve_and_its_levels(shown: Any, report_of: Any) -> None:
    browser = shown(report_of(capacity=FOUND))
    assert "297 arrivals/s held; 308 arrivals/s did not" in texts(browser, "#capacity-found")[0]
    loads, _, p99 = browser.execute_script("return document.querySelector('#capacity-curve').plot.data")
    assert loads == [100, 200, 283, 297, 308, 336, 400]
    assert p99[0] == pytest.approx(5.0, rel=0.01)
    assert p99[-1] == pytest.approx(900.0, rel=0.01)
    assert texts(browser, "#capacity .badge")[-2:] == ["failed", "too high"]
    assert pixels(browser, "#capacity-curve", "p99")
    assert pixels(browser, "#capacity-curve", "bad")


def test_a_run_without_a_search_shows_no_capacity(shown: Any, report: dict[str, Any]) -> None:
    assert not shown(report).find_element(By.CSS_SELECTOR, "#capacity").is_displayed()


def seen_by(report: dict[str, Any]) -> dict[str, Any]:
    """The report of a run in which the server, with a hostile name for a model, was seen for two minutes."""
    samples, models = Samples(), {"m": ModelCounts(success=1200, queue_ns=10**9, infer_ns=10**10, executions=600)}
    models[HOSTILE] = ModelCounts(success=5, failed=2)
    for second in range(0, 120, 2):
        values = {"success": 10 * second, "queue_ns": 10**7 * second, "infer_ns": 10**8 * second}
        samples.add(
            float(second), {**{Key(w, "", "m"): float(v) for w, v in values.items()}, Key("memory", "MiB"): 99.0}
        )
    seen = Seen(samples, (Source("metrics", 0, f"no /metrics {HOSTILE}"),), models, {HOSTILE: {"BACKEND": 2}})
    total = Ledger(answers={"m": Answers(1210)})
    return {**report, "server_side": section(seen, total, audit(seen, total))}


def test_what_an_operator_asks_stands_at_the_top_in_its_order(shown: Any, report: dict[str, Any]) -> None:
    rows = shown(report).find_elements(By.CSS_SELECTOR, "main #alerts tr")

    assert [row.find_element(By.TAG_NAME, "th").text for row in rows] == [
        alert["question"] for alert in report["verdict"]["alerts"]
    ]
    assert rows[0].find_element(By.CLASS_NAME, "badge").text == "no"


def test_the_server_has_a_table_of_where_the_time_went_its_audit_and_charts(shown: Any, report: dict[str, Any]) -> None:
    page = shown(seen_by(report))
    time, audited = (page.find_element(By.ID, name).text for name in ("server-time", "server-audit"))
    wait_for(lambda: drawn(page, "[data-chart='Memory, MiB'] .plot"), LIMIT_S)

    assert "2 × BACKEND" in time
    assert "10 answers are not its own" in audited
    assert "no /metrics" in page.find_element(By.ID, "server-sources").text
    charts = {each.get_attribute("data-chart") for each in page.find_elements(By.CSS_SELECTOR, "#server-charts figure")}
    assert charts == {"m: time in the server, ms", "Computed requests/s", "Memory, MiB"}
