"""Makes docs/images: real runs against a Triton that forgets and one that takes its time, in a headless Chromium.

    python docs/screenshots.py [run] [capacity] [workers] [compare]    # all, where none is named; about ten minutes

Needs Debian's chromium and chromium-driver, the test dependencies, and a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.web.chromium import chromium, prefer_dark  # noqa: E402 - from the checkout
from tests.web.locusts import Locusts  # noqa: E402
from triton_users import server  # noqa: E402

IMAGES = ROOT / "docs" / "images"
MOST_BYTES = 200_000
"""No picture may be larger."""
WIDTH = 1480
MARGIN = 12
MOST_PIXELS = 1600
"""A picture of a page ends there."""

TOP = "body ... section:has(> #scenarios-heading)"
CHARTS = "section:has(> #time-heading) ... section:has(> #each-heading)"
FAILURES = "section:has(> #failures-heading)"
SERVER = "#server"

RUN_S = 240.0
"""How long the run goes on before its pictures are taken, in seconds."""
FORGETS = "custom_nobatch_sequence_int32"
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

SLOW = "custom_nobatch_zero_1_float32"
AT_ONCE = "    def _answer(self, request):\n"
TAKES_S = 0.005
"""How long each answer of the slow one takes, in seconds: below 200 a second in all."""
SHAPE = ("--shape", f"{SLOW}:INPUT0=16")
ROUNDS = ("--rounds", "9", "--round-time", "5", "--warm-up", "1", "-u", "2")


def changed_models(folder: Path, name: str, old: str, new: str, head: str = "") -> Path:
    """A copy of models/ in which the program of one of them is another."""
    models = Path(shutil.copytree(ROOT / "models", folder / "models"))
    source = models / name / "1" / "model.py"
    text = source.read_text()
    assert old in text, f"{source} has changed: say anew what to change"
    source.write_text(text.replace(old, new).replace("import json\n", f"import json\n{head}", 1))
    return models


def forgetful(folder: Path) -> Path:
    """Loses its sum once in 1,000 requests."""
    return changed_models(folder, FORGETS, RIGHT, WRONG, "import random\n")


def slow(folder: Path, takes_s: float) -> Path:
    return changed_models(folder, SLOW, AT_ONCE, f"{AT_ONCE}        time.sleep({takes_s})\n")


def take(browser: Chrome, url: str, **parts: str) -> None:
    """Parts of a page, light and dark: name of the picture -> "FIRST ... LAST", or one, the elements that it shows."""
    for dark, suffix in ((False, ""), (True, "-dark")):
        prefer_dark(browser, dark)
        whole(browser, url)
        for name, elements in parts.items():
            first, _, last = elements.partition(" ... ")
            script = """
                const box = (each) => document.querySelector(each).getBoundingClientRect();
                const [first, last] = [...arguments].map(box);
                return [first.top + scrollY, last.bottom + scrollY];"""
            top, bottom = browser.execute_script(script, first, last or first)
            margin = min(MARGIN, top)
            height = min(bottom - top + margin + 4, MOST_PIXELS)
            clip = {"x": 0, "y": top - margin, "width": WIDTH, "height": height, "scale": 1}
            shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True})
            save(base64.b64decode(shot["data"]), f"{name.replace('_', '-')}{suffix}.png")


def save(screenshot: bytes, name: str) -> None:
    """Keep it, with 128 colours: a third of the bytes, no difference to be seen."""
    path = IMAGES / name
    Image.open(io.BytesIO(screenshot)).convert("RGB").quantize(128).save(path, optimize=True)
    print(f"docs/images/{name}: {path.stat().st_size // 1000} kB", flush=True)
    assert path.stat().st_size < MOST_BYTES


def whole(browser: Chrome, url: str) -> None:
    """Open the page in a window that is as high as it is."""
    browser.set_window_size(WIDTH, 1000)
    browser.get(url)
    time.sleep(4)
    for failure in browser.find_elements(By.XPATH, WRONG_ANSWER)[:1]:
        failure.click()
    browser.set_window_size(WIDTH, browser.execute_script("return document.documentElement.scrollHeight") + 200)
    time.sleep(2)


def run(browser: Chrome, folder: Path) -> None:
    """The Scenarios tab, the live page and the report of a server that forgets."""
    with (
        server.EmbeddedTriton(forgetful(folder)) as triton,
        Locusts(f"grpc://{triton.grpc_url}", folder) as locusts,
    ):
        locusts.start(**FORM)
        time.sleep(RUN_S)
        take(browser, f"{locusts.url}/?tab=scenarios", scenarios_tab="body")
        take(browser, f"{locusts.url}/triton/", live_page=CHARTS, live_failures=FAILURES)
        locusts.stop()
        (report,) = folder.glob("reports/*/report.html")
        take(browser, report.as_uri(), report=TOP, report_server=SERVER)


def capacity(browser: Chrome, folder: Path) -> None:
    """The curve of a server that takes its time."""
    with server.EmbeddedTriton(slow(folder, TAKES_S)) as triton:
        limits = (*SHAPE, "--find-capacity", "p99_ms<50,failure_ratio<0.1%", "--rate", "50")
        ours("-H", f"grpc://{triton.grpc_url}", "--headless", "-u", "100", "-r", "100", "--models", SLOW, *limits,
             "--report-dir", str(folder))  # fmt: skip
        (report,) = folder.glob("*/report.html")
        take(browser, report.as_uri(), capacity="#capacity")


def workers(browser: Chrome, folder: Path) -> None:
    """The report of a model under load from two processes."""
    with server.EmbeddedTriton(slow(folder, TAKES_S)) as triton:
        load = ("--headless", "-u", "4", "-r", "4", "-t", "1m", "--processes", "2", "--models", SLOW, *SHAPE)
        limits = ("--thresholds", "p99_ms<50,failure_ratio<=0", "--report-dir", str(folder))
        ours("-H", f"grpc://{triton.grpc_url}", *load, *limits)
        (report,) = folder.glob("*/report.html")
        take(browser, report.as_uri(), model=TOP, workers="section:has(> #client-heading)")


def compare(browser: Chrome, folder: Path) -> None:
    """A server beside one that takes half as long again."""
    for name in "ab":
        (folder / name).mkdir()
    with (
        server.EmbeddedTriton(slow(folder / "a", TAKES_S)) as old,
        server.EmbeddedTriton(slow(folder / "b", 1.5 * TAKES_S)) as new,
    ):
        sides = [f"grpc://{each.grpc_url}" for each in (old, new)]
        ours("compare", *sides, *ROUNDS, "--out", str(folder), "--", "--models", SLOW, *SHAPE)
        take(browser, (folder / "compare.html").as_uri(), compare="body")


def ours(*arguments: str) -> None:
    """A command of this project; 1 is one of its answers."""
    ended = subprocess.run([sys.executable, "-m", "triton_users", *arguments], cwd=ROOT, check=False)
    assert ended.returncode in (0, 1), arguments


PICTURES = {"run": run, "capacity": capacity, "workers": workers, "compare": compare}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="*", choices=[*PICTURES, "all"], default="all", help="(default: all)")
    chosen = parser.parse_args().pictures
    IMAGES.mkdir(exist_ok=True)
    for name in PICTURES if "all" in chosen else chosen:
        with tempfile.TemporaryDirectory() as folder, chromium(WIDTH, 1000) as browser:
            PICTURES[name](browser, Path(folder))


if __name__ == "__main__":
    main()
