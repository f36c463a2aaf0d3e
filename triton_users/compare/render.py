"""A comparison as text, as HTML and as JUnit XML. Pure functions of the outcome."""

from __future__ import annotations

import math
from html import escape
from xml.etree import ElementTree

from triton_users.compare.outcome import Compared, Outcome, sentence
from triton_users.judge.thresholds import four_digits
from triton_users.report.text import printable, table

HEADS = ("Measure", "A", "B", "B / A", "Interval", "Answer")


def headline(outcome: Outcome) -> str:
    """The verdict in a few words."""
    if outcome.regressions:
        return f"{len(outcome.regressions)} REGRESSIONS" if len(outcome.regressions) > 1 else "1 REGRESSION"
    return "too few rounds to say" if outcome.too_few else "no regression shown"


def render_text(outcome: Outcome) -> str:
    """The whole comparison, ending in a line end."""
    parts = [f" {headline(outcome)} ".center(120, "="), f"A: {outcome.a}\nB: {outcome.b}\n{_how(outcome)}"]
    if outcome.regressions:
        parts.append("\n".join(["Worse on B", *(f"- {printable(each)}" for each in outcome.regressions)]))
    parts.append(table(HEADS, [_row(each) for each in outcome.measures], right={1, 2, 3, 4}))
    if outcome.answers.get("compared"):
        parts.append(_answers(outcome))
    if outcome.notes:
        parts.append("\n".join(["Notes", *(f"- {printable(each)}" for each in outcome.notes)]))
    return "\n\n".join(parts) + "\n"


def render_html(outcome: Outcome) -> str:
    """One file without scripts: the table, and each interval as a picture."""
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _row(each)) + f"<td>{_picture(each)}</td></tr>\n"
        for each in outcome.measures
    )
    heads = "".join(f"<th>{head}</th>" for head in (*HEADS, "0.5 … 1 … 2"))
    listed = "".join(f"<li>{escape(printable(each))}</li>" for each in outcome.regressions)
    notes = "".join(f"<li>{escape(printable(each))}</li>" for each in outcome.notes)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(headline(outcome))} - triton-users compare</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{escape(headline(outcome))}</h1><p>A: {escape(outcome.a)}<br>B: {escape(outcome.b)}<br>"
        f"{escape(_how(outcome))}</p><ul>{listed}</ul>\n<table><tr>{heads}</tr>\n{rows}</table>\n"
        f"<p>{escape(_answers(outcome))}</p><ul>{notes}</ul></body></html>\n"
    )


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


_STYLE = (
    "body{font:15px system-ui,sans-serif;margin:2em;color:#222;background:#fff}td,th{padding:.3em .8em;text-align:left;"
    "border-bottom:1px solid #ccc}svg{vertical-align:middle}"
)


def _how(outcome: Outcome) -> str:
    if not outcome.rounds:
        return f"Two saved reports, not paired. Margin {100 * outcome.margin:g} %."
    return f"{outcome.rounds} pairs of rounds in turn (A B, B A, …). Margin {100 * outcome.margin:g} %."


def _answers(outcome: Outcome) -> str:
    compared, models = outcome.answers.get("compared", 0), outcome.answers.get("models", ())
    if not compared:
        return "No answers were compared with each other."
    differ = len(outcome.answers["different"])
    return f"{compared} answers of {len(models)} models were compared with each other; {differ} models differ."


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


def _picture(each: Compared) -> str:
    """The interval between half and twice, 1 in the middle."""
    ratio = each.difference.ratio
    if ratio is None:
        return ""
    low, middle, high = (100 + 100 * max(-1.0, min(1.0, math.log2(x))) for x in (ratio.low, ratio.value, ratio.high))
    colour = {"worse": "#b00020", "better": "#1b7f3b"}.get(each.difference.answer, "#666")
    return (
        '<svg width="200" height="16" role="img" aria-label="interval of the ratio"><line x1="100" x2="100" y1="0" '
        f'y2="16" stroke="#aaa"/><line x1="{low:.1f}" x2="{high:.1f}" y1="8" y2="8" stroke="{colour}" '
        f'stroke-width="3"/><circle cx="{middle:.1f}" cy="8" r="4" fill="{colour}"/></svg>'
    )
