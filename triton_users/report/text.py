"""The report as text for a terminal or a log: at most 120 columns, ASCII layout. A pure function of the report."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from triton_users.judge.audit import Audited, not_auditable, sentences
from triton_users.judge.client_limited import hms
from triton_users.ledger.evidence import without_others
from triton_users.report import curve
from triton_users.report.build import unchecked

WIDTH = 120
SHOWN_FAILURES = 3
"""Failures of each scenario that are printed; report.json and report.html have all that were kept."""
SHOWN_NOTES = 4
"""Notes of each scenario that are printed."""
SHOWN_REASONS = 3
"""Reasons for reconnecting that are printed."""
UNHEARD = ("lost", "silent")
"""States of a worker whose counts are missing, or soon will be."""

_MEASURED = (
    ("first_response_ms", "p50", "first p50"),
    ("first_response_ms", "p99", "first p99"),
    ("inter_response_ms", "p50", "between p50"),
    ("inter_response_ms", "p99", "between p99"),
    ("responses", "mean", "responses"),
    ("service_ms", "p99", "service p99"),
    ("issue_delay_ms", "p99", "late p99"),
)
"""Measure, quantile, and the head of its column."""


def render_text(report: dict[str, Any]) -> str:
    """The whole report, ending in a line end."""
    parts = [_headline(report), _alerts(report), _scenarios(report), _totals(report)]
    for section in (
        _capacity,
        _arrivals,
        _measures,
        _time,
        _audit,
        _thresholds,
        _verdict,
        _trends,
        _workers,
        _notes,
        _failures,
    ):
        if text := section(report):
            parts.append(text)
    parts.append(_facts(report))
    return "\n\n".join(parts) + "\n"


def _headline(report: dict[str, Any]) -> str:
    title = f" Triton stress report: {title_of(report)} "
    return title.center(WIDTH, "=").rstrip()


def title_of(report: dict[str, Any]) -> str:
    """The headline, and in a checkpoint as of when: a killed program leaves one behind."""
    headline: str = report["verdict"]["headline"]
    return f"INCOMPLETE as of {report['as_of']}: {headline}" if report["state"] == "running" else headline


def _alerts(report: dict[str, Any]) -> str:
    """What an operator asks, with one sentence each; the evidence stands below."""
    lines = []
    for alert in report["verdict"]["alerts"]:
        answer = alert["answer"].upper() if alert["answer"] == "no" else alert["answer"]
        lines.append(_wrapped(f"{alert['question']:<18} {answer:<10}  {alert['text']}", " " * 31))
    return "\n".join(lines)


def _scenarios(report: dict[str, Any]) -> str:
    rows = [
        [
            scenario["name"] or "(none)",
            number(scenario["failed"]),
            number(scenario["runs"]),
            number(scenario["skipped"]),
            number(scenario["requests"]),
            milliseconds(scenario["latency_ms"]["p50"]),
            milliseconds(scenario["latency_ms"]["p99"]),
            _status(scenario),
            scenario["description"],
        ]
        for scenario in report["scenarios"]
    ]
    heads = ["Scenario", "Failures", "Runs", "Skips", "Requests", "p50 ms", "p99 ms", "Status", "Description"]
    return table(heads, rows, right={1, 2, 3, 4, 5, 6})


def _status(scenario: dict[str, Any]) -> str:
    if scenario["at_fault"]:
        return str(scenario["status"].upper())
    return f"{scenario['status']}{', not checked' if unchecked(scenario) and scenario['status'] == 'passed' else ''}"


def _totals(report: dict[str, Any]) -> str:
    totals = report["totals"]
    latency = totals["latency_ms"]
    lines = [
        f"Test count {number(totals['runs'])} (runs that ended, failed ones included), "
        f"{number(totals['failed'])} failed, {number(totals['skipped'])} skipped.",
        f"Request count {number(totals['requests'])} (inference requests that runs sent, failed runs included); "
        f"{number(totals['answers_checked'])} answers were compared with what is right{_checked_by(report)}. "
        f"{number(totals['rpcs'])} RPCs ended, {number(totals['rpcs_failed'])} with an error, "
        f"{totals['requests_per_s']:,.1f}/s answered; latency p50 {milliseconds(latency['p50'])} ms, "
        f"p99 {milliseconds(latency['p99'])} ms, max {milliseconds(latency['max'])} ms.",
        f"Deadlines: {number(totals['expected_deadlines'])} expected, {number(totals['unexpected_deadlines'])} not. "
        f"Wrong sequence responses: {number(totals['sequence_failures'])}.",
        *([f"Batches that the server formed: {formed}."] if (formed := batches(report["server"])) else []),
        f"Sent {size(totals['bytes_sent'])}, received {size(totals['bytes_received'])}.",
        *_event_loop_lag(report["workers"]),
        *reconnects(totals),
        f"Duration {hms(report['duration_s'])}, {report['started']} to {report['as_of']}. Seed {report['seed']}.",
    ]
    return "\n".join(_wrapped(line) for line in lines)


def reconnects(totals: dict[str, Any]) -> list[str]:
    """How many connections had to be made again, and why; nothing if none."""
    if not totals["reconnects"]:
        return []
    reasons = list(totals["reconnects_by_reason"].items())
    shown = "; ".join(f"{number(count)} after: {reason}" for reason, count in reasons[:SHOWN_REASONS])
    more = f"; {len(reasons) - SHOWN_REASONS} more" if len(reasons) > SHOWN_REASONS else ""
    return [f"Reconnects {number(totals['reconnects'])}: {shown}{more}."]


def batches(server: Mapping[str, Any]) -> str:
    """How many executions of which batch size the server counted, of models with batches of more than one."""
    models = sorted(server.get("batches", {}).items())
    return "; ".join(
        f"{name} " + ", ".join(f"{number(executions)} of {size}" for size, executions in sizes.items())
        for name, sizes in models
        if any(int(size) > 1 for size in sizes)
    )


def _checked_by(report: dict[str, Any]) -> str:
    """How many of the checked answers another program than this one has checked."""
    by_it = sum(s["answers_checked"] for s in report["scenarios"] if s["name"] == "PerfAnalyzer")
    sent = sum(s["requests"] for s in report["scenarios"] if s["name"] == "PerfAnalyzer")
    return f", {number(by_it)} of them by perf_analyzer, which sent {number(sent)} of the requests" if sent else ""


def _event_loop_lag(workers: list[dict[str, Any]]) -> list[str]:
    """How late the client's own timers were over the whole run, of the worker where they were latest."""
    lags = [(worker["event_loop_lag_ms"], worker["worker"]) for worker in workers]
    known = [(lag, name) for lag, name in lags if lag["p99"] is not None]
    if not known:
        return []
    lag, name = max(known, key=lambda each: each[0]["p99"])
    which = f"worker {name}" if len(workers) == 1 else f"worker {name}, the slowest of {len(workers)}"
    return [f"Event-loop lag: p99 {milliseconds(lag['p99'])} ms, max {milliseconds(lag['max'])} ms ({which})."]


