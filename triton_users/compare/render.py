"""A comparison as text, as HTML and as JUnit XML. Pure functions of the outcome."""

from __future__ import annotations

from xml.etree import ElementTree

from triton_users.compare.outcome import Compared, Outcome, Side, sentence
from triton_users.judge.thresholds import four_digits
from triton_users.report.html import inlined
from triton_users.report.text import printable, table

HEADS = ("Measure", "A", "B", "B / A", "Interval", "Answer")


def headline(outcome: Outcome) -> str:
    """The verdict in a few words."""
    if outcome.regressions:
        return f"{len(outcome.regressions)} REGRESSIONS" if len(outcome.regressions) > 1 else "1 REGRESSION"
    return "too few rounds to say" if outcome.too_few else "no regression shown"


def render_text(outcome: Outcome) -> str:
    """The whole comparison, ending in a line end."""
    parts = [
        f" {headline(outcome)} ".center(120, "="),
        f"A: {_named(outcome.a)}\nB: {_named(outcome.b)}\n{_how(outcome)}",
    ]
    if outcome.regressions:
        parts.append("\n".join(["Worse on B", *(f"- {printable(each)}" for each in outcome.regressions)]))
    parts.append(table(HEADS, [_row(each) for each in outcome.measures], right={1, 2, 3, 4}))
    if any(each.failed_a or each.failed_b for each in outcome.scenarios):
        parts.append("\n".join(["Failed runs", *(f"- {each}" for each in outcome.scenarios)]))
    if outcome.answers.get("compared"):
        parts.append(_answers(outcome))
    if outcome.notes:
        parts.append("\n".join(["Notes", *(f"- {printable(each)}" for each in outcome.notes)]))
    return "\n\n".join(parts) + "\n"


def render_html(outcome: Outcome) -> str:
    """One file: the page of a comparison, with all of it in it."""
    said = headline(outcome)
    data = {**outcome.dump(), "headline": said, "how": _how(outcome), "answered": _answers(outcome)}
    return inlined(f"{said} - Triton comparison", data, render_text(outcome), "compare.html")


def render_junit(outcome: Outcome) -> str:
    """A case for each measure and one for correctness; a regression is a failure."""
    suite = ElementTree.Element("testsuite", name="compare", tests=str(len(outcome.measures) + 1))
    wrong = ElementTree.SubElement(suite, "testcase", classname="compare", name="correctness")
    if outcome.correctness:
        failure = ElementTree.SubElement(wrong, "failure", message=printable(outcome.correctness[0]))
        failure.text = printable("; ".join(outcome.correctness))
    for each in outcome.measures:
        case = ElementTree.SubElement(suite, "testcase", classname="compare", name=each.name)
        if each.difference.answer == "worse":
            ElementTree.SubElement(case, "failure", message=sentence(each))
        elif each.difference.ratio is None:
            ElementTree.SubElement(case, "skipped", message=sentence(each))
        else:
            ElementTree.SubElement(case, "system-out").text = sentence(each)
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, "unicode") + "\n"


def _named(side: Side) -> str:
    """Its name, and what its server is where that says more."""
    return side.name if not side.version or side.version in side.name else f"{side.name} (Triton {side.version})"


def _how(outcome: Outcome) -> str:
    if not outcome.rounds:
        return f"Two saved reports, not paired. Margin {100 * outcome.margin:g} %."
    return f"{outcome.rounds} pairs of rounds in turn (A B, B A, …). Margin {100 * outcome.margin:g} %."


def _answers(outcome: Outcome) -> str:
    compared, models = outcome.answers.get("compared", 0), outcome.answers.get("models", ())
    if not compared:
        return "No answers were compared with each other."
    of = "one model" if len(models) == 1 else f"{len(models)} models"
    different = len(outcome.answers["different"])
    result = (
        f"those of {'one model' if different == 1 else f'{different} models'} differ" if different else "none differs"
    )
    return f"{compared} answers of {of} were compared with each other: {result}."


def _row(each: Compared) -> list[str]:
    found = each.difference
    ratio = found.ratio
    answer = found.answer.upper() if found.answer == "worse" else found.answer
    if found.answer == "no difference shown":
        answer += f" (could have shown {100 * found.smallest:.1f} %)"
    return [
        f"{each.name}, {each.unit}",
        four_digits(each.a),
        four_digits(each.b),
        "-" if ratio is None else f"{ratio.value:.3f}",
        "-" if ratio is None else f"{ratio.low:.3f} to {ratio.high:.3f}",
        answer,
    ]
