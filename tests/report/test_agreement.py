"""Text, JSON, HTML and JUnit of one report say the same numbers."""

import json
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest
from selenium.webdriver import Chrome

from tests.web.chromium import chromium, texts
from triton_users.judge.thresholds import four_digits
from triton_users.report.folder import RENDERERS, write_whole
from triton_users.report.text import milliseconds, number, printable, size

COUNTS = ("failed", "runs", "skipped", "requests")
TEXT = ("Failures", "Runs", "Skips", "Requests", "p50 ms", "p99 ms")
"""The columns of the text's table, after the scenario."""
PAGE = {"Failures": "failed", "Runs": "runs", "Skips": "skipped", "Requests": "requests"}
"""The columns of the page's table that are counts, and what they are called in report.json."""


@pytest.fixture(scope="module", params=["finished", "running"])
def forms(request: Any, report_of: Any) -> dict[str, str]:
    """File name -> the report in that form: two workers, failures, skips, thresholds."""
    report = report_of(state=request.param)
    return {name: render(report) for name, render in RENDERERS.items()}


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def page(browser: Chrome, forms: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Chrome:
    """A browser that shows report.html."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_whole(path, forms["report.html"])
    browser.get(path.as_uri())
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    return browser


def columns(browser: Chrome, selector: str) -> dict[str, list[str]]:
    """Heading -> the column's cells, of a table; notes, which go over all columns, are in none."""
    script = """return [...document.querySelector(arguments[0]).querySelectorAll("tr:not(.below)")].map((row) =>
        [...row.cells].map((one) => one.textContent))"""
    heads, *rows = browser.execute_script(script, selector)
    return {head: [row[i] for row in rows] for i, head in enumerate(heads)}


@pytest.fixture(scope="module")
def reported(forms: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Scenario -> what report.json says of it."""
    return {scenario["name"]: scenario for scenario in json.loads(forms["report.json"])["scenarios"]}


def test_the_run_has_all_that_can_differ(reported: dict[str, dict[str, Any]]) -> None:
    assert {scenario["status"] for scenario in reported.values()} == {"passed", "failed", "left out"}
    assert all(sum(scenario[name] for scenario in reported.values()) for name in (*COUNTS, "expected_deadlines"))


def test_the_text_says_what_the_json_says(forms: dict[str, str], reported: dict[str, dict[str, Any]]) -> None:
    head, line, *lines = forms["report.txt"].split("\n\n")[2].split("\n")
    assert tuple(re.split(r"  +", head.strip()))[1:7] == TEXT
    edges = [(match.start(), match.end()) for match in re.finditer("-+", line)]
    rows = {row[0]: row[1:] for text in lines if (row := [text[a:b].strip() for a, b in edges])[0] in reported}
    assert list(rows) == list(reported)
    for name, scenario in reported.items():
        latency = scenario["latency_ms"]
        expected = [*(number(scenario[key]) for key in COUNTS), *(milliseconds(latency[q]) for q in ("p50", "p99"))]
        status = scenario["status"].upper() if scenario["at_fault"] else scenario["status"]
        if status == "passed" and any(note.startswith("not checked") for note in scenario["notes"]):
            status += ", not checked"
        assert rows[name][:7] == [*expected, status], name


def test_the_text_has_a_table_of_measures(forms: dict[str, str], reported: dict[str, dict[str, Any]]) -> None:
    (text,) = (part for part in forms["report.txt"].split("\n\n") if part.startswith("Measures"))
    _, head, _, *lines = text.split("\n")
    assert re.split(r"  +", head.strip()) == [
        "Requests",
        "goodput",
        "first p50",
        "first p99",
        "between p50",
        "between p99",
        "responses",
        "To",
    ]
    (row,) = [row for scenario in reported.values() for row in scenario["rows"] if row["measures"]]
    first, between, responses = row["measures"].values()
    values = [first["p50"], first["p99"], between["p50"], between["p99"], responses["mean"]]
    assert lines[0].split() == [
        number(row["requests"]),
        "74.28%",
        *map(milliseconds, values),
        "SequenceValid",
        row["model"],
    ]


@pytest.mark.browser
def test_the_page_says_what_the_json_says(page: Chrome, reported: dict[str, dict[str, Any]]) -> None:
    shown = columns(page, "#scenarios table")
    assert shown["Scenario"] == [f"{name}{scenario['description']}" for name, scenario in reported.items()]
    assert shown["Status"] == [scenario["status"] for scenario in reported.values()]
    for head, key in PAGE.items():
        assert shown[head] == [number(scenario[key]) for scenario in reported.values()]
    for q in ("p50", "p95", "p99"):
        assert shown[f"{q} ms"] == [milliseconds(scenario["latency_ms"][q]) for scenario in reported.values()]
    for head, field, q in (("First p99 ms", "first_response_ms", "p99"), ("Responses", "responses", "mean")):
        measured = [scenario["measures"].get(field, {}).get(q) for scenario in reported.values()]
        assert shown[head] == [milliseconds(value) for value in measured]
    assert "Service p99 ms" not in shown
    assert shown["Responses/s"] == ["7.00", "-", "-", "-"]
    assert shown["Goodput"] == ["74.28%", "-", "-", "-"]
    requests = columns(page, "#requests table")
    rows = [row for scenario in reported.values() for row in scenario["rows"]]
    assert requests["RPCs"] == [number(row["requests"]) for row in rows]
    assert requests["max ms"] == [milliseconds(row["latency_ms"]["max"]) for row in rows]
    measured = [row["measures"].get("inter_response_ms", {}).get("p99") for row in rows]
    assert requests["Inter-response p99 ms"] == [milliseconds(value) for value in measured]
    assert requests["Sent"] == [size(row["bytes_sent"]) for row in rows]


def test_junit_says_what_the_json_says(forms: dict[str, str], reported: dict[str, dict[str, Any]]) -> None:
    cases = ElementTree.fromstring(forms["junit.xml"].encode()).findall("testsuite[@name='scenarios']/testcase")
    assert [case.get("name") for case in cases] == list(reported)
    for case in cases:
        scenario = reported[case.get("name")]
        numbers = re.search(
            r"ended\) (\d+), failed (\d+), skipped (\d+), request count (\d+), answers compared (\d+), "
            r"p50 (\S+) ms, p99 (\S+) ms",
            case.findtext("system-out"),
        ).groups()
        latency = scenario["latency_ms"]
        expected = [scenario[key] for key in ("runs", "failed", "skipped", "requests", "answers_checked")]
        assert list(numbers) == [str(value) for value in (*expected, latency["p50"], latency["p99"])]
        assert (case.find("failure") is not None) is scenario["at_fault"]


def test_every_form_has_the_same_thresholds(forms: dict[str, str]) -> None:
    checks = json.loads(forms["report.json"])["verdict"]["thresholds"]
    suite = ElementTree.fromstring(forms["junit.xml"].encode()).find("testsuite[@name='verdict']")
    for check in checks:
        words = {True: ("pass", "too few to say"), False: ("fail",), None: ("not yet",)}
        assert check["result"] in words[check["passed"]]
        assert check["shown"] == four_digits(check["value"])
        line = re.escape(check["scenario"] or "all") + rf" +{check['metric']} +(\S+) +{check['operator']} \S+ +(.+)"
        shown = re.search(line, forms["report.txt"]).groups()
        assert (shown[0], shown[1].lower()) == (check["shown"], check["result"])
        case = suite.find(f"testcase[@name='{check['text']}']")
        outcome = {"pass": [], "fail": ["failure"]}.get(check["result"], ["skipped"])
        assert [child.tag for child in case] == outcome


@pytest.mark.browser
def test_the_page_has_the_same_verdict(page: Chrome, forms: dict[str, str]) -> None:
    verdict = json.loads(forms["report.json"])["verdict"]
    (headline,) = texts(page, "#verdict h2")
    assert headline.endswith(verdict["headline"])
    assert headline in forms["report.txt"]
    assert texts(page, "#verdict li") == [printable(reason) for reason in verdict["reasons"]]
    assert texts(page, "#warnings li") == [printable(warning) for warning in verdict["warnings"]]
    shown = columns(page, "#thresholds table")
    assert shown == {
        "Limit": [check["text"] for check in verdict["thresholds"]],
        "Value": [check["shown"] for check in verdict["thresholds"]],
        "Result": [check["result"] for check in verdict["thresholds"]],
    }


@pytest.mark.browser
def test_the_totals_are_the_sums_of_the_rows_in_every_form(
    page: Chrome, forms: dict[str, str], reported: dict[str, dict[str, Any]]
) -> None:
    counted = (*COUNTS, "answers_checked")
    sums = {key: sum(scenario[key] for scenario in reported.values()) for key in counted}
    report = json.loads(forms["report.json"])
    assert {key: report["totals"][key] for key in counted} == sums
    assert sum(worker["runs"] for worker in report["workers"]) == sums["runs"]
    assert sum(worker["requests"] for worker in report["workers"]) == sums["requests"]
    assert f"Test count {number(sums['runs'])} " in forms["report.txt"]
    assert f"{number(sums['failed'])} failed, {number(sums['skipped'])} skipped." in forms["report.txt"]
    assert f"Request count {number(sums['requests'])} " in forms["report.txt"]
    assert f" {number(sums['answers_checked'])} answers were compared" in " ".join(forms["report.txt"].split())
    tiles = dict(zip(texts(page, ".tiles span"), texts(page, ".tiles b"), strict=True))
    assert tiles["Test count"] == number(sums["runs"])
    assert tiles["Failed runs"] == number(sums["failed"])
    assert tiles["Answers checked"] == number(sums["answers_checked"])
    assert tiles["Request count"] == number(sums["requests"])
    assert tiles["Answers checked"] == number(sums["answers_checked"])
