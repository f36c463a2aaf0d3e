"""A headless Chromium for the browser tests and the screenshots, which reaches nothing but this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

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
