"""The tab and the live page in a real Chromium, showing a made-up run: no Triton, no Locust process."""

from collections.abc import Iterator
from typing import Any

import pytest
from gevent.pywsgi import WSGIServer
from locust.runners import STATE_RUNNING
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.web.chromium import chromium, drawn, pixels, texts
from tests.web.conftest import FakeReporting
from tests.web.locusts import wait_for
from triton_users.judge.thresholds import parse_thresholds

pytestmark = pytest.mark.browser

LIMIT_S = 30.0
"""How long what a person waits for may take on a busy machine, in seconds; mostly about 2."""

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
THROUGHPUT = "[data-chart='Answered requests per second'] .plot"


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture
def serve(ui: Any) -> Iterator[Any]:
    """Serves the pages of this reporting and returns their address."""
    servers: list[WSGIServer] = []

    def start(reporting: FakeReporting) -> str:
        environment, _ = ui(reporting)
        environment.runner.state = STATE_RUNNING
        server = WSGIServer(("127.0.0.1", 0), environment.web_ui.app, log=None)
        server.start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.stop(timeout=1)


def is_red(browser: Chrome, selector: str) -> bool:
    """Of the element's text."""
    script = "return getComputedStyle(document.querySelector(arguments[0])).color"
    red, green, blue = (int(part) for part in browser.execute_script(script, selector)[4:-1].split(","))
    return red > 2 * max(green, blue)


def live(browser: Chrome, url: str) -> None:
    """Open the live page and wait until it shows the run."""
    browser.get(f"{url}/triton/")
    wait_for(lambda: drawn(browser, THROUGHPUT), LIMIT_S)


def test_a_scenario_that_only_failed_has_a_chart_with_its_failures(browser: Chrome, serve: Any) -> None:
    live(browser, serve(FakeReporting()))
    assert pixels(browser, "#cards [data-scenario=ResNet] .plot", "bad")
    assert not pixels(browser, "#cards [data-scenario=SequenceValid] .plot", "bad")


def test_skips_of_a_failed_scenario_are_not_red(browser: Chrome, serve: Any) -> None:
    live(browser, serve(FakeReporting()))
    row = "#scenarios [data-scenario=ResNet] .notes div"
    notes = texts(browser, row)
    assert notes[0].startswith("ResNet failed 8 of 8 runs; the first at 0:00:34")
    assert notes[1].startswith("skipped 70")
    assert is_red(browser, f"{row}:nth-child(1)")
    assert not is_red(browser, f"{row}:nth-child(2)")


def test_the_throughput_is_drawn_from_the_first_second_to_the_last_complete_one(browser: Chrome, serve: Any) -> None:
    live(browser, serve(FakeReporting("finished")))
    times, *_ = drawn(browser, THROUGHPUT)
    assert (times[0], times[-1]) == (0, 120)
    shown = "const { scales } = document.querySelector(arguments[0]).plot; return [scales.x.min, scales.x.max]"
    assert browser.execute_script(shown, THROUGHPUT) == [0, 120]


def test_a_silent_worker_is_red_and_reported_on_both_pages(browser: Chrome, serve: Any) -> None:
    url = serve(FakeReporting())
    live(browser, url)
    assert texts(browser, "#workers td.failing") == ["silent"]
    browser.get(f"{url}/?tab=scenarios")
    reported = wait_for(lambda: texts(browser, ".triton.tab .reported li.warn"), LIMIT_S)
    assert "worker lost is silent" in reported[0]


def test_limits_that_are_not_reached_yet_are_not_red(browser: Chrome, serve: Any) -> None:
    reporting = FakeReporting(thresholds=parse_thresholds("runs>=1000"), allow_failure=["ResNet"])
    url = serve(reporting)
    live(browser, url)
    assert texts(browser, "#thresholds .badge") == ["not yet"]
    assert texts(browser, "#verdict h2") == ["nothing has failed so far"]
    browser.get(f"{url}/?tab=scenarios")
    wait_for(lambda: texts(browser, ".triton.tab .headline") == ["nothing has failed so far"], LIMIT_S)


def test_a_thresholds_value_and_result_read_as_in_the_report(browser: Chrome, serve: Any) -> None:
    reporting = FakeReporting()
    live(browser, serve(reporting))
    checks = reporting.made["verdict"]["thresholds"]
    assert texts(browser, "#thresholds td.n") == [check["shown"] for check in checks]
    assert texts(browser, "#thresholds .badge") == [check["result"] for check in checks]


def test_one_scenario_can_be_chosen_and_the_charts_are_of_it_alone(browser: Chrome, serve: Any) -> None:
    live(browser, serve(FakeReporting()))

    def chip(name: str) -> Any:
        return browser.find_element(By.XPATH, f"//*[@id='chosen']/button[. = '{name}']")

    everything = drawn(browser, THROUGHPUT)
    chip("Timeout").click()
    assert texts(browser, "#cards h3") == ["Timeout"]
    assert len(drawn(browser, THROUGHPUT)) == 2
    assert max(drawn(browser, THROUGHPUT)[1]) < max(everything[1])
    assert chip("Timeout").get_attribute("aria-pressed") == "true"
    chip("ResNet").click()
    assert texts(browser, "#cards h3") == ["Timeout", "ResNet"]
    chip("All").click()
    assert drawn(browser, THROUGHPUT) == everything


