"""The tab, the live page and the start form in a real Chromium, against a master with two workers and a real Triton."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.web.chromium import chromium, drawn, fill_in, open_start_form, prefer_dark, texts
from tests.web.locusts import Locusts, wait_for
from tests.web.values import HOSTILE, LARGE_ID
from triton_users import server

pytestmark = [pytest.mark.browser, pytest.mark.triton]

LIMIT_S = 30.0
"""How long what a person waits for may take on a busy machine, in seconds; mostly about 3."""
HOSTILE_FILE = Path(__file__).parent / "hostile.py"
# Mostly the scenario whose chart is looked at: with the usual weights it came too seldom to have points in time.
SHORT = {
    "user_count": "4",
    "spawn_rate": "4",
    "weights": "SequenceValid=90,SequenceValidValid=5,SequenceNoStart=3,SequenceNoEnd=2",
    "thresholds": "SequenceValid:p50_ms<0.001",
}
FEW = "--scenarios=SequenceValid,SequenceValidValid,SequenceNoStart,SequenceNoEnd"


@pytest.fixture(scope="module")
def locusts(triton: server.EmbeddedTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locusts]:
    folder = tmp_path_factory.mktemp("locusts")
    with Locusts(f"grpc://{triton.grpc_url}", folder, FEW, locustfile=HOSTILE_FILE) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


def table(browser: Chrome) -> dict[str, dict[str, str]]:
    """Scenario -> column -> text, of the tab's table."""
    script = """
        const rows = [...document.querySelectorAll(".triton.tab .scenarios tbody tr:not(.below)")];
        return Object.fromEntries(rows.map((row) =>
        [row.dataset.scenario, Object.fromEntries([...row.querySelectorAll("[data-key]")].map((cell) =>
            [cell.dataset.key, cell.textContent]))]))"""
    found: dict[str, dict[str, str]] = browser.execute_script(script)
    return found


def as_reported(locusts: Locusts) -> dict[str, dict[str, str]]:
    """The same, of the report's counts."""
    keys = ("runs", "failed", "skipped", "requests", "sequence_failures", "expected_deadlines")
    scenarios = locusts.get("/triton/scenarios.json")["scenarios"]
    return {one["name"]: {key: f"{one[key]:,}" for key in keys} for one in scenarios}


def shown_as_reported(browser: Chrome, locusts: Locusts) -> bool:
    shown = table(browser)
    expected = as_reported(locusts)
    return (
        bool(shown)
        and {name: {key: shown.get(name, {}).get(key) for key in row} for name, row in expected.items()} == expected
    )


def colour(browser: Chrome, selector: str) -> tuple[int, ...]:
    """Red, green and blue of the element's text."""
    script = "return getComputedStyle(document.querySelector(arguments[0])).color"
    return tuple(int(part) for part in browser.execute_script(script, selector)[4:-1].split(","))


def test_a_bad_form_says_what_is_wrong_and_a_good_one_starts(browser: Chrome, locusts: Locusts) -> None:
    open_start_form(browser, locusts.url, "weights", LIMIT_S)
    fill_in(browser, "[name=userCount]", "4")
    fill_in(browser, "[name=spawnRate]", "4")
    fill_in(browser, "[name=weights]", "SequenceValid=many")
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    wait_for(lambda: "'SequenceValid=many' is not NAME=WEIGHT" in "".join(texts(browser, "[role=alert]")), LIMIT_S)
    assert locusts.get("/stats/requests")["state"] == "ready"
    fill_in(browser, "[name=weights]", SHORT["weights"])
    fill_in(browser, "[name=thresholds]", SHORT["thresholds"])
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    wait_for(lambda: locusts.get("/stats/requests")["state"] == "running", LIMIT_S)
    wait_for(lambda: "Scenarios" in texts(browser, "[role=tab]"), LIMIT_S)


@pytest.fixture(scope="module")
def running(locusts: Locusts) -> Locusts:
    """With a test that runs, whichever test comes first."""
    if locusts.get("/stats/requests")["state"] not in ("spawning", "running"):
        locusts.start(**SHORT)
    return locusts


