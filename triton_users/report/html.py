"""The report as one HTML page that needs nothing from anywhere. A pure function of the report.

Everything that came from outside this program goes through `e`. The charts are drawn by `charts.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from typing import Any

from triton_users.report.charts import LOG_RATIO, Chart, sparkline
from triton_users.report.text import headline, milliseconds, number, printable, size
from triton_users.trust import LABELS, digits, hms

_STATUS_CLASS = {"passed": "good", "failed": "bad", "failures allowed": "warn", "not run": "warn", "left out": "soft"}
LINE = 100
"""Characters of a failure's record that stand on one line."""
_COLOURS = 10
"""How many colours style.css has for scenarios."""


def e(text: object) -> str:
    """Text for HTML, control characters written out."""
    return escape(printable(str(text)))


def render_html(report: dict[str, Any]) -> str:
    """The whole page."""
    charts = _Charts(report)
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


class _Charts:
    """All charts over time, and the data the script shows under the pointer."""

    def __init__(self, report: dict[str, Any]) -> None:
        points = report["timeline"]
        self._points = points
        self._end_s = report["duration_s"]
        self._times = [(point["start_s"] + point["end_s"]) / 2 for point in points]
        self._spans = [(point["start_s"], point["end_s"]) for point in points]
        names = [scenario["name"] for scenario in report["scenarios"]]
        self._colour = {name: f"var(--c{i % _COLOURS})" for i, name in enumerate(names)}
        self._names = [name for name in names if any(name in point["scenarios"] for point in points)]
        self.data: dict[str, Any] = {"starts": [s for s, _ in self._spans], "ends": [end for _, end in self._spans]}
        self.data["charts"] = {}

    def html(self) -> str:
        if not self._points:
            return '<h2>Over time</h2><p class="soft">Nothing was counted.</p>'
        latency = "".join(self._latency(name) for name in self._names)
        return (
            f"<h2>Over time</h2>{self._throughput()}{self._events()}{self._gauges()}"
            f'<h2>Latency of answered requests, p50 and p99</h2><div class="charts">{latency}</div>'
        )

    def _of(self, name: str, key: str) -> list[float | None]:
        return [point["scenarios"].get(name, {}).get(key) for point in self._points]

    def _card(self, title: str, legend: Iterable[tuple[str, str]], svg: str, wide: bool = True) -> str:
        items = "".join(f'<span><i style="background:{colour}"></i>{e(label)}</span>' for colour, label in legend)
        return (
            f'<div class="card chart{" wide" if wide else ""}"><div class="head"><h3>{e(title)}</h3>'
            f'<div class="legend">{items}</div></div>{svg}</div>'
        )

    def _throughput(self) -> str:
        names = [name for name in self._names if any(self._of(name, "requests_per_s"))]
        rates = {name: [value or 0.0 for value in self._of(name, "requests_per_s")] for name in names}
        total = [sum(rates[name][i] for name in names) for i in range(len(self._points))]
        chart = Chart(
            self._times, self._end_s, max(total), width=1120, height=250, label="Requests per second over time"
        )
        low = [0.0] * len(total)
        for name in names:
            high = [a + b for a, b in zip(low, rates[name], strict=True)]
            chart.area(low, high, f'fill="{self._colour[name]}" fill-opacity="0.8"')
            low = high
        self.data["charts"]["throughput"] = [["all", [round(value, 1) for value in total]], *rates.items()]
        legend = [(self._colour[name], name or "(none)") for name in names]
        return self._card("Requests per second", legend, chart.svg("throughput"))

    def _events(self) -> str:
        failures = [float(sum(part["failures"] for part in point["scenarios"].values())) for point in self._points]
        deadlines = [
            float(sum(part["expected_deadlines"] for part in point["scenarios"].values())) for point in self._points
        ]
        highest = max(a + b for a, b in zip(failures, deadlines, strict=True))
        chart = Chart(
            self._times, self._end_s, highest, width=1120, height=130, label="Failures and deadlines over time"
        )
        chart.bars(self._spans, [0.0] * len(failures), failures, 'fill="var(--bad)"')
        chart.bars(self._spans, failures, deadlines, 'fill="var(--c9)" fill-opacity="0.55"')
        self.data["charts"]["events"] = [["failed runs", failures], ["expected deadlines", deadlines]]
        legend = [("var(--bad)", "failed runs"), ("var(--c9)", "expected deadlines")]
        return self._card("Failures and expected deadlines", legend, chart.svg("events"))

    def _gauges(self) -> str:
        shown = [("users", "var(--c0)", "users"), ("open_sequences", "var(--c1)", "open sequences")]
        series = [(label, colour, [point[key] for point in self._points]) for key, colour, label in shown]
        series = [(label, colour, values) for label, colour, values in series if any(v is not None for v in values)]
        if not series:
            return ""
        highest = max(value or 0 for _, _, values in series for value in values)
        chart = Chart(
            self._times, self._end_s, highest, width=1120, height=130, label="Users and open sequences over time"
        )
        for _, colour, values in series:
            chart.line(values, f'stroke="{colour}"')
        self.data["charts"]["gauges"] = [[label, values] for label, _, values in series]
        title = " and ".join(label for label, _, _ in series)
        return self._card(title.capitalize(), [(c, label) for label, c, _ in series], chart.svg("gauges"))

    def _latency(self, name: str) -> str:
        p50, p99 = self._of(name, "p50_ms"), self._of(name, "p99_ms")
        known = [value for value in (*p50, *p99) if value is not None]
        if not known:
            return ""
        positive = [value for value in known if value > 0]
        spread = bool(positive) and max(positive) / min(positive) > LOG_RATIO
        chart = Chart(
            self._times,
            self._end_s,
            max(known),
            width=360,
            height=150,
            lowest=min(positive) if spread else None,
            unit="ms, logarithmic" if spread else "ms",
            label=f"Latency of {name} over time",
        )
        colour = self._colour[name]
        chart.area(p50, p99, f'fill="{colour}" fill-opacity="0.16"')
        chart.line(p99, f'stroke="{colour}" stroke-opacity="0.55"')
        chart.line(p50, f'stroke="{colour}"')
        failed = [t for t, failures in zip(self._times, self._of(name, "failures"), strict=True) if failures]
        chart.marks(failed, 'stroke="var(--bad)" stroke-width="2"')
        key = f"latency {name}"
        self.data["charts"][key] = [["p50 ms", p50], ["p99 ms", p99], ["requests/s", self._of(name, "requests_per_s")]]
        self.data["charts"][key].append(["failed runs", self._of(name, "failures")])
        legend = [(colour, "p50"), (f"color-mix(in srgb, {colour} 50%, transparent)", "p99")]
        if failed:
            legend.append(("var(--bad)", "failures"))
        return self._card(name or "(none)", legend, chart.svg(key), wide=False)


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = (), sortable: bool = False
) -> str:
    """A table of cells that are HTML already, each a `<td>`; `right` columns are aligned on the right in the head."""
    head = "".join(f'<th class="n">{h}</th>' if i in right else f"<th>{h}</th>" for i, h in enumerate(heads))
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    kind = ' class="sortable"' if sortable else ""
    return f'<div class="card scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _n(value: float | None, shown: str, colour: str = "") -> str:
    return f'<td class="n {colour}" data-sort="{-1 if value is None else value}">{shown}</td>'


