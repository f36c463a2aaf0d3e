"""Text, JSON, HTML and JUnit of one report tell the same numbers."""

import json
import re
from html import unescape
from typing import Any
from xml.etree import ElementTree

import pytest

from triton_users.judge.thresholds import four_digits
from triton_users.report.folder import RENDERERS
from triton_users.report.text import milliseconds, number

COUNTS = ("failed", "runs", "skipped", "requests")
TEXT = ("Failures", "Runs", "Skips", "Requests", "p50 ms", "p99 ms")
"""The columns of the text's table, after the scenario."""
HTML = ("Status", "Failures", "Runs", "Skips", "Requests", "p50 ms", "p95 ms", "p99 ms", "Description")
"""The columns of the page's table, after the scenario."""


@pytest.fixture(scope="module", params=["finished", "running"])
def forms(request: Any, report_of: Any) -> dict[str, str]:
    """File name -> the report in that form: two workers, failures, skips, thresholds."""
    report = report_of(state=request.param)
    return {name: render(report) for name, render in RENDERERS.items()}


@pytest.fixture(scope="module")
def told(forms: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Scenario -> what report.json says of it."""
    return {scenario["name"]: scenario for scenario in json.loads(forms["report.json"])["scenarios"]}


def test_the_run_has_all_that_can_differ(told: dict[str, dict[str, Any]]) -> None:
    assert {scenario["status"] for scenario in told.values()} == {"passed", "failed", "left out"}
    assert all(sum(scenario[name] for scenario in told.values()) for name in (*COUNTS, "expected_deadlines"))


def test_the_text_tells_what_the_json_tells(forms: dict[str, str], told: dict[str, dict[str, Any]]) -> None:
    head, line, *lines = forms["report.txt"].split("\n\n")[1].split("\n")
    assert tuple(re.split(r"  +", head.strip()))[1:7] == TEXT
    edges = [(match.start(), match.end()) for match in re.finditer("-+", line)]
    rows = {row[0]: row[1:] for text in lines if (row := [text[a:b].strip() for a, b in edges])[0] in told}
    assert list(rows) == list(told)
    for name, scenario in told.items():
        latency = scenario["latency_ms"]
        expected = [*(number(scenario[key]) for key in COUNTS), *(milliseconds(latency[q]) for q in ("p50", "p99"))]
        status = scenario["status"].upper() if scenario["at_fault"] else scenario["status"]
        assert rows[name][:7] == [*expected, status], name


def test_the_page_tells_what_the_json_tells(forms: dict[str, str], told: dict[str, dict[str, Any]]) -> None:
    table = re.search(r"<h2>Scenarios</h2>.*?<table.*?</table>", forms["report.html"]).group()
    assert tuple(re.findall(r"<th[^>]*>(.*?)</th>", table))[1:] == HTML
    rows = [re.findall(r"<td([^>]*)>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", table)]
    assert len(rows) == len(told)
    for row, (name, scenario) in zip(rows, told.items(), strict=True):
        shown = [unescape(re.sub("<[^>]+>", "", text)) for _, text in row]
        latency = [scenario["latency_ms"][q] for q in ("p50", "p95", "p99")]
        counts = [scenario[key] for key in COUNTS]
        assert shown[:2] == [name, scenario["status"]]
        assert shown[2:9] == [*map(number, counts), *map(milliseconds, latency)], name
        sorted_by = [re.search(r'data-sort="([^"]+)"', attributes).group(1) for attributes, _ in row[2:9]]
        assert sorted_by == [str(-1 if value is None else value) for value in (*counts, *latency)], name
        assert scenario["description"] in shown[9]


def test_junit_tells_what_the_json_tells(forms: dict[str, str], told: dict[str, dict[str, Any]]) -> None:
    cases = ElementTree.fromstring(forms["junit.xml"].encode()).findall("testsuite[@name='scenarios']/testcase")
    assert [case.get("name") for case in cases] == list(told)
    for case in cases:
        scenario = told[case.get("name")]
        numbers = re.search(
            r"ended\) (\d+), failed (\d+), skipped (\d+), request count (\d+), p50 (\S+) ms, p99 (\S+) ms",
            case.findtext("system-out"),
        ).groups()
        latency = scenario["latency_ms"]
        expected = [scenario[key] for key in ("runs", "failed", "skipped", "requests")]
        assert list(numbers) == [str(value) for value in (*expected, latency["p50"], latency["p99"])]
        assert (case.find("failure") is not None) is scenario["at_fault"]


def test_every_form_tells_the_same_thresholds(forms: dict[str, str]) -> None:
    checks = json.loads(forms["report.json"])["verdict"]["thresholds"]
    suite = ElementTree.fromstring(forms["junit.xml"].encode()).find("testsuite[@name='verdict']")
    table = re.search(r"<h2>Thresholds</h2>.*?</table>", forms["report.html"]).group()
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(<td.*?)</tr>", table)]
    for check, row in zip(checks, rows, strict=True):
        word = {True: "pass", False: "fail", None: "not yet"}[check["passed"]]
        value = four_digits(check["value"])
        assert (row[2], row[4]) == (value, word)
        line = re.escape(check["scenario"] or "all") + rf" +{check['metric']} +(\S+) +{check['operator']} \S+ +(.+)"
        shown = re.search(line, forms["report.txt"]).groups()
        assert (shown[0], shown[1].lower()) == (value, word)
        case = suite.find(f"testcase[@name='{check['text']}']")
        outcome = {True: [], False: ["failure"], None: ["skipped"]}[check["passed"]]
        assert [child.tag for child in case] == outcome


def test_the_totals_are_the_sums_of_the_rows_in_every_form(
    forms: dict[str, str], told: dict[str, dict[str, Any]]
) -> None:
    counted = (*COUNTS, "answers_checked")
    sums = {key: sum(scenario[key] for scenario in told.values()) for key in counted}
    report = json.loads(forms["report.json"])
    assert {key: report["totals"][key] for key in counted} == sums
    assert sum(worker["runs"] for worker in report["workers"]) == sums["runs"]
    assert sum(worker["requests"] for worker in report["workers"]) == sums["requests"]
    assert f"Test count {number(sums['runs'])} " in forms["report.txt"]
    assert f"{number(sums['failed'])} failed, {number(sums['skipped'])} skipped." in forms["report.txt"]
    assert f"Request count {number(sums['requests'])} " in forms["report.txt"]
    assert f" {number(sums['answers_checked'])} answers were compared" in " ".join(forms["report.txt"].split())
    tiles = dict(re.findall(r"<b[^>]*>([^<]*)</b><span>([^<]*)</span>", forms["report.html"]))
    tiles = {label: value for value, label in tiles.items()}
    assert tiles["Test count"] == number(sums["runs"])
    assert tiles["Failed runs"] == number(sums["failed"])
    assert tiles["Request count"] == number(sums["requests"])
    assert tiles["Answers checked"] == number(sums["answers_checked"])
