"""The tab and the live page in a real Chromium, showing a made-up run: no Triton, no Locust process."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from gevent.pywsgi import WSGIServer
from locust.runners import STATE_RUNNING
from selenium.webdriver import Chrome

from tests.web.chromium import chromium
from tests.web.conftest import FakeReporting
from tests.web.locusts import wait_for
from triton_users.judge.thresholds import parse_thresholds

pytestmark = pytest.mark.browser

LIMIT_S = 30.0
"""How long what a person waits for may take on a busy machine, in seconds; mostly about 2."""


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


def texts(browser: Chrome, selector: str) -> list[str]:
    """The text of all elements, read at one moment."""
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    found: list[str] = browser.execute_script(script, selector)
    return found


def is_red(browser: Chrome, selector: str) -> bool:
    """Of the element's text."""
    script = "return getComputedStyle(document.querySelector(arguments[0])).color"
    red, green, blue = (int(part) for part in browser.execute_script(script, selector)[4:-1].split(","))
    return red > 2 * max(green, blue)


def live(browser: Chrome, url: str) -> None:
    """Open the live page and wait until it shows the run."""
    browser.get(f"{url}/triton/")
    wait_for(lambda: texts(browser, "#overview [data-series=rate]"), LIMIT_S)


def corners(browser: Chrome, selector: str) -> list[float]:
    """The x of each corner of a path, in pixels."""
    script = "return document.querySelector(arguments[0]).getAttribute('d')"
    return [float(x) for x in re.findall(r"[ML]([\d.]+) ", browser.execute_script(script, selector))]


def test_a_scenario_that_only_failed_has_a_chart_with_its_failures(browser: Chrome, serve: Any) -> None:
    live(browser, serve(FakeReporting()))
    assert texts(browser, "[data-scenario=ResNet] rect[data-series=failures]")


def test_skips_in_the_card_of_a_failed_scenario_are_not_red(browser: Chrome, serve: Any) -> None:
    live(browser, serve(FakeReporting()))
    notes = texts(browser, "[data-scenario=ResNet] li")
    assert notes[0].startswith("ResNet failed 8 of 8 runs; the first at 0:00:34")
    assert notes[1].startswith("skipped 70")
    assert is_red(browser, "[data-scenario=ResNet] li:nth-child(1)")
    assert not is_red(browser, "[data-scenario=ResNet] li:nth-child(2)")


def test_the_throughput_is_drawn_from_the_first_second_to_the_last_complete_one(browser: Chrome, serve: Any) -> None:
    live(browser, serve(FakeReporting("finished")))
    line = corners(browser, "#overview path.stroke[data-series=rate]")
    width = browser.execute_script("return document.querySelector('#overview svg').clientWidth")
    assert line[0] == 46
    assert line[-1] == pytest.approx(width - 10, abs=0.2)


def test_a_silent_worker_is_red_and_told_on_both_pages(browser: Chrome, serve: Any) -> None:
    url = serve(FakeReporting())
    live(browser, url)
    assert texts(browser, "#workers td.failing") == ["silent"]
    browser.get(f"{url}/?tab=scenarios")
    told = wait_for(lambda: texts(browser, ".triton.tab .told li.warn"), LIMIT_S)
    assert "worker lost is silent" in told[0]


def test_limits_that_are_not_reached_yet_are_not_red(browser: Chrome, serve: Any) -> None:
    reporting = FakeReporting(thresholds=parse_thresholds("runs>=1000"), allow_failure=["ResNet"])
    url = serve(reporting)
    live(browser, url)
    assert texts(browser, "#thresholds .badge") == ["not yet"]
    assert texts(browser, "#verdict h2") == ["Nothing has failed so far"]
    browser.get(f"{url}/?tab=scenarios")
    wait_for(lambda: texts(browser, ".triton.tab .state") == ["Nothing has failed so far"], LIMIT_S)


def test_a_thresholds_value_reads_as_in_the_report(browser: Chrome, serve: Any) -> None:
    reporting = FakeReporting()
    for check, value in zip(reporting.made["verdict"]["thresholds"], (0.004425, 152_345.6, None), strict=True):
        check["value"] = value
    live(browser, serve(reporting))
    assert texts(browser, "#thresholds td.n") == ["0.004425", "152346", "no data"]


def test_the_tab_shows_some_reasons_and_some_warnings_and_counts_the_others(browser: Chrome, serve: Any) -> None:
    reporting = FakeReporting()
    reporting.made = {**reporting.made, "verdict": {**reporting.made["verdict"], "passed": False}}
    reporting.made["verdict"].update(reasons=[f"reason {n}" for n in range(20)], warnings=["one", "two"])
    browser.get(f"{serve(reporting)}/?tab=scenarios")
    told = wait_for(lambda: texts(browser, ".triton.tab .told li"), LIMIT_S)
    assert told == [*(f"reason {n}" for n in range(8)), "12 more reasons on the live page", "one", "two"]


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
