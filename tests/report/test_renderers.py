"""Text, HTML and JUnit: readable, well-formed and complete, whatever the server answered."""

import json
import re
from base64 import b64encode
from datetime import datetime, timezone
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.capacity.answers import FOUND
from tests.report.conftest import make_report
from triton_users.judge.thresholds import parse_thresholds
from triton_users.ledger import Collector, Recorder
from triton_users.ledger.timeline import Timeline
from triton_users.report import RunInfo
from triton_users.report.build import build_report
from triton_users.report.html import PAGE, inlined, render_html
from triton_users.report.junit import render_junit
from triton_users.report.text import WIDTH, milliseconds, render_text, size, table, title_of
from triton_users.report.view import LINE, pretty

VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """Reads a page and complains about tags that do not match."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: dict[str, list[str]] = {"script": [], "style": []}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.elements:
            self.elements[tag].append("")
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
        elif self.open:
            self.elements[self.open[-1]][-1] += data

    @property
    def data(self):
        """What the page's script is given."""
        return json.loads(self.elements["script"][-1])


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
        "SequenceValid: 4 runs were confirmed later, 2 stayed unchecked",
        "Event-loop lag: p99 80.0 ms, max 80.0 ms (worker fine, the slowest of 2).",
        "Seed 7.",
        "triton 2.51.0 at 127.0.0.1:8001",
        "SequenceValid  p99_ms",
        "Why it failed",
        "client-limited",
        "LOST",
        "PerfAnalyzer: left out: perf_analyzer cannot run here",
        "ResNet: skipped 70 times: sequence # is open",
        "The same plan again: locust --headless --seed 7",
        "ResNet: 5 more failures",
    ):
        assert wanted in text


@pytest.mark.parametrize(
    ("state", "reported"),
    [
        ("finished", "report: FAILED ="),
        ("interrupted", "FAILED, interrupted after 0:02:00"),
        ("running", "INCOMPLETE as of 2026-11-24T04:12:33Z"),
    ],
)
def test_every_form_says_how_far_the_run_came(report_of, state: str, reported: str) -> None:
    report = report_of(state=state)
    assert reported in render_text(report)
    page = Page(render_html(report))
    assert reported.removeprefix("report: ").removesuffix(" =") in " ".join(page.text)
    assert page.data["headline"] == title_of(report)
    junit = ElementTree.fromstring(render_junit(report))
    assert junit.find("testsuite/properties/property[@name='state']").get("value") == state


def test_a_silent_worker_stands_out_in_a_report_of_a_run_that_goes_on(report_of) -> None:
    report = report_of(state="running")
    assert re.search(r"^lost +SILENT ", render_text(report), re.MULTILINE)
    assert [worker["state"] for worker in Page(render_html(report)).data["workers"]] == ["finished", "silent"]
    junit = ElementTree.fromstring(render_junit(report))
    said = junit.find(".//testcase[@name='run']/system-out").text
    assert said.startswith("Is it right? no: ")
    assert "worker lost is silent" in said


def test_html_is_well_formed_and_needs_nothing_from_anywhere(report) -> None:
    html = render_html(report)
    page = Page(html)
    for tag, attributes in page.tags:
        assert tag not in ("img", "iframe", "object", "embed")
        assert not attributes.keys() & {"src", "action", "xlink:href", "onclick", "onload", "style"}
        assert attributes.get("href") in (None, "data:,")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|^(import|export) ", html, re.MULTILINE)
    assert set(re.findall(r"https?://[^\"' ]+", html)) == {"https://github.com/leeoniya/uPlot"}  # a comment of its own


def test_html_runs_its_own_scripts_alone(report) -> None:
    page = Page(render_html(report))
    policy = next(attrs for tag, attrs in page.tags if tag == "meta" and attrs.get("http-equiv"))["content"]
    rules = {name: set(values) for name, *values in (rule.split() for rule in policy.split(";"))}
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == {"'none'"}
    *scripts, data = page.elements["script"]
    assert json.loads(data)
    for rule, contents in (("script-src", scripts), ("style-src", page.elements["style"])):
        digests = [b64encode(sha256(content.encode()).digest()).decode() for content in contents]
        assert rules[rule] == {f"'sha256-{digest}'" for digest in digests}
    order = [tag for tag, attrs in page.tags if tag in ("style", "script") or attrs.get("http-equiv")]
    assert order[0] == "meta", "a policy holds for what comes after it"


