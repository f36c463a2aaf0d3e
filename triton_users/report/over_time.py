"""A report's time line as the charts of its page, and as the data that the page's script shows under the pointer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from triton_users.report.charts import LOG_RATIO, Chart
from triton_users.report.markup import e

_COLOURS = 10
"""How many colours style.css has for scenarios."""

_SHADES = 200
"""Untrusted stretches that are closer than this part of the run are shaded as one: a pixel or two."""


class OverTime:
    """All charts over time, and the data the script shows under the pointer."""

    def __init__(self, report: dict[str, Any]) -> None:
        points = report["timeline"]
        self._points = points
        self._end_s = report["duration_s"]
        self._times = [(point["start_s"] + point["end_s"]) / 2 for point in points]
        self._spans = [(point["start_s"], point["end_s"]) for point in points]
        self._all = range(len(points))
        self._untrusted = _joined(report["selfcheck"]["findings"], self._end_s / _SHADES)
        names = [scenario["name"] for scenario in report["scenarios"]]
        self._colour = {name: f"var(--c{i % _COLOURS})" for i, name in enumerate(names)}
        self._names = [name for name in names if any(name in point["scenarios"] for point in points)]
        self.data: dict[str, Any] = {"starts": [s for s, _ in self._spans], "ends": [end for _, end in self._spans]}
        self.data["charts"] = {}

    def html(self) -> str:
        if not self._points:
            return '<h2>Over time</h2><p class="soft">Nothing was counted.</p>'
        latency = "".join(self._latency(name) for name in self._names)
        shaded = (
            '<p class="soft small legend"><span><i style="background:color-mix(in srgb, var(--warn) 25%, transparent)">'
            "</i>the client was too slow for its latencies to be believed</span></p>"
            if self._untrusted
            else ""
        )
        return (
            f"<h2>Over time</h2>{self._throughput()}{self._events()}{self._gauges()}"
            f'<h2>Latency of answered requests, p50 and p99</h2>{shaded}<div class="charts">{latency}</div>'
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
        times = [self._spans[0][0], *self._times, self._spans[-1][1]]
        chart = Chart(
            times, self._end_s, max(total), width=1120, height=250, label="Answered requests per second over time"
        )
        low = [0.0] * len(times)
        for name in names:
            mine = [rates[name][0], *rates[name], rates[name][-1]]
            high = [a + b for a, b in zip(low, mine, strict=True)]
            chart.area(low, high, f'fill="{self._colour[name]}" fill-opacity="0.8"')
            low = high
        self.data["charts"]["throughput"] = [["all", [round(value, 1) for value in total]], *rates.items()]
        legend = [(self._colour[name], name or "(none)") for name in names]
        return self._card("Answered requests per second", legend, chart.svg("throughput"))

    def _events(self) -> str:
        """Per minute, since points differ in length: older ones are merged, the last one is cut off."""
        failures, deadlines = ([self._sum(i, key) for i in self._all] for key in ("failures", "expected_deadlines"))
        failing, meeting = self._per_minute(failures), self._per_minute(deadlines)
        highest = max(a + b for a, b in zip(failing, meeting, strict=True))
        chart = Chart(
            self._times, self._end_s, highest, width=1120, height=130, label="Failures and deadlines per minute"
        )
        chart.bars(self._spans, [0.0] * len(failing), failing, 'fill="var(--bad)"')
        chart.bars(self._spans, failing, meeting, 'fill="var(--c9)" fill-opacity="0.55"')
        self.data["charts"]["events"] = [["failed runs", failures], ["expected deadlines", deadlines]]
        legend = [("var(--bad)", "failed runs"), ("var(--c9)", "expected deadlines")]
        return self._card("Failures and expected deadlines per minute", legend, chart.svg("events"))

    def _sum(self, point: int, key: str) -> int:
        """The count of all scenarios in this point."""
        return sum(part[key] for part in self._points[point]["scenarios"].values())

    def _per_minute(self, counts: list[int]) -> list[float]:
        """The rate in each point; a short last one and the one before it have theirs together."""
        spans = [max(end - start, 1e-3) for start, end in self._spans]
        rates = [60 * count / span for count, span in zip(counts, spans, strict=True)]
        if len(rates) > 1 and spans[-1] < spans[-2] / 2:
            rates[-2:] = [60 * sum(counts[-2:]) / sum(spans[-2:])] * 2
        return rates

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
        failed = [t for t, failures in zip(self._times, self._of(name, "failures"), strict=True) if failures]
        if not known and not failed:
            return ""
        positive = [value for value in known if value > 0]
        spread = bool(positive) and max(positive) / min(positive) > LOG_RATIO
        chart = Chart(
            self._times,
            self._end_s,
            max(known, default=0.0),
            width=360,
            height=150,
            lowest=min(positive) if spread else None,
            unit="ms, logarithmic" if spread else "ms" if known else "nothing was answered",
            label=f"Latency of {name} over time",
        )
        colour = self._colour[name]
        chart.bands(self._untrusted, 'fill="var(--warn)" fill-opacity="0.14"')
        chart.area(p50, p99, f'fill="{colour}" fill-opacity="0.16"')
        chart.line(p99, f'stroke="{colour}" stroke-opacity="0.55"')
        chart.line(p50, f'stroke="{colour}"')
        chart.marks(failed, 'stroke="var(--bad)" stroke-width="2"')
        key = f"latency {name}"
        self.data["charts"][key] = [["p50 ms", p50], ["p99 ms", p99], ["requests/s", self._of(name, "requests_per_s")]]
        self.data["charts"][key].append(["failed runs", self._of(name, "failures")])
        legend = [(colour, "p50"), (f"color-mix(in srgb, {colour} 50%, transparent)", "p99")]
        if failed:
            legend.append(("var(--bad)", "failures"))
        return self._card(name or "(none)", legend, chart.svg(key), wide=False)


def _joined(findings: Iterable[dict[str, Any]], gap_s: float) -> list[tuple[float, float]]:
    """The findings' times as stretches that neither overlap nor follow each other within `gap_s` seconds."""
    stretches: list[tuple[float, float]] = []
    for start, end in sorted((finding["start_s"], finding["end_s"]) for finding in findings):
        if stretches and start <= stretches[-1][1] + gap_s:
            stretches[-1] = (stretches[-1][0], max(stretches[-1][1], end))
        else:
            stretches.append((start, end))
    return stretches
