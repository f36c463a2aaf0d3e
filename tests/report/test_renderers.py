"""Text, HTML and JUnit: readable, well-formed and complete, whatever the server answered."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triton_users.judge.thresholds import parse_thresholds
from triton_users.report.charts import Chart
from triton_users.report.html import render_html
from triton_users.report.junit import render_junit
from triton_users.report.markup import LINE, pretty
from triton_users.report.text import WIDTH, milliseconds, render_text, size, table

VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """Reads a page and complains about tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)


def test_text_says_which_batches_the_server_formed_of_models_that_formed_any(report) -> None:
    assert "Batches" not in render_text(report)
    counted = {"two": {"1": 10, "2": 1234}, "one": {"1": 7}, "images": {"32": 3}}
    text = render_text({**report, "server": {**report["server"], "batches": counted}})
    assert "Batches that the server formed: images 3 of 32; two 10 of 1, 1,234 of 2." in text


def test_text_fits_the_terminal_and_holds_no_control_characters(report) -> None:
    text = render_text(report)
    assert max(map(len, text.split("\n"))) <= WIDTH
    assert all(line.isprintable() for line in text.split("\n"))


def test_text_names_what_a_person_needs(report) -> None:
    text = render_text(report)
    for wanted in (
        "Triton stress report: FAILED",
        "ResNet                8     8     70         8",
        "Test count 148 (runs that ended, failed ones included), 8 failed, 70 skipped.",
        "Request count 358 (inference requests that runs sent, failed runs included)",
        "SequenceValid: 4 runs were confirmed later, 2 stayed unchecked.",
        "Event-loop lag: p99 80.0 ms, max 80.0 ms (worker fine, the slowest of 2).",
        "Seed 7.",
        "triton 2.51.0 at 127.0.0.1:8001",
        "SequenceValid  p99_ms",
        "Why it failed",
        "client-limited",
        "LOST",
        "PerfAnalyzer was left out: perf_analyzer cannot run here",
        "ResNet was skipped 70 times: sequence # is open",
        "The same plan again: locust --headless --seed 7",
        "ResNet: 5 more failures",
    ):
        assert wanted in text


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("finished", "report: FAILED ="),
        ("interrupted", "FAILED, interrupted after 0:02:00"),
        ("running", "INCOMPLETE as of 2026-11-24T04:12:33Z"),
    ],
)
def test_every_form_says_how_far_the_run_came(report_of, state: str, told: str) -> None:
    report = report_of(state=state)
    assert told in render_text(report)
    page = " ".join(Page(render_html(report)).text)
    assert {"finished": "FAILED", "interrupted": "interrupted after 0:02:00", "running": "INCOMPLETE"}[state] in page
    junit = ElementTree.fromstring(render_junit(report))
    assert junit.find("testsuite/properties/property[@name='state']").get("value") == state


def test_a_silent_worker_stands_out_in_a_report_of_a_run_that_goes_on(report_of) -> None:
    report = report_of(state="running")
    assert re.search(r"^lost +SILENT ", render_text(report), re.MULTILINE)
    assert '<td class="state bad">silent</td>' in render_html(report)
    junit = ElementTree.fromstring(render_junit(report))
    assert "worker lost is silent" in junit.find(".//testcase[@name='run']/system-out").text


def test_html_is_well_formed_and_needs_nothing_from_anywhere(report) -> None:
    html = render_html(report)
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in ("img", "iframe", "object", "embed")
        assert not attributes.keys() & {"src", "action", "xlink:href", "onclick", "onload"}
        assert attributes.get("href") in (None, "data:,")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", html)
    assert set(re.findall(r"https?://[^\"' ]+", html)) <= {"http://www.w3.org/2000/svg"}
    policy = next(a for t, a in page.tags if t == "meta" and a.get("http-equiv"))["content"]
    assert policy.startswith("default-src 'none'")


def test_html_escapes_everything_a_server_may_say(report) -> None:
    html = render_html(report)
    assert "<b>\x1b" not in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\ud800-\udfff]", html)
    text = "".join(Page(html).text)
    assert "a <b>\\x1b[31m</script> & \"quoted\" \\x00 'text'" in text
    assert sum(tag == "script" for tag, _ in Page(html).tags) == 2


