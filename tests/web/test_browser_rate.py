"""The rate of arrivals in a real Chromium: set in the start form, changed on the live page while the run goes on."""

from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.web.chromium import chromium, drawn, fill_in, open_start_form, texts
from tests.web.locusts import Locusts, wait_for
from triton_users import server

pytestmark = [pytest.mark.browser, pytest.mark.triton]

LIMIT_S = 30.0
"""How long what a person waits for may take on a busy machine, in seconds; mostly about 3."""
CHART = "[data-chart='Arrivals per second'] .plot"


def shown_rate(browser: Chrome) -> str:
    """What the live page's field has; "" while it is not shown."""
    script = "const form = document.querySelector('#rate'); return !form || form.hidden ? '' : form.elements.rate.value"
    found: str = browser.execute_script(script)
    return found


def test_the_rate_is_set_at_the_start_and_changed_during_the_run(triton: server.EmbeddedTriton, tmp_path: Path) -> None:
    with (
        Locusts(f"grpc://{triton.grpc_url}", tmp_path, "--scenarios=SequenceNoStart", workers=1) as locusts,
        chromium() as browser,
    ):

        def rates() -> list[str]:
            if "verdict" not in locusts.get("/triton/scenarios.json"):
                return []  # the run has not begun yet
            return [each["rate"] for each in locusts.get("/triton/report/report.json")["arrivals"]["rates"]]

        open_start_form(browser, locusts.url, "rate", LIMIT_S)
        fill_in(browser, "[name=userCount]", "10")
        fill_in(browser, "[name=spawnRate]", "10")
        fill_in(browser, "[name=rate]", "fast")
        browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        wait_for(lambda: "'fast' is no number" in "".join(texts(browser, "[role=alert]")), LIMIT_S)
        assert locusts.get("/stats/requests")["state"] == "ready"
        fill_in(browser, "[name=rate]", "20")
        browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        wait_for(lambda: rates() == ["20"], LIMIT_S)

        browser.get(f"{locusts.url}/triton/")
        wait_for(lambda: shown_rate(browser) == "20", LIMIT_S)
        fill_in(browser, "#rate [name=rate]", f"quick{Keys.ENTER}")
        wait_for(lambda: "'quick' is no number" in "".join(texts(browser, "#rate [role=status]")), LIMIT_S)
        assert shown_rate(browser) == "quick", "what was typed stays, to be mended"
        fill_in(browser, "#rate [name=rate]", "60 for 1h")
        browser.find_element(By.CSS_SELECTOR, "#rate button").click()
        wait_for(lambda: texts(browser, "#rate [role=status]") == ["Changed."], LIMIT_S)
        wait_for(lambda: rates() == ["20", "60 for 1h"] and shown_rate(browser) == "60 for 1h", LIMIT_S)
        wait_for(lambda: any((value or 0) > 40 for line in drawn(browser, CHART)[1:2] for value in line), LIMIT_S)
        locusts.stop()
        wait_for(lambda: shown_rate(browser) == "", LIMIT_S)
    (report,) = locusts.reports()
    assert report["arrivals"]["issued"] > 60