def _count(value: int, colour: str = "") -> str:
    return _n(value, number(value), colour if value else "")


def _ms(value: float | None) -> str:
    return _n(value, milliseconds(value))


def _td(html: str) -> str:
    return f"<td>{html}</td>"


def _scenarios(report: dict[str, Any]) -> str:
    heads = ["Scenario", "Status", "Failures", "Runs", "Skips", "Requests", "p50 ms", "p95 ms", "p99 ms", "Description"]
    rows = [
        [
            _td(f"<b>{e(scenario['name'] or '(none)')}</b>"),
            f'<td class="state {_STATUS_CLASS[scenario["status"]]}">{e(scenario["status"])}</td>',
            _count(scenario["failed"], "bad"),
            _count(scenario["runs"]),
            _count(scenario["skipped"]),
            _count(scenario["requests"]),
            *(_ms(scenario["latency_ms"][key]) for key in ("p50", "p95", "p99")),
            _td(_about(scenario)),
        ]
        for scenario in report["scenarios"]
    ]
    return f"<h2>Scenarios</h2>{_table(heads, rows, range(2, 9), sortable=True)}"


def _about(scenario: dict[str, Any]) -> str:
    more = [scenario["why"]] if scenario["why"] and scenario["status"] != "failed" else []
    more += [f"skipped {number(times)} times: {reason}" for reason, times in scenario["skips"].items()]
    return e(scenario["description"]) + "".join(f'<div class="soft small">{e(line)}</div>' for line in more)