def test_the_rate_now_is_that_of_the_newest_complete_point_however_long_the_run(browser: Chrome, serve: Any) -> None:
    reporting = FakeReporting()
    template = reporting.made["timeline"][0]
    part = template["scenarios"]["Timeout"]
    ends = [5.0 * (n + 1) for n in range(700)]
    reporting.made = {
        **reporting.made,
        "duration_s": ends[-1] + 1,
        "timeline": [
            {
                **template,
                "start_s": end - 5,
                "end_s": end,
                "scenarios": {"Timeout": {**part, "requests_per_s": 50.0 if end == ends[-2] else 10.0}},
            }
            for end in ends
        ],
    }
    live(browser, serve(reporting))
    assert texts(browser, "[data-tile=now] b") == ["50.0"]


def test_the_choice_and_the_range_stay_while_the_run_goes_on(browser: Chrome, serve: Any) -> None:
    reporting = FakeReporting()
    live(browser, serve(reporting))
    browser.find_element(By.XPATH, "//*[@id='chosen']/button[. = 'Timeout']").click()
    Select(browser.find_element(By.ID, "range")).select_by_value("300")
    reporting.made = {**reporting.made, "duration_s": 1200.0}
    wait_for(lambda: texts(browser, "#clock")[0].startswith("0:20:00"), LIMIT_S)
    assert texts(browser, "#cards h3") == []  # nothing of it in the last five minutes
    Select(browser.find_element(By.ID, "range")).select_by_value("0")
    assert texts(browser, "#cards h3") == ["Timeout"]


def test_the_arrow_keys_read_single_values_and_escape_ends_it(browser: Chrome, serve: Any) -> None:
    live(browser, serve(FakeReporting("finished")))
    chart = browser.find_element(By.CSS_SELECTOR, "[data-chart='Failed runs per minute'] .plot")
    assert "Failed runs: last 0.00, highest 48.0" in (chart.get_attribute("aria-label") or "")
    chart.send_keys(Keys.HOME)
    for _ in range(8):
        chart.send_keys(Keys.ARROW_RIGHT)
    assert texts(browser, "#tip .soft") == ["0:00:40 to 0:00:45"]
    assert texts(browser, "#tip td") == ["Failed runs", "4"]
    assert browser.find_element(By.ID, "tip").get_attribute("aria-live") == "polite"
    chart.send_keys(Keys.ESCAPE)
    assert not browser.find_element(By.ID, "tip").is_displayed()


def test_a_drag_over_a_chart_shows_that_stretch_in_all_of_them(browser: Chrome, serve: Any) -> None:
    live(browser, serve(FakeReporting("finished")))
    chart = browser.find_element(By.CSS_SELECTOR, f"{THROUGHPUT} .u-over")
    width = chart.size["width"]
    actions = ActionChains(browser).move_to_element_with_offset(chart, -width // 4, 0).click_and_hold()
    actions.move_by_offset(width // 2, 0).release().perform()
    shown = "const { scales } = document.querySelector('#cards .plot').plot; return [scales.x.min, scales.x.max]"
    assert browser.execute_script(shown) == pytest.approx([30, 90], abs=1)
    ActionChains(browser).double_click(chart).perform()
    assert browser.execute_script(shown) == [0, 120]


def test_the_page_fits_a_phone(browser: Chrome, serve: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    try:
        live(browser, serve(FakeReporting()))
        assert browser.execute_script("return document.documentElement.scrollWidth") == PHONE["width"]
        width = "return document.querySelector(arguments[0]).plot.width"
        assert 250 < browser.execute_script(width, THROUGHPUT) < PHONE["width"]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_tab_shows_some_reasons_and_some_warnings_and_counts_the_others(browser: Chrome, serve: Any) -> None:
    reporting = FakeReporting()
    reporting.made = {**reporting.made, "verdict": {**reporting.made["verdict"], "passed": False}}
    reporting.made["verdict"].update(reasons=[f"reason {n}" for n in range(20)], warnings=["one", "two"])
    browser.get(f"{serve(reporting)}/?tab=scenarios")
    reported = wait_for(lambda: texts(browser, ".triton.tab .reported li"), LIMIT_S)
    assert reported == [*(f"reason {n}" for n in range(8)), "12 more reasons on the live page", "one", "two"]


def test_the_first_failure_stays_in_the_page_however_many_come_later(browser: Chrome, serve: Any) -> None:
    reporting = FakeReporting()
    evidence = reporting.made["scenarios"][2]["evidence"]
    live(browser, serve(reporting))
    template = evidence["failures"][0]
    for batch in range(5):
        later = [{**template, "at_s": 1000.0 + 100 * batch + n} for n in range(29)]
        evidence.update(failures=[template, *later], seen=evidence["seen"] + 29)
        last = texts(browser, "#failures time")[:1]
        wait_for(lambda last=last: texts(browser, "#failures time")[:1] != last, LIMIT_S)
    assert len(texts(browser, "#failures .failure")) == 101
    assert texts(browser, "#failures .failure:last-child time") == ["0:00:34"]
    assert "first" in texts(browser, "#failures .failure:last-child .badge")