def test_html_holds_nothing_that_a_server_said_but_as_text(report) -> None:
    html = render_html(report)
    assert "<b>\x1b" not in html
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u2028\u2029\ud800-\udfff]", html)
    page = Page(html)
    assert "a <b>\\x1b[31m</script> & \"quoted\" \\x00 'text'" in "".join(page.text)
    assert sum(tag == "script" for tag, _ in page.tags) == 3
    assert {failure["reason"] for failure in page.data["failures"]} == {
        failure["reason"] for one in report["scenarios"] for failure in one["evidence"]["failures"]
    }


@settings(max_examples=25)  # a page is parsed each time
@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5))
def test_whatever_the_data_of_a_page_holds_it_stays_data(value) -> None:
    html = inlined("<title>", {"value": value}, "</pre></noscript><script>")
    page = Page(html)
    assert page.data == {"value": value}
    assert sum(tag == "script" for tag, _ in page.tags) == 3


def test_without_scripts_the_text_of_the_report_is_shown(report) -> None:
    (shown,) = re.findall(r"<noscript><pre>(.*?)</pre></noscript>", render_html(report), re.DOTALL)
    assert unescape(shown) == render_text(report)


def test_the_modules_of_the_page_share_no_name_so_that_one_file_can_hold_them_all() -> None:
    names: dict[str, str] = {}
    for module in sorted(PAGE.glob("*.js")):
        pattern = r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)"
        for name in re.findall(pattern, module.read_text(), re.MULTILINE):
            assert name not in names or {module.name, names[name]} == {"live.js", "whole.js"}, (
                module.name,
                names[name],
            )
            names[name] = module.name


def test_the_licence_of_the_chart_library_goes_with_it(report) -> None:
    html = render_html(report)
    assert html.index("Permission is hereby granted, free of charge") < html.index("var uPlot=")


def test_deferred_checks_are_reported_only_where_a_scenario_puts_some_off(report, empty) -> None:
    assert render_text(report).count("confirmed later") == 1
    assert [sum("confirmed later" in note for note in one["notes"]) for one in report["scenarios"]] == [1, 0, 0, 0]
    assert "confirmed later" not in render_text(empty) + render_html(empty)


def test_reconnects_are_reported_only_where_there_were_some(report) -> None:
    assert "Reconnects" not in render_text(report)
    reasons = {"GOAWAY NO_ERROR": 1_200, "the server closed the connection": 3, "one": 1, "two": 1}
    totals = {**report["totals"], "reconnects": 1_205, "reconnects_by_reason": reasons}
    reported = " ".join(render_text({**report, "totals": totals}).split())
    assert "Reconnects 1,205: 1,200 after: GOAWAY NO_ERROR; 3 after: the server closed the connection;" in reported
    assert "after: one; 1 more." in reported


def test_a_report_of_twelve_hours_is_small_enough_to_be_sent_around() -> None:
    """With nine scenarios and four workers, the files of the page included."""
    part = {"runs": 90, "failures": 0, "expected_deadlines": 0, "requests_per_s": 123.456}
    timeline = [
        {
            "start_s": 60.0 * n,
            "end_s": 60.0 * n + 60,
            "users": 8,
            "open_sequences": n % 9,
            "scenarios": {f"scenario {i}": {**part, "p50_ms": 1.234 + n, "p99_ms": 12.345 + n} for i in range(9)},
        }
        for n in range(720)
    ]
    window = ("event_loop_lag_ms", "cpu_percent", "gc_pause_ms", "queue_time_ms", "rss_mib", "cpu_wait_percent")
    windows = [{"start_s": 216.0 * n, "end_s": 216.0 * n + 216, **dict.fromkeys(window, 12.345)} for n in range(200)]
    report = make_report()
    report["workers"] = [{**report["workers"][0], "windows": windows} for _ in range(4)]
    assert len(render_html({**report, "timeline": timeline})) < 300_000


def test_a_scenarios_name_cannot_break_out_of_the_page(report_of) -> None:
    name = "</script><script>alert(1)</script>"
    report = report_of(left_out={name: "no"}, weights={name: 0, "ResNet": 1})
    html = render_html(report)
    assert name not in html
    assert sum(tag == "script" for tag, _ in Page(html).tags) == 3
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


