"""Locust's own `--csv`, `--json-file`, `--json` and `--html` beside our report: the same numbers in all."""

from __future__ import annotations

import csv
import html
import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.locust_process import Ended, Locust
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

LIMIT_S = 60.0
LOCUSTFILE = """
import numpy as np
from locust import constant, task
from tritonclient.grpc import InferInput

from triton_users.locustfile import *
from triton_users.users import TritonGrpcUser


class Own(TritonGrpcUser):
    wait_time = constant(0.02)

    def on_start(self):
        try:
            self.client.infer("no_such_model", [])
        except Exception:
            pass

    @task
    def right(self):
        tensor = InferInput("INPUT0", [16], "FP32").set_data_from_numpy(np.zeros(16, np.float32))
        self.client.infer("custom_nobatch_zero_1_float32", [tensor])
"""

Numbers = dict[str, tuple[int, int]]
"""Name of a row of Locust's -> requests, failures."""


def of_the_report(ended: Ended) -> Numbers:
    """By Locust's names: the scenario, if there is one, and the model or the RPC."""
    return {
        " ".join(filter(None, (scenario["name"], row["model"]))): (row["requests"], row["failed"])
        for scenario in ended.report["scenarios"]
        for row in scenario["rows"]
        if row["requests"]
    }


def of_json(entries: list[dict[str, Any]]) -> Numbers:
    return {each["name"]: (each["num_requests"], each["num_failures"]) for each in entries}


def of_csv(path: Path) -> Numbers:
    with path.open() as file:
        found = {row["Name"]: (int(row["Request Count"]), int(row["Failure Count"])) for row in csv.DictReader(file)}
    together = found.pop("Aggregated")
    assert together == (sum(each[0] for each in found.values()), sum(each[1] for each in found.values()))
    return found


def of_html(path: Path) -> Numbers:
    """The rows of its table, which it has as JSON."""
    found = re.search(r"window\.templateArgs = (\{.*?\})\s*</script>|window\.templateArgs = (\{.*\})", path.read_text())
    assert found is not None
    values = json.loads(html.unescape(found.group(1) or found.group(2)))
    return {
        each["name"]: (each["numRequests"] if "numRequests" in each else each["num_requests"],
                       each["numFailures"] if "numFailures" in each else each["num_failures"])
        for each in values["requests_statistics"]
        if each["name"] != "Aggregated"
    }  # fmt: skip


def begin(triton: EmbeddedTriton, folder: Path, *arguments: str) -> Locust:
    locustfile = folder / "mine.py"
    locustfile.write_text(LOCUSTFILE)
    return Locust(
        folder, "-H", f"grpc://{triton.grpc_url}", "-u", "4", "-r", "4", "--scenarios", "SequenceValid",
        "--csv", "made/c", "--csv-full-history", "--html", "made/h.html", "--json-file", "made/j", "Own",
        "TritonStressUser", *arguments, locustfile=locustfile,
    )  # fmt: skip


def agree(ended: Ended) -> None:
    made = ended.folder / "made"
    ours = of_the_report(ended)
    assert ours["no_such_model"][1] > 0
    assert of_json(json.loads((made / "j.json").read_text())) == ours
    assert of_html(made / "h.html") == ours
    assert of_csv(made / "c_stats.csv") == ours
    with (made / "c_failures.csv").open() as file:
        failures = Counter({row["Name"]: int(row["Occurrences"]) for row in csv.DictReader(file)})
    assert failures == {name: failed for name, (_, failed) in ours.items() if failed}
    (report,) = (ended.folder / "reports").iterdir()
    assert {each.name for each in report.iterdir()} == {"report.json", "report.txt", "report.html", "junit.xml"}


@pytest.mark.parametrize("workers", [[], ["--processes", "2"]], ids=["local", "two workers"])
def test_all_have_the_same_numbers(triton: EmbeddedTriton, tmp_path: Path, workers: list[str]) -> None:
    agree(begin(triton, tmp_path, "-t", "8s", *workers).ended())


@pytest.mark.parametrize("workers", [[], ["--processes", "2"]], ids=["local", "two workers"])
def test_after_ctrl_c_too(triton: EmbeddedTriton, tmp_path: Path, workers: list[str]) -> None:
    locust = begin(triton, tmp_path, *workers)
    history = tmp_path / "made" / "c_stats_history.csv"
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end and "no_such_model" not in (history.read_text() if history.exists() else ""):
        time.sleep(0.2)
    assert "no_such_model" in history.read_text()  # rows are written while the run goes on
    locust.signal_all(signal.SIGINT)
    agree(locust.ended())


def test_json_on_stdout_is_json(triton: EmbeddedTriton, tmp_path: Path) -> None:
    locustfile = tmp_path / "mine.py"
    locustfile.write_text(LOCUSTFILE)
    ended = subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(locustfile), "--headless", "--json", "-H",
         f"grpc://{triton.grpc_url}", "-t", "5s", "Own"],
        capture_output=True, text=True, cwd=tmp_path, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert of_json(json.loads(ended.stdout))["no_such_model"][1] > 0
    assert "Triton stress report" in ended.stderr