def test_the_tab_shows_the_scenarios_with_failures_in_red(browser: Chrome, running: Locusts) -> None:
    browser.get(running.url)
    wait_for(lambda: "Scenarios" in texts(browser, "[role=tab]"), LIMIT_S)
    browser.find_element(By.XPATH, "//*[@role='tab'][contains(., 'Scenarios')]").click()
    wait_for(lambda: table(browser).get("SequenceValidValid", {}).get("failed", "0") != "0", LIMIT_S)
    red, green, blue = colour(browser, "[data-scenario=SequenceValidValid] [data-key=failed]")
    assert red > 2 * green
    assert red > 2 * blue
    assert "one sequence with START and END" in "".join(texts(browser, "[data-scenario=SequenceValid] th"))
    browser.find_element(By.XPATH, "//*[@role='tab'][contains(., 'Charts')]").click()
    wait_for(lambda: not browser.find_elements(By.CSS_SELECTOR, ".triton.tab"), LIMIT_S)


def test_tab_and_page_say_why_it_failed_and_no_scenario_at_fault_reads_passed(
    browser: Chrome, running: Locusts
) -> None:
    def shown(selector: str) -> str:
        return "\n".join(texts(browser, selector))

    threshold = "threshold SequenceValid:p50_ms<0.001 does not hold: it is"
    browser.get(f"{running.url}/?tab=scenarios")
    wait_for(lambda: threshold in shown(".triton.tab .reported li"), LIMIT_S)
    assert re.search(r"SequenceValidValid failed \d+ of \d+ runs; the first at 0:", shown(".triton.tab .reported li"))
    asked = texts(browser, ".triton.tab .alerts tr")
    assert [each.partition("?")[0] for each in asked] == [
        "Is it right",
        "Is it fast",
        "Is it stable",
        "Can I believe it",
    ]
    assert "SequenceValidValid failed" in asked[0]
    assert threshold in asked[1]
    assert texts(browser, "[data-scenario=SequenceValid] .badge") == ["failed"]
    browser.get(f"{running.url}/triton/")
    wait_for(lambda: threshold in shown("#verdict li"), LIMIT_S)
    assert set(texts(browser, "[data-scenario=SequenceValid] .badge")) == {"failed"}
    assert threshold in shown("#scenarios [data-scenario=SequenceValid] .notes .bad")


def test_the_table_sorts_by_a_click_on_a_heading(browser: Chrome, running: Locusts) -> None:
    browser.get(f"{running.url}/?tab=scenarios")
    wait_for(lambda: table(browser), LIMIT_S)
    names = sorted(table(browser))
    heading = ".triton.tab th[data-key=name]"
    browser.find_element(By.CSS_SELECTOR, f"{heading} button").click()
    assert texts(browser, ".triton.tab tbody th > b") == names
    browser.find_element(By.CSS_SELECTOR, f"{heading} button").click()
    assert texts(browser, ".triton.tab tbody th > b") == names[::-1]
    assert browser.find_element(By.CSS_SELECTOR, heading).get_attribute("aria-sort") == "descending"


def test_the_live_page_gets_points_and_failures_with_their_evidence(browser: Chrome, running: Locusts) -> None:
    browser.get(f"{running.url}/triton/")
    card = "#cards [data-scenario=SequenceValid] .plot"
    wait_for(lambda: len(drawn(browser, card)) == 2 and len(set(drawn(browser, card)[0])) >= 4, LIMIT_S)
    _, p99, p50 = drawn(browser, f"{card}:last-child")
    assert all(high >= middle > 0 for high, middle in zip(p99, p50, strict=True) if high is not None)
    _, users, open_sequences = drawn(browser, "[data-chart='Users and open sequences'] .plot")
    polled = [(each, opened) for each, opened in zip(users, open_sequences, strict=True) if each is not None]
    assert max(polled)[0] == 4, "of the points in which a busy master found the time to poll"
    assert all(opened >= 0 for _, opened in polled)
    browser.find_element(By.CSS_SELECTOR, ".failure > summary").click()
    wait_for(lambda: texts(browser, ".failure[open] dd[data-fact=got]"), LIMIT_S)

    def fact(name: str) -> str:
        return texts(browser, f".failure[open] dd[data-fact='{name}']")[0]

    assert fact("scenario") == "SequenceValidValid"
    assert fact("model") == fact("got") == HOSTILE
    assert fact("correlation id") == str(LARGE_ID)
    assert (fact("step"), fact("expected")) == ("1", "12")
    assert str(LARGE_ID) in texts(browser, ".failure[open] pre")[0]


def test_what_a_server_answers_is_never_markup(browser: Chrome, running: Locusts) -> None:
    browser.get(f"{running.url}/triton/")
    wait_for(lambda: texts(browser, ".failure"), LIMIT_S)
    for details in browser.find_elements(By.CSS_SELECTOR, ".failure > summary")[:2]:
        details.click()
    assert HOSTILE in texts(browser, ".failure .reason")[0]
    assert not browser.find_elements(By.CSS_SELECTOR, "img, main script")
    assert browser.title == "Triton stress test, live"