def test_deferred_checks_are_told_only_where_a_scenario_puts_some_off(report, empty) -> None:
    assert render_text(report).count("confirmed later") == render_html(report).count("confirmed later") == 1
    assert "confirmed later" not in render_text(empty) + render_html(empty)


def test_reconnects_are_told_only_where_there_were_some(report) -> None:
    assert "Reconnects" not in render_text(report)
    reasons = {"GOAWAY NO_ERROR": 1_200, "the server closed the connection": 3, "one": 1, "two": 1}
    totals = {**report["totals"], "reconnects": 1_205, "reconnects_by_reason": reasons}
    told = " ".join(render_text({**report, "totals": totals}).split())
    assert "Reconnects 1,205: 1,200 after: GOAWAY NO_ERROR; 3 after: the server closed the connection;" in told
    assert "after: one; 1 more." in told


def test_html_has_charts_tables_settings_versions_and_evidence(report) -> None:
    page = Page(render_html(report))
    charts = [attributes["data-chart"] for tag, attributes in page.tags if "data-chart" in attributes]
    assert charts[:3] == ["throughput", "events", "gauges"]
    assert set(charts[3:]) == {"latency SequenceValid", "latency Timeout", "latency ResNet"}
    text = " ".join(page.text)
    for wanted in ("Thresholds", "Scenarios", "Workers", "Settings", "locust", "0:00:34", "resnet_v1_50", "seed 7"):
        assert wanted in text


def test_the_data_for_the_script_has_a_value_for_every_point(report) -> None:
    html = render_html(report)
    data = json.loads(re.search(r'id="data">(.*?)</script>', html).group(1))
    assert len(data["starts"]) == len(data["ends"]) == len(report["timeline"])
    for series in data["charts"].values():
        assert all(len(values) == len(data["starts"]) for _, values in series)


def test_a_scenarios_name_cannot_break_out_of_the_page(report_of) -> None:
    name = "</script><script>alert(1)</script>"
    report = report_of(left_out={name: "no"}, weights={name: 0, "ResNet": 1})
    html = render_html(report)
    assert name not in html
    Page(html)
    ElementTree.fromstring(render_junit(report))


@given(st.recursive(st.none() | st.integers() | st.text(), lambda i: st.lists(i) | st.dictionaries(st.text(), i)))
def test_a_record_shown_in_lines_is_still_the_same_record(record) -> None:
    assert json.loads(pretty(record)) == record


def test_the_steps_of_a_sequence_are_shown_a_line_each() -> None:
    steps = [["START", number, number, number] for number in range(30)]
    lines = pretty({"steps": steps}).split("\n")
    assert len(lines) == len(steps) + 4
    assert max(map(len, lines)) <= LINE


def test_a_report_of_nothing_renders_in_every_form(empty) -> None:
    assert "INCOMPLETE" in render_text(empty)
    Page(render_html(empty))
    ElementTree.fromstring(render_junit(empty))


def test_junit_has_one_case_for_each_scenario_with_its_outcome(report) -> None:
    suite = ElementTree.fromstring(render_junit(report)).find("testsuite[@name='scenarios']")
    outcome = {
        case.get("name"): next((child.tag for child in case if child.tag in ("failure", "skipped")), "passed")
        for case in suite.iter("testcase")
    }
    assert outcome == {"SequenceValid": "passed", "Timeout": "passed", "ResNet": "failure", "PerfAnalyzer": "skipped"}
    failure = suite.find("testcase[@name='ResNet']/failure")
    assert failure.get("message").startswith("ResNet failed 8 of 8 runs; the first at 0:00:34: a <b>")
    assert '"plan": {"model": "resnet"}' in failure.text