def test_junit_has_a_case_for_requests_outside_of_any_scenario() -> None:
    collector, recorder = Collector("run"), Recorder("w", "run")
    recorder.row("", "bert").record_error("no", 1, 1)
    collector.merge(recorder.snapshot(1.0, True), 1.0)
    info = RunInfo(started=datetime.now(timezone.utc), seed=1, settings={})
    report = build_report(info, collector, Timeline(), now_s=1.0, state="finished")
    junit = ElementTree.fromstring(render_junit(report))
    (case,) = junit.findall("testsuite[@name='scenarios']/testcase")
    assert case.get("name") == "(none)"
    assert case.find("failure").get("message").startswith("requests to bert: 1 of 1 failed")


def test_junit_adds_its_cases_up_and_fails_exactly_when_the_run_did(report, report_of) -> None:
    failed = ElementTree.fromstring(render_junit(report))
    assert int(failed.get("tests")) == len(failed.findall(".//testcase")) == 8
    assert int(failed.get("failures")) == len(failed.findall(".//failure")) == 4
    assert failed.get("skipped") == "2"  # the scenario left out, and the threshold with too few requests behind it
    passed = report_of(allow_failure=["ResNet"], thresholds=())
    assert passed["verdict"]["passed"]
    junit = ElementTree.fromstring(render_junit(passed))
    assert junit.get("failures") == "0"
    assert "its failures are" in junit.find(".//testcase[@name='ResNet']/skipped").get("message")


def test_junit_fails_for_a_threshold_and_for_what_no_scenario_is_at_fault_for(report, empty_of) -> None:
    verdict = ElementTree.fromstring(render_junit(report)).find("testsuite[@name='verdict']")
    assert verdict.find("testcase[@name='PerfAnalyzer:runs>=1']/failure") is not None
    few = verdict.find("testcase[@name='SequenceValid:p99_ms<50']/skipped")
    assert few.get("message").startswith("SequenceValid:p99_ms<50: not enough requests to say: it is 0.9")
    nothing = ElementTree.fromstring(render_junit(empty_of("finished")))
    run = nothing.find("testsuite[@name='verdict']/testcase[@name='run']/failure")
    assert run.get("message") == "nothing ran: no scenario came to an end"


def test_a_scenario_whose_own_threshold_fails_reads_passed_in_no_form(report_of) -> None:
    report = report_of(thresholds=parse_thresholds("Timeout:p50_ms<1"))
    (line,) = (line for line in render_text(report).split("\n") if re.match(r"Timeout .*What Timeout does", line))
    assert "FAILED" in line
    assert "passed" not in line
    case = ElementTree.fromstring(render_junit(report)).find(".//testcase[@name='Timeout']/failure")
    assert case.get("message").startswith("threshold Timeout:p50_ms<1 does not hold")


def test_a_run_that_has_just_begun_is_failed_in_no_form_and_its_limits_are_not_yet_decided(empty) -> None:
    page = Page(render_html(empty))
    for form in (render_text(empty), " ".join(page.text), json.dumps(page.data)):
        assert "not yet" in form
        assert "Why it failed" not in form
        assert "FAIL" not in form
    junit = ElementTree.fromstring(render_junit(empty))
    assert junit.get("failures") == "0"
    assert junit.find(".//testcase[@name='runs>=1']/skipped").get("message") == "runs>=1 does not hold yet: it is 0"


def test_what_a_killed_program_leaves_does_not_pass_in_ci(empty) -> None:
    junit = ElementTree.fromstring(render_junit(empty))
    assert junit.get("errors") == "1"
    reported = junit.find("testsuite[@name='verdict']/testcase[@name='run']/error").get("message")
    assert reported == "INCOMPLETE: as of 2026-11-24T04:10:33Z the run had not ended"


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


def test_text_has_the_curve_of_a_search_by_load_with_what_was_found(report_of) -> None:
    text = render_text(report_of(capacity=FOUND))
    found = "297 arrivals/s held; 308 arrivals/s did not: p99_ms<50 does not hold: it is 71.2."
    assert f"Capacity (arrivals/s; p99_ms<50,failure_ratio<0.1%): {found}" in " ".join(text.split())
    lines = [line for line in text.split("\n") if re.match(r" *\d+ .*(held|failed|too high)$", line)]
    assert [int(line.split()[0]) for line in lines] == [100, 200, 283, 297, 297, 308, 308, 308, 336, 400]
    bars = {int(line.split()[0]): max(map(len, re.findall("#+", line))) for line in lines}
    assert bars[100] < bars[200] < bars[283] <= bars[297] < bars[308]
    assert re.search(r"#>  too high$", lines[-1])
    assert max(map(len, text.split("\n"))) <= WIDTH