@pytest.mark.parametrize("dark", [False, True])
def test_the_colours_follow_the_system(browser: Chrome, running: Locusts, dark: bool) -> None:
    prefer_dark(browser, dark)
    browser.get(f"{running.url}/triton/")
    assert (sum(colour(browser, "h1")) > 3 * 128) is dark
    browser.get(f"{running.url}/?tab=scenarios")
    wait_for(lambda: table(browser), LIMIT_S)
    assert (sum(colour(browser, ".triton.tab tbody th")) > 3 * 128) is dark


def test_locusts_own_dark_switch_holds_for_our_pages(browser: Chrome, running: Locusts) -> None:
    prefer_dark(browser, False)
    browser.get(f"{running.url}/?tab=scenarios")
    wait_for(lambda: table(browser), LIMIT_S)
    browser.execute_script("localStorage.theme = 'dark'")
    try:
        browser.get(f"{running.url}/triton/")
        assert sum(colour(browser, "h1")) > 3 * 128
        browser.find_element(By.ID, "theme").click()
        assert sum(colour(browser, "h1")) < 3 * 128
        assert browser.execute_script("return localStorage.theme") == "light"
    finally:
        browser.execute_script("localStorage.clear()")


def test_reset_in_the_ui_resets_ours_too(browser: Chrome, running: Locusts) -> None:
    browser.get(f"{running.url}/?tab=scenarios")
    wait_for(lambda: int(table(browser).get("SequenceValid", {}).get("runs", "0").replace(",", "")) > 3, LIMIT_S)
    before = running.get("/triton/live.json")
    browser.find_element(By.XPATH, "//button[contains(translate(., 'RESET', 'reset'), 'reset')]").click()
    wait_for(lambda: running.get("/triton/live.json")["run"] != before["run"], LIMIT_S)
    shown = wait_for(lambda: running.get("/triton/live.json"), LIMIT_S)
    assert shown["duration_s"] < before["duration_s"]
    assert shown["totals"]["runs"] < before["totals"]["runs"]


def test_after_the_stop_tab_and_page_show_the_last_counts_without_and_with_a_reload(
    browser: Chrome, running: Locusts
) -> None:
    browser.get(f"{running.url}/?tab=scenarios")
    wait_for(lambda: table(browser).get("SequenceValid", {}).get("runs", "0") != "0", LIMIT_S)
    browser.find_element(By.XPATH, "//button[contains(translate(., 'STOP', 'stop'), 'stop')]").click()
    wait_for(lambda: running.get("/triton/scenarios.json").get("state") == "finished", LIMIT_S)
    wait_for(lambda: shown_as_reported(browser, running), LIMIT_S)
    wait_for(lambda: texts(browser, ".triton.tab .headline") == ["FAILED"], LIMIT_S)
    browser.refresh()
    wait_for(lambda: shown_as_reported(browser, running), LIMIT_S)
    browser.get(f"{running.url}/triton/")
    wait_for(lambda: texts(browser, "#state") == ["finished"], LIMIT_S)
    total = running.get("/triton/live.json")["totals"]["requests"]
    assert texts(browser, "[data-tile=requests] b") == [f"{total:,}"]


def test_no_page_asked_anything_of_another_host(browser: Chrome, running: Locusts) -> None:
    requests = [
        json.loads(entry["message"])["message"]["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if '"Network.requestWillBeSent"' in entry["message"]
    ]
    assert requests
    # The browser's own start page asks under chrome:// names.
    assert {urlsplit(url).hostname for url in requests if url.startswith(("http", "ws"))} == {"127.0.0.1"}
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_all_of_it_works_under_a_base_path_and_behind_a_login(
    browser: Chrome, triton: server.EmbeddedTriton, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"workers": 0, "base_path": "/load", "locustfile": HOSTILE_FILE}
    with Locusts(f"grpc://{triton.grpc_url}", tmp_path, "--web-login", **options) as locusts:
        browser.get(f"{locusts.url}/triton/")
        assert browser.current_url.startswith(f"{locusts.url}/login")
        browser.get(f"{locusts.url.removesuffix('/load')}/enter")
        browser.get(f"{locusts.url}/triton/")
        wait_for(lambda: texts(browser, "#state") == ["ready"], LIMIT_S)
        assert browser.find_element(By.ID, "empty").is_displayed()
        back = browser.find_element(By.CSS_SELECTOR, "header a").get_attribute("href")
        assert back == f"{locusts.url}/?tab=scenarios"
