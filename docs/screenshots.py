"""Makes docs/images: a real run against a Triton one of whose models forgets, looked at in a headless Chromium.

    python docs/screenshots.py [SECONDS]      # how long the run goes on before the pictures are taken; 240 by default

Needs Debian's chromium and chromium-driver, and the test dependencies.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from selenium.webdriver.common.by import By

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.web.chromium import chromium, prefer_dark  # noqa: E402 - from the checkout
from tests.web.locusts import Locusts  # noqa: E402
from triton_users import server  # noqa: E402

IMAGES = ROOT / "docs" / "images"
MODEL = "custom_nobatch_sequence_int32"
RIGHT = "total = self._sums[key][0] + value"
WRONG = "total = (self._sums[key][0] if random.random() > 0.001 else 0) + value"
WRONG_ANSWER = "//summary[span[starts-with(., 'Sequence')]]"
FORM = {
    "user_count": "8",
    "spawn_rate": "8",
    "seed": "20260000001",
    "weights": "Timeout=12,PerfAnalyzer=20,Crashing=20,ResNet=4",
    "thresholds": "failure_ratio<0.01,SequenceValid:p99_ms<2000,requests_per_s>=50",
}


def forgetful_models(folder: Path) -> Path:
    """A copy of models/ in which MODEL loses its sum once in 1,000 requests."""
    models = Path(shutil.copytree(ROOT / "models", folder / "models"))
    source = models / MODEL / "1" / "model.py"
    text = source.read_text()
    assert RIGHT in text, f"{source} has changed: say anew what to break"
    source.write_text(text.replace(RIGHT, WRONG).replace("import json\n", "import json\nimport random\n", 1))
    return models


def save(screenshot: bytes, name: str, height: int | None = None) -> None:
    """Keep it, or what of it is above `height`, with 256 colours: a third of the bytes, no difference to be seen."""
    image = Image.open(io.BytesIO(screenshot)).convert("RGB")
    image.crop((0, 0, image.width, height or image.height)).quantize(256).save(IMAGES / name, optimize=True)
    print(f"docs/images/{name}: {(IMAGES / name).stat().st_size // 1000} kB")


def main(seconds: float) -> None:
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        server.EmbeddedTriton(forgetful_models(Path(folder))) as triton,
        Locusts(f"grpc://{triton.grpc_url}", Path(folder)) as locusts,
        chromium(1480, 1000) as browser,
    ):
        locusts.start(**FORM)
        browser.get(f"{locusts.url}/?tab=scenarios")
        time.sleep(seconds)
        for dark, suffix in ((False, ""), (True, "-dark")):
            prefer_dark(browser, dark)
            browser.set_window_size(1480, 1080)
            browser.get(f"{locusts.url}/?tab=scenarios")
            time.sleep(4)
            save(browser.get_screenshot_as_png(), f"scenarios-tab{suffix}.png")
            browser.get(f"{locusts.url}/triton/")
            time.sleep(4)
            for failure in browser.find_elements(By.XPATH, WRONG_ANSWER)[:1]:
                failure.click()
            height = browser.execute_script("scrollTo(0, 0); return document.documentElement.scrollHeight")
            browser.set_window_size(1480, height + 200)  # the browser's own frame takes some of it
            time.sleep(3)
            facts = browser.execute_script("return document.getElementById('facts').offsetTop")  # paths of this machine
            save(browser.get_screenshot_as_png(), f"live-page{suffix}.png", facts)
        locusts.stop()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 240)