def _capacity(report: dict[str, Any]) -> str:
    """What a search for the highest load that holds found, and the curve of latency over load."""
    capacity = report.get("capacity")
    if capacity is None:
        return ""
    found = _wrapped(f"Capacity ({capacity['unit']}; {capacity['limits']}): {capacity['sentence']}.")
    rows = curve.rows(capacity)
    return f"{found}\n{table(curve.HEADS, rows, right={0, 1, 2, 3, 4})}" if rows else found


def _arrivals(report: dict[str, Any]) -> str:
    """Whether the rate of an open loop was kept."""
    arrivals = report.get("arrivals")
    if arrivals is None:
        return ""
    delay, share = arrivals["delay_ms"], arrivals["within_1ms"]
    changed = "".join(f"; from {hms(each['from_s'])} on {each['rate']} a second" for each in arrivals["rates"][1:])
    lines = [
        f"Arrivals: {arrivals['schedule']}{changed}. {number(arrivals['intended'])} were due, "
        f"{number(arrivals['issued'])} issued"
        + ("" if share is None else f", {100 * share:.4g} % of them within 1 ms of their time")
        + f"; {number(arrivals['waited_for_a_user'])} waited for a user, {number(arrivals['late'])} were late though "
        f"one was free, {number(arrivals['missed'])} were missed.",
        f"Delay p50 {milliseconds(delay['p50'])} ms, p99 {milliseconds(delay['p99'])} ms, "
        f"max {milliseconds(delay['max'])} ms. Latencies count from when a run was due; service from its real start.",
    ]
    return "\n".join(_wrapped(line) for line in lines)


