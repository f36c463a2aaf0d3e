"""A headless Chromium for the browser tests and the screenshots, which reaches nothing but this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.web.locusts import wait_for

LIMIT_S = 30.0
"""How long a page may take to load or a script to run, in seconds."""

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # Chromium's sandbox refuses to run as root, as CI does
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@contextmanager
def chromium(width: int = 1480, height: int = 1000) -> Iterator[Chrome]:
    """A browser of its own, ended on every exit path."""
    with tempfile.TemporaryDirectory(prefix="chromium-") as profile:
        options = ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in (*_FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = Chrome(options, Service("/usr/bin/chromedriver"))
        try:
            driver.set_page_load_timeout(LIMIT_S)
            driver.set_script_timeout(LIMIT_S)
            yield driver
        finally:
            driver.quit()


def prefer_dark(driver: Chrome, dark: bool) -> None:
    """Set what `prefers-color-scheme` says."""
    value = "dark" if dark else "light"
    features = [{"name": "prefers-color-scheme", "value": value}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def texts(driver: Chrome, selector: str) -> list[str]:
    """The text of all elements, read at one moment."""
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    found: list[str] = driver.execute_script(script, selector)
    return found


def fill_in(driver: Chrome, selector: str, text: str) -> None:
    """Put text into a field, as typing would."""
    field = driver.find_element(By.CSS_SELECTOR, selector)
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(text)


def open_start_form(driver: Chrome, url: str, field: str, limit_s: float) -> None:
    """Locust's start form, until this field of its custom parameters is shown."""
    driver.get(url)
    wait_for(lambda: driver.find_elements(By.NAME, "userCount"), limit_s)
    driver.find_element(By.XPATH, "//*[contains(text(), 'Custom parameters')]").click()
    wait_for(lambda: driver.find_element(By.NAME, field).is_displayed(), limit_s)


def drawn(driver: Chrome, selector: str) -> list[list[float | None]]:
    """What a chart draws: its times, and the values of each of its lines; [] while it has drawn nothing yet."""
    script = "return document.querySelector(arguments[0])?.plot?.data ?? []"
    found: list[list[float | None]] = driver.execute_script(script, selector)
    return found


def pixels(driver: Chrome, selector: str, colour: str) -> int:
    """How many pixels of a chart have just this colour of the page, for instance "bad"."""
    script = """
        const canvas = document.querySelector(arguments[0]).querySelector("canvas");
        const style = getComputedStyle(document.documentElement).getPropertyValue(`--${arguments[1]}`).trim().slice(1);
        const wanted = [0, 2, 4].map((at) => parseInt(style.slice(at, at + 2), 16));
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        const same = (i) => wanted.every((part, n) => data[i + n] === part) && data[i + 3] === 255;
        for (let i = 0; i < data.length; i += 4) found += same(i);
        return found;"""
    found: int = driver.execute_script(script, selector, colour)
    return found
