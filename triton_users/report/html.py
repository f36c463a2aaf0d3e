"""The report as one HTML page that needs nothing from anywhere. A pure function of the report.

Everything that came from outside this program goes through `markup.e`. The charts are those of `over_time.py`.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from triton_users.judge.client_limited import LABELS, digits, hms
from triton_users.judge.thresholds import four_digits
from triton_users.report.charts import sparkline
from triton_users.report.markup import count, e, e_lines, ms, n, pretty, table, td
from triton_users.report.over_time import OverTime
from triton_users.report.text import UNHEARD, headline, milliseconds, number, proofs, size

_STATUS_CLASS = {"passed": "good", "failed": "bad", "failures allowed": "warn", "not run": "warn", "left out": "soft"}

_RESULTS = {True: ("good", "pass"), False: ("bad", "fail"), None: ("soft", "not yet")}
"""Class and word for a threshold's `passed`."""


def render_html(report: dict[str, Any]) -> str:
    """The whole page."""
    charts = OverTime(report)
    body = "".join(
        [
            _header(report),
            _notes(report),
            _tiles(report),
            _scenarios(report),
            _thresholds(report),
            charts.html(),
            _failures(report),
            _rows(report),
            _workers(report),
            _facts(report),
        ]
    )
    files = resources.files("triton_users.report")
    # In a script element only "<" could end the data early; JSON may write it as an escape anywhere it can stand.
    data = json.dumps(charts.data, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{e(headline(report))} - Triton stress report</title>
<style>
{files.joinpath("style.css").read_text("utf-8")}</style>
</head>
<body>
<main>
{body}
</main>
<script type="application/json" id="data">{data}</script>
<script>
{files.joinpath("page.js").read_text("utf-8")}</script>
</body>
</html>
"""


def _header(report: dict[str, Any]) -> str:
    server = report["server"]
    passed = report["verdict"]["passed"]
    if report["state"] == "running":
        badge = (
            f'<span class="badge warn">INCOMPLETE</span><span class="warn">as of {e(report["as_of"])}, the run had not '
        )
        badge += f"ended; until then {'nothing has' if passed else 'it has'} failed</span>"
    else:
        badge = f'<span class="badge {"good" if passed else "bad"}">{"PASSED" if passed else "FAILED"}</span>'
        if report["state"] == "interrupted":
            badge += f'<span class="warn">interrupted after {hms(report["duration_s"])}</span>'
    named = f"{server.get('name') or 'server'} {server.get('version', '')}".strip()
    return (
        f"<header><h1>Triton stress report</h1>{badge}"
        f'<p class="soft">{e(named)} at {e(server.get("address", "?"))} &middot; {e(report["started"])} to '
        f"{e(report['as_of'])} &middot; {hms(report['duration_s'])} &middot; seed {e(report['seed'])}</p></header>"
    )


def _notes(report: dict[str, Any]) -> str:
    verdict = report["verdict"]
    parts = []
    for kind, title, lines in (("bad", "Why it failed", verdict["reasons"]), ("warn", "To know", verdict["warnings"])):
        if lines:
            items = "".join(f"<li>{e(line)}</li>" for line in lines)
            parts.append(f'<section class="card note {kind}"><h3>{title}</h3><ul>{items}</ul></section>')
    return "".join(parts)


def _tiles(report: dict[str, Any]) -> str:
    totals = report["totals"]
    tiles = (
        ("Test count", number(totals["runs"]), "", "Runs that ended, failed ones included, skipped ones not"),
        ("Failed runs", number(totals["failed"]), "bad" if totals["failed"] else "good", ""),
        ("Request count", number(totals["requests"]), "", "Inference requests that runs sent, failed runs included"),
        (
            "Answers checked",
            number(totals["answers_checked"]),
            "",
            "Of passed runs: compared with what is right, by this client or by perf_analyzer",
        ),
        ("Requests per second", f"{totals['requests_per_s']:,.1f}", "", "RPCs that were answered, over the whole run"),
        ("Latency p50", f"{milliseconds(totals['latency_ms']['p50'])} ms", "", ""),
        ("Latency p99", f"{milliseconds(totals['latency_ms']['p99'])} ms", "", ""),
        (
            "Wrong sequence responses",
            number(totals["sequence_failures"]),
            "bad" if totals["sequence_failures"] else "",
            "",
        ),
        (
            "Deadlines, expected / not",
            f"{number(totals['expected_deadlines'])} / {number(totals['unexpected_deadlines'])}",
            "bad" if totals["unexpected_deadlines"] else "",
            "",
        ),
    )
    return (
        '<section class="tiles">'
        + "".join(
            f'<div class="card tile" title="{e(hint)}"><b class="{colour}">{value}</b><span>{label}</span></div>'
            for label, value, colour, hint in tiles
        )
        + "</section>"
    )


def _scenarios(report: dict[str, Any]) -> str:
    heads = ["Scenario", "Status", "Failures", "Runs", "Skips", "Requests", "p50 ms", "p95 ms", "p99 ms", "Description"]
    rows = [
        [
            td(f"<b>{e(scenario['name'] or '(none)')}</b>"),
            f'<td class="state {_status_class(scenario)}">{e(scenario["status"])}</td>',
            count(scenario["failed"], "bad"),
            count(scenario["runs"]),
            count(scenario["skipped"]),
            count(scenario["requests"]),
            *(ms(scenario["latency_ms"][key]) for key in ("p50", "p95", "p99")),
            td(_about(scenario)),
        ]
        for scenario in report["scenarios"]
    ]
    return f"<h2>Scenarios</h2>{table(heads, rows, range(2, 9), sortable=True)}"


def _status_class(scenario: dict[str, Any]) -> str:
    return "bad" if scenario["at_fault"] else _STATUS_CLASS[scenario["status"]]


def _about(scenario: dict[str, Any]) -> str:
    more = [scenario["why"]]
    more += [f"skipped {number(times)} times: {reason}" for reason, times in scenario["skips"].items()]
    more.append(proofs(scenario))
    notes = "".join(f'<div class="soft small">{e(line)}</div>' for line in more if line)
    return e(scenario["description"]) + notes


def _thresholds(report: dict[str, Any]) -> str:
    checks = report["verdict"]["thresholds"]
    if not checks:
        return ""
    rows = [
        [
            td(e(check["scenario"] or "all together")),
            td(f"<code>{e(check['metric'])}</code>"),
            n(check["value"], "no data" if check["value"] is None else four_digits(check["value"])),
            f'<td class="n">{e(check["operator"])} {check["limit"]:g}</td>',
            '<td class="state {}">{}</td>'.format(*_RESULTS[check["passed"]]),
        ]
        for check in checks
    ]
    return f"<h2>Thresholds</h2>{table(['Scenario', 'Metric', 'Value', 'Limit', 'Result'], rows, (2, 3))}"


def _failures(report: dict[str, Any]) -> str:
    parts = []
    for scenario in report["scenarios"]:
        evidence = scenario["evidence"]
        if not evidence["seen"]:
            continue
        shown = "".join(
            f"<details><summary>{hms(failure['at_s'])} &middot; {e(failure['reason'])}</summary>"
            f'<p class="soft small">worker {e(failure["worker"])}</p>'
            f"<pre>{e_lines(pretty(failure['record']))}</pre></details>"
            for failure in evidence["failures"]
        )
        dropped = (
            f'<p class="soft">{number(evidence["dropped"])} in between were not kept.</p>'
            if evidence["dropped"]
            else ""
        )
        parts.append(
            '<details class="card" open>'
            f"<summary>{e(scenario['name'])}: {number(evidence['seen'])} failed runs</summary>"
            f"{shown}{dropped}</details>"
        )
    if not parts:
        return ""
    again = report["reproduce"]
    hint = f'<p class="soft">The same plan again: <code>{e(again)}</code></p>' if again else ""
    return f"<h2>Failures</h2>{''.join(parts)}{hint}"


def _rows(report: dict[str, Any]) -> str:
    heads = [
        "Scenario",
        "Model or RPC",
        "RPCs",
        "Errors",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "max ms",
        "Send p99 ms",
        "Sent",
        "Received",
    ]
    rows = [
        [
            td(e(scenario["name"] or "(none)")),
            td(f"<code>{e(row['model'])}</code>" + _errors(row["errors"])),
            count(row["requests"]),
            count(row["failed"], "bad"),
            *(ms(row["latency_ms"][key]) for key in ("p50", "p95", "p99", "max")),
            ms(row["queue_time_ms"]["p99"]),
            n(row["bytes_sent"], size(row["bytes_sent"])),
            n(row["bytes_received"], size(row["bytes_received"])),
        ]
        for scenario in report["scenarios"]
        for row in scenario["rows"]
    ]
    return f"<h2>Requests</h2>{table(heads, rows, range(2, 11), sortable=True)}" if rows else ""


def _errors(errors: dict[str, int]) -> str:
    return "".join(f'<div class="small bad">{number(times)} &times; {e(text)}</div>' for text, times in errors.items())


def _workers(report: dict[str, Any]) -> str:
    limits = report["selfcheck"]["limits"]
    heads = [
        "Worker",
        "State",
        "Runs",
        "Requests",
        "Last heard of",
        "CPU %",
        "CPU wait %",
        "event-loop lag p99 ms",
        "GC pause ms",
        "Queue time p99 ms",
        "Memory MiB",
    ]
    rows = []
    for worker in report["workers"]:
        windows = worker["windows"]
        cells = []
        for key, top in (
            ("cpu_percent", 100),
            ("cpu_wait_percent", 100),
            ("event_loop_lag_ms", 10),
            ("gc_pause_ms", 10),
            ("queue_time_ms", 10),
            ("rss_mib", 0),
        ):
            values = [window[key] for window in windows]
            limit = limits.get(key, 0.0)
            worst = max(values, default=None)
            colour = "bad" if worst is not None and limit and worst > limit else ""
            shown = "-" if worst is None else f"max {digits(worst)}"
            line = sparkline(values, max(top, limit), f"{key} of {worker['worker']}", limit)
            cells.append(f'<td>{line}<div class="small {colour or "soft"}">{shown}</div></td>')
        rows.append(
            [
                td(e(worker["worker"])),
                f'<td class="state {"bad" if worker["state"] in UNHEARD else "soft"}">{e(worker["state"])}</td>',
                count(worker["runs"]),
                count(worker["requests"]),
                f'<td class="n">{hms(worker["last_seen_s"])}</td>',
                *cells,
            ]
        )
    if not rows:
        return ""
    told = "; ".join(" ".join((LABELS[key][0], f"{value:g}", LABELS[key][1])) for key, value in limits.items() if value)
    return (
        f"<h2>Workers, and whether they were fast enough</h2>{table(heads, rows, (2, 3, 4))}"
        f'<p class="soft small">Limits: {e(told)}. Each value is the worst of a window of a few seconds.</p>'
    )


def _facts(report: dict[str, Any]) -> str:
    server, client = report["server"], report["client"]
    unsent = frozenset(server["unsent"])
    models = "".join(
        f"<div><code>{e(model)}</code>{' was never sent a request' if model in unsent else ''}</div>"
        for model in server.get("models", ())
    )
    of_server = [(key, e(value)) for key, value in server.items() if key not in ("models", "unsent")]
    of_server.append(("models", models))
    of_client = [*((name, e(version)) for name, version in client["versions"].items())]
    of_client += [("operating system", e(client["os"])), ("CPUs", e(client["cpus"]))]
    settings = [
        (name.replace("_", " "), f"<code>{e(_plain(value))}</code>") for name, value in report["settings"].items()
    ]
    cards = "".join(
        f'<div class="card"><h3>{title}</h3><table>{"".join(f"<tr><td>{e(k)}</td><td>{v}</td></tr>" for k, v in pairs)}'
        "</table></div>"
        for title, pairs in (("Server", of_server), ("Client", of_client), ("Settings", settings))
    )
    return f'<h2>Environment and settings</h2><div class="pairs">{cards}</div>'


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items())
    return (", ".join(str(item) for item in value) if isinstance(value, list) else str(value)) or "-"