def _measures(report: dict[str, Any]) -> str:
    """The rows that have more than a latency: a line each, with a column for each measure that one of them has."""
    measured = [
        (scenario["name"], row)
        for scenario in report["scenarios"]
        for row in scenario["rows"]
        if row["measures"] or row["goodput"] is not None
    ]
    if not measured:
        return ""
    columns = [
        (column, quantity, quantile)
        for quantity, quantile, column in _MEASURED
        if any(quantity in row["measures"] for _, row in measured)
    ]
    good = any(row["goodput"] is not None for _, row in measured)
    rows = [
        [
            number(row["requests"]),
            *([percent(row["goodput"])] if good else []),
            *(milliseconds(row["measures"].get(quantity, {}).get(quantile)) for _, quantity, quantile in columns),
            f"{scenario} {row['model']}" if scenario not in ("", row["model"]) else row["model"],
        ]
        for scenario, row in measured
    ]
    heads = ["Requests", *(["goodput"] if good else []), *(column for column, _, _ in columns), "To"]
    return "Measures (ms)\n" + table(heads, rows, right=set(range(len(heads) - 1)))


def _time(report: dict[str, Any]) -> str:
    """Where a mean request's time went, for each model."""
    found = [model for model in report["server_side"]["models"] if model["success"]]
    if not found:
        return ""
    parts = ("client_ms", "network_ms", "queue_ms", "input_ms", "infer_ms", "output_ms")
    rows = [
        [
            number(model["success"]),
            *(milliseconds(model[part]) for part in parts),
            "-" if model["mean_batch"] is None else f"{model['mean_batch']:.2f}",
            f"{model['model']}{' = ' + ' + '.join(model['steps']) if model['steps'] else ''}",
        ]
        for model in found
    ]
    heads = ["Computed", "Latency", "Network, client", "Queue", "Input", "Infer", "Output", "Batch", "Model"]
    title = "Where the time went: a mean request, in ms, by this client's clock and the server's"
    others = ", ".join(model["model"] for model in found if model["network_ms"] is None and model["answered"])
    note = _wrapped(f"Others sent requests to these too, so the two clocks timed different ones: {others}.")
    shown = f"{title}\n{table(heads, rows, right=set(range(8)))}"
    return f"{shown}\n{note}" if others else shown


def _audit(report: dict[str, Any]) -> str:
    """How far the server's counts agree with ours."""
    models = [Audited(**each) for each in report["server_side"]["audit"]["models"]]
    lines = [*sentences(models, "agrees"), *not_auditable(models)]  # the others are reasons or warnings
    return "\n".join(["Audit", *(_wrapped(f"- {line}", "  ") for line in lines)]) if lines else ""


def _thresholds(report: dict[str, Any]) -> str:
    checks = report["verdict"]["thresholds"]
    if not checks:
        return ""
    rows = [
        [
            check["scenario"] or "all",
            check["metric"],
            check["shown"],
            f"{check['operator']} {check['limit']:g}",
            check["result"].upper() if check["passed"] is False else check["result"],
        ]
        for check in checks
    ]
    return "Thresholds\n" + table(["Scenario", "Metric", "Value", "Limit", "Result"], rows, right={2, 3})


def _verdict(report: dict[str, Any]) -> str:
    verdict = report["verdict"]
    return "\n".join(
        [
            *(["Why it failed"] if verdict["reasons"] else []),
            *(_wrapped(f"{lead}{line}", "  ") for reason in verdict["reasons"] for lead, line in _lines(reason)),
            *(["Warnings"] if verdict["warnings"] else []),
            *(_wrapped(f"- {warning}", "  ") for warning in verdict["warnings"]),
        ]
    )


def _lines(reason: str) -> list[tuple[str, str]]:
    """The lines of a reason, with what leads each: a log's follow the sentence that it is the evidence for."""
    first, *others = reason.split("\n")
    return [("- ", first), *(("    ", line) for line in others)]


def _trends(report: dict[str, Any]) -> str:
    """Whether anything got worse while the run lasted; what did is in the verdict."""
    lines = trend_lines(report["trends"])
    return "\n".join(["Over time", *(_wrapped(f"- {line}", "  ") for line in lines)]) if lines else ""


def trend_lines(trends: dict[str, Any]) -> list[str]:
    """Each answer of leaks and drift in a sentence, those that share one in one; nothing of what the verdict says."""
    lines: list[str] = []
    groups: dict[str, list[str]] = {}
    for each in trends["memory"]:
        if each["answer"] == "none seen" or each["name"].startswith("the server"):
            if each["answer"] != "leak":
                lines.append(each["text"])
        elif each["answer"] != "leak":
            groups.setdefault("memory: too short to say of", []).append(each["name"])
    for each in trends["drift"]:
        said = {"none seen": "no drift seen", "too short to say": "drift: too short to say"}.get(each["answer"])
        if said:
            groups.setdefault(f"{said} of the {each['what']} of", []).append(each["scenario"] or "the requests")
    shared = [f"{said} {', '.join(names)}" for said, names in groups.items()]
    return [*lines, *shared, *filter(None, [trends.get("drift_unsaid")])]