def test_junit_adds_its_cases_up_and_fails_exactly_when_the_run_did(report, report_of) -> None:
    failed = ElementTree.fromstring(render_junit(report))
    assert int(failed.get("tests")) == len(failed.findall(".//testcase")) == 8
    assert int(failed.get("failures")) == len(failed.findall(".//failure")) == 4
    assert failed.get("skipped") == "1"
    passed = report_of(allow_failure=["ResNet"], thresholds=())
    assert passed["verdict"]["passed"]
    junit = ElementTree.fromstring(render_junit(passed))
    assert junit.get("failures") == "0"
    assert "its failures are" in junit.find(".//testcase[@name='ResNet']/skipped").get("message")


def test_junit_fails_for_a_threshold_and_for_what_no_scenario_is_at_fault_for(report, empty_of) -> None:
    verdict = ElementTree.fromstring(render_junit(report)).find("testsuite[@name='verdict']")
    assert verdict.find("testcase[@name='PerfAnalyzer:runs>=1']/failure") is not None
    assert verdict.find("testcase[@name='SequenceValid:p99_ms<50']/failure") is None
    nothing = ElementTree.fromstring(render_junit(empty_of("finished")))
    run = nothing.find("testsuite[@name='verdict']/testcase[@name='run']/failure")
    assert run.get("message") == "nothing ran: no scenario came to an end"


def test_a_scenario_whose_own_threshold_fails_reads_passed_in_no_form(report_of) -> None:
    report = report_of(thresholds=parse_thresholds("Timeout:p50_ms<1"))
    (line,) = (line for line in render_text(report).split("\n") if re.match(r"Timeout .*What Timeout does", line))
    assert "FAILED" in line
    assert "passed" not in line
    row = re.search(r"<tr><td><b>Timeout</b></td>.*?</tr>", render_html(report)).group()
    assert '<td class="state bad">failed</td>' in row
    assert "threshold Timeout:p50_ms&lt;1 does not hold" in row
    case = ElementTree.fromstring(render_junit(report)).find(".//testcase[@name='Timeout']/failure")
    assert case.get("message").startswith("threshold Timeout:p50_ms<1 does not hold")


def test_a_run_that_has_just_begun_is_failed_in_no_form_and_its_limits_are_not_yet_decided(empty) -> None:
    text, page = render_text(empty), " ".join(Page(render_html(empty)).text)
    for form in (text, page):
        assert "not yet" in form
        assert "Why it failed" not in form
        assert "FAIL" not in form
    junit = ElementTree.fromstring(render_junit(empty))
    assert junit.get("failures") == "0"
    assert junit.find(".//testcase[@name='runs>=1']/skipped").get("message") == "runs>=1 does not hold yet: it is 0"


def test_what_a_killed_program_leaves_does_not_pass_in_ci(empty) -> None:
    junit = ElementTree.fromstring(render_junit(empty))
    assert junit.get("errors") == "1"
    told = junit.find("testsuite[@name='verdict']/testcase[@name='run']/error").get("message")
    assert told == "INCOMPLETE: as of 2026-11-24T04:10:33Z the run had not ended"


def test_a_table_wraps_its_last_column_under_itself() -> None:
    lines = table(["Name", "Description"], [["a", "word " * 60]], right=set()).split("\n")
    assert len(lines) == 5
    assert all(line.startswith("      ") for line in lines[3:])


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0.0, "0.00"), (0.734, "0.73"), (12.34, "12.3"), (123.4, "123"), (9876.5, "9,876")],
)
def test_milliseconds_show_about_three_digits(value, shown: str) -> None:
    assert milliseconds(value) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (1023, "1,023 B"), (1536, "1.5 KiB"), (2**50, "1,024.0 TiB")])
def test_bytes_are_shown_in_the_unit_that_fits(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.parametrize("top", [0.0, 1e-9, 0.3, 7.0, 99.0, 1e9])
@pytest.mark.parametrize("end_s", [0.0, 0.5, 61.0, 43_200.0, 3e6])
def test_a_chart_of_any_range_draws_inside_itself(top: float, end_s: float) -> None:
    chart = Chart([end_s / 2], end_s, top, width=300, height=100)
    chart.line([top], "")
    chart.bars([(0.0, end_s)], [0.0], [top], "")
    for x, y in re.findall(r"M(-?[\d.]+),(-?[\d.]+)", chart.svg("c")):
        assert 0 <= float(x) <= 300
        assert 0 <= float(y) <= 100
