"""May this Triton go to production? A test for your suite: copy it, and set OPTIONS.

LOCUST_HOST=grpc://triton.example:8001 pytest test_release.py    # without LOCUST_HOST: the embedded Triton
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

OPTIONS = ["-u", "8", "-r", "8", "-t", "5m", "--seed", "42"]
BASELINE = Path(__file__).with_name("baseline.json")  # the report.json of the release that serves today


def triton_users(*arguments):
    command = [sys.executable, "-m", "triton_users", *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    run = triton_users("--headless", "--report-dir", folder, *OPTIONS)
    files = list(folder.glob("*/report.json"))
    assert files, run.stdout  # exit code 2: something about the command was wrong
    return files[0]


def test_the_verdict(report):
    found = json.loads(report.read_text())
    failures = [each for scenario in found["scenarios"] for each in scenario["evidence"]["failures"]]
    evidence = [f"{each['scenario']}: {each['reason']}\n{each['record'].get('evidence', '')}" for each in failures]
    assert found["verdict"]["passed"], "\n".join([*found["verdict"]["reasons"], *evidence])


@pytest.mark.skipif(not BASELINE.exists(), reason="there is no baseline yet")
def test_no_regression(report):
    compared = triton_users("compare", "--baseline", BASELINE, report, "--out", report.parent / "compare")
    assert compared.returncode == 0, compared.stdout
