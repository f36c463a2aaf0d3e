"""The report as JUnit XML for CI: a case for each scenario and each threshold. A pure function of the report."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

from triton_users.ledger.evidence import without_others
from triton_users.report.text import printable


def render_junit(report: dict[str, Any]) -> str:
    """The whole document.

    Suite "scenarios": one case each, and one, "(none)", for requests outside of any; a scenario that was left out, did
    not run without being at fault, or whose failures are allowed is `skipped` with the reason. Suite "verdict": one
    case for each threshold, and one named "run" that fails with every reason the verdict has, so that the document
    fails exactly when the run did; its output has what an operator asks, and the warnings. A checkpoint, as a killed
    program leaves it, has an error there.
    """
    root = ElementTree.Element("testsuites", name="triton-users", time=_seconds(report["duration_s"]))
    scenarios = _suite(root, "scenarios", report)
    for scenario in report["scenarios"]:
        _scenario(scenarios, scenario)
    verdict = _suite(root, "verdict", report)
    for check in report["verdict"]["thresholds"]:
        case = _case(verdict, "verdict.threshold", check["text"])
        if check["result"] != "pass":
            kind = "failure" if check["passed"] is False else "skipped"
            _outcome(case, kind, f"{check['text']}{': ' if check['needed'] else ' '}{check['finding']}", "")
    run = _case(verdict, "verdict", "run")
    if report["verdict"]["reasons"]:
        reasons = report["verdict"]["reasons"]
        _outcome(run, "failure", reasons[0], "\n".join(reasons))
    elif report["state"] == "running":
        _outcome(run, "error", f"INCOMPLETE: as of {report['as_of']} the run had not ended", "")
    said = [f"{alert['question']} {alert['answer']}: {alert['text']}" for alert in report["verdict"]["alerts"]]
    ElementTree.SubElement(run, "system-out").text = _text("\n".join([*said, *report["verdict"]["warnings"]]))
    for element in (scenarios, verdict):
        _tally(element)
    _tally(root)
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: ElementTree.Element, name: str, report: dict[str, Any]) -> ElementTree.Element:
    suite = ElementTree.SubElement(root, "testsuite", name=name, timestamp=report["started"].rstrip("Z"))
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in (
        ("seed", report["seed"]),
        ("state", report["state"]),
        ("reproduce", report["reproduce"]),
        ("server", f"{report['server'].get('name', '')} {report['server'].get('version', '')}".strip()),
    ):
        ElementTree.SubElement(properties, "property", name=key, value=_text(str(value)))
    return suite


def _scenario(suite: ElementTree.Element, scenario: dict[str, Any]) -> None:
    mean_ms = scenario["duration_ms"]["mean"] or 0.0
    case = _case(suite, "scenarios", scenario["name"] or "(none)", _seconds(mean_ms * scenario["runs"] / 1e3))
    status, why = scenario["status"], scenario["why"]
    if scenario["at_fault"]:
        _outcome(case, "failure", why, _evidence(scenario))
    elif status == "failures allowed":
        _outcome(case, "skipped", f"{scenario['failed']} of {scenario['runs']} runs failed; {why}", "")
    elif status != "passed":
        _outcome(case, "skipped", f"{status}: {why}", "")
    ElementTree.SubElement(case, "system-out").text = _text(
        f"{scenario['description']}\n"
        f"test count (runs that ended) {scenario['runs']}, failed {scenario['failed']}, skipped {scenario['skipped']}, "
        f"request count {scenario['requests']}, answers compared {scenario['answers_checked']}, "
        f"p50 {scenario['latency_ms']['p50']} ms, "
        f"p99 {scenario['latency_ms']['p99']} ms"
    )


def _evidence(scenario: dict[str, Any]) -> str:
    failures = scenario["evidence"]["failures"]
    return "\n".join(
        f"{failure['at_s']:.3f} s into the run, worker {failure['worker']}: {failure['reason']}\n"
        f"  {json.dumps(without_others(failure['record']))}"
        for failure in failures
    )


def _case(suite: ElementTree.Element, group: str, name: str, time_s: str = "0.000") -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", classname=f"triton_users.{group}", name=_text(name), time=time_s)


def _outcome(case: ElementTree.Element, kind: str, message: str, text: str) -> None:
    element = ElementTree.SubElement(case, kind, message=_text(message))
    if text:
        element.text = _text(text)


def _tally(element: ElementTree.Element) -> None:
    for attribute, path in (("tests", ".//testcase"), ("failures", ".//failure"), ("skipped", ".//skipped")):
        element.set(attribute, str(len(element.findall(path))))
    element.set("errors", str(len(element.findall(".//error"))))


def _text(text: str) -> str:
    """`text` without what XML 1.0 cannot hold: control characters are written out, line ends stay."""
    return "\n".join(printable(line) for line in text.split("\n"))


def _seconds(value: float) -> str:
    return f"{value:.3f}"