def _thresholds(report: dict[str, Any]) -> str:
    checks = report["verdict"]["thresholds"]
    if not checks:
        return ""
    rows = [
        [
            _td(e(check["scenario"] or "all together")),
            _td(f"<code>{e(check['metric'])}</code>"),
            _n(check["value"], "no data" if check["value"] is None else f"{check['value']:.4g}"),
            f'<td class="n">{e(check["operator"])} {check["limit"]:g}</td>',
            f'<td class="state {"good" if check["passed"] else "bad"}">{"pass" if check["passed"] else "fail"}</td>',
        ]
        for check in checks
    ]
    return f"<h2>Thresholds</h2>{_table(['Scenario', 'Metric', 'Value', 'Limit', 'Result'], rows, (2, 3))}"


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


def pretty(value: Any, indent: str = "") -> str:
    """JSON with what fits into a line on one line: a sequence's steps are then a line each."""
    line = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or len(line) + len(indent) <= LINE:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {pretty(item, deeper)}" for key, item in value.items()]
        return f"{{\n{deeper}" + f",\n{deeper}".join(parts) + f"\n{indent}}}"
    return f"[\n{deeper}" + f",\n{deeper}".join(pretty(item, deeper) for item in value) + f"\n{indent}]"


def e_lines(text: str) -> str:
    """Text of several lines for HTML."""
    return "\n".join(e(line) for line in text.split("\n"))


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
            _td(e(scenario["name"] or "(none)")),
            _td(f"<code>{e(row['model'])}</code>" + _errors(row["errors"])),
            _count(row["requests"]),
            _count(row["failed"], "bad"),
            *(_ms(row["latency_ms"][key]) for key in ("p50", "p95", "p99", "max")),
            _ms(row["send_delay_ms"]["p99"]),
            _n(row["bytes_sent"], size(row["bytes_sent"])),
            _n(row["bytes_received"], size(row["bytes_received"])),
        ]
        for scenario in report["scenarios"]
        for row in scenario["rows"]
    ]
    return f"<h2>Requests</h2>{_table(heads, rows, range(2, 11), sortable=True)}" if rows else ""


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
        "Hub lag p99 ms",
        "GC pause ms",
        "Send delay p99 ms",
        "Memory MiB",
    ]
    rows = []
    for worker in report["workers"]:
        windows = worker["windows"]
        cells = []
        for key, top in (
            ("cpu_percent", 100),
            ("hub_lag_ms", 10),
            ("gc_pause_ms", 10),
            ("send_delay_ms", 10),
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
                _td(e(worker["worker"])),
                f'<td class="state {"bad" if worker["state"] == "lost" else "soft"}">{e(worker["state"])}</td>',
                _count(worker["runs"]),
                _count(worker["requests"]),
                f'<td class="n">{hms(worker["last_seen_s"])}</td>',
                *cells,
            ]
        )
    if not rows:
        return ""
    told = "; ".join(" ".join((LABELS[key][0], f"{value:g}", LABELS[key][1])) for key, value in limits.items() if value)
    return (
        f"<h2>Workers, and whether they were fast enough</h2>{_table(heads, rows, (2, 3, 4))}"
        f'<p class="soft small">Limits: {e(told)}. Each value is the worst of a window of a few seconds.</p>'
    )


def _facts(report: dict[str, Any]) -> str:
    server, client = report["server"], report["client"]
    models = "".join(f"<div><code>{e(model)}</code></div>" for model in server.get("models", ()))
    of_server = [(key, e(value)) for key, value in server.items() if key != "models"] + [("models", models)]
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