def _workers(report: dict[str, Any]) -> str:
    workers = report["workers"]
    if len(workers) < 2 and all(worker["state"] not in UNHEARD for worker in workers):
        return ""
    rows = [
        [
            worker["worker"],
            worker["state"].upper() if worker["state"] in UNHEARD else worker["state"],
            number(worker["runs"]),
            number(worker["requests"]),
            hms(worker["last_seen_s"]),
        ]
        for worker in workers
    ]
    return "Workers\n" + table(["Worker", "State", "Runs", "Requests", "Last heard of"], rows, right={2, 3, 4})


def _notes(report: dict[str, Any]) -> str:
    lines = []
    for scenario in report["scenarios"]:
        left_out = [f"left out: {scenario['why']}"] if scenario["status"] == "left out" else []
        for note in [*left_out, *scenario["notes"]][:SHOWN_NOTES]:
            lines.append(_wrapped(f"- {scenario['name'] or '(none)'}: {note}", "  "))
    return "\n".join(["Notes", *lines]) if lines else ""


def _failures(report: dict[str, Any]) -> str:
    lines: list[str] = []
    kept = 0
    for scenario in report["scenarios"]:
        evidence, name = scenario["evidence"], scenario["name"] or "(none)"
        for place, failure in enumerate(evidence["failures"][:SHOWN_FAILURES], start=kept + 1):
            where = f"{name} (failure {place}), {hms(failure['at_s'])} into the run, worker {failure['worker']}: "
            lines.append(_wrapped(f"- {where}{failure['reason']}", "  "))
            record = json.dumps(without_others(failure["record"]), ensure_ascii=True)
            lines.append(_wrapped(f"  {record}", "  "))
        if evidence["seen"] > SHOWN_FAILURES:
            shown = min(SHOWN_FAILURES, len(evidence["failures"]))
            lines.append(f"- {name}: {number(evidence['seen'] - shown)} more failures, see report.json")
        kept += len(evidence["failures"])
    if not lines:
        return ""
    if report["reproduce"]:
        lines.append(_wrapped(f"The same plan again: {report['reproduce']}", "  "))
        lines.append("One of them again, alone: triton-users replay report.json --failure N --minimise --script bug.py")
    return "\n".join(["Failures", *lines])


def _facts(report: dict[str, Any]) -> str:
    server, client = report["server"], report["client"]
    named = f"{server.get('name') or 'server'} {server.get('version') or '(version not reported)'}"
    versions = ", ".join(f"{name} {version}" for name, version in client["versions"].items())
    models = ", ".join(server.get("models", ()))
    unsent = f"; never sent a request: {', '.join(server['unsent'])}" if server["unsent"] else ""
    return "\n".join(
        [
            _wrapped(f"Server: {named} at {server.get('address', '?')}; models: {models}{unsent}"),
            _wrapped(f"Client: {versions}; {client['os']}, {client['cpus']} CPUs"),
        ]
    )


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: set[int]) -> str:
    """Aligned columns under a line; the last column is wrapped so that no line is wider than WIDTH.

    `right`: indices of the columns that are aligned on the right.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [heads, *cells]) for i in range(len(heads))]
    left_for_last = max(20, WIDTH - sum(widths[:-1]) - 2 * (len(widths) - 1))
    widths[-1] = min(widths[-1], left_for_last)
    lines = []
    for row in [heads, ["-" * width for width in widths], *cells]:
        first, *more = textwrap.wrap(row[-1], widths[-1]) or [""]
        shown = [*row[:-1], first]
        columns = enumerate(zip(shown, widths, strict=True))
        lines.append("  ".join(cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in columns))
        indent = " " * (sum(widths[:-1]) + 2 * (len(widths) - 1))
        lines += [indent + line for line in more]
    return "\n".join(line.rstrip() for line in lines)


def printable(text: str) -> str:
    """`text` with control characters written out: a server's message must not steer the terminal or break a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def number(value: int) -> str:
    """A count with thousands marked."""
    return f"{value:,}"


def milliseconds(value: float | None) -> str:
    """Three significant digits, or a dash where nothing was recorded."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def percent(share: float | None) -> str:
    """A share as a percentage, rounded down: 100 % is all."""
    return "-" if share is None else f"{math.floor(share * 1e4) / 1e2:.2f}%"


def size(count: int) -> str:
    """Bytes in the unit that fits."""
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:,.0f} B" if unit == "B" else f"{amount:,.1f} {unit}"


def _wrapped(text: str, indent: str = "") -> str:
    return "\n".join(textwrap.wrap(printable(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False))
