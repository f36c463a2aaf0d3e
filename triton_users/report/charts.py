"""Charts over a run's time as SVG text: stacked areas, bands, bars, sparklines. Knows numbers and colours, no report.

A chart is drawn once and needs no script; `page.js` adds a line under the pointer and the values there. Colours are
CSS variables, so that one drawing serves light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from triton_users.judge.client_limited import hms

Values = Sequence[float | None]
"""One value for each point of time; None where there is none."""

LOG_RATIO = 40
"""Where the highest value is this many times the lowest, a latency axis is logarithmic: both stay readable."""


class Chart:
    """One drawing: first the axes, then whatever is drawn on them, then `svg`."""

    def __init__(
        self,
        times: Sequence[float],
        end_s: float,
        top: float,
        *,
        width: int,
        height: int,
        lowest: float | None = None,
        unit: str = "",
        label: str = "",
    ) -> None:
        """`times`: the points' middles, in seconds; `top`: the highest value. With `lowest` the axis is logarithmic."""
        self._times = times
        self._end_s = max(end_s, 1e-3)
        self._width, self._height = width, height
        self._left, self._right, self._above, self._below = 46, 8, 8, 22
        self._log = lowest is not None
        self._floor = 10.0 ** math.floor(math.log10(lowest)) if lowest else 0.0
        self._ticks = _log_ticks(self._floor, top) if self._log else _ticks(top, 4 if height > 170 else 3)
        self._top = max(self._ticks[-1], top)
        self._label = label
        self._parts = [self._axes(unit)]

    def x(self, seconds: float) -> float:
        """Pixels from the left."""
        return self._left + (self._width - self._left - self._right) * min(seconds / self._end_s, 1.0)

    def y(self, value: float) -> float:
        """Pixels from above."""
        inner = self._height - self._above - self._below
        if self._log:
            share = math.log(max(value, self._floor) / self._floor) / math.log(self._top / self._floor)
        else:
            share = value / self._top
        return self._above + inner * (1 - share)

    def area(self, low: Values, high: Values, style: str) -> None:
        """Fill between two lines; a gap where either has no value."""
        for run in _runs(low, high):
            forth = [f"{self.x(self._times[i]):.1f},{self.y(high[i] or 0.0):.1f}" for i in run]
            back = [f"{self.x(self._times[i]):.1f},{self.y(low[i] or 0.0):.1f}" for i in reversed(run)]
            self._parts.append(f'<path d="M{" ".join(forth + back)}Z" {style}/>')

    def line(self, values: Values, style: str) -> None:
        """A line through the values; a gap where there is none, a dot where a value stands alone."""
        for run in _runs(values):
            points = " ".join(f"{self.x(self._times[i]):.1f},{self.y(values[i] or 0.0):.1f}" for i in run)
            kind, path = ("line", f"M{points}") if len(run) > 1 else ("line dot", f"M{points}h0.1")
            self._parts.append(f'<path class="{kind}" d="{path}" {style}/>')

    def bars(self, spans: Sequence[tuple[float, float]], bottoms: Values, heights: Values, style: str) -> None:
        """A bar over each span of time, at least two pixels wide; none where the height is 0."""
        for (start, end), bottom, height in zip(spans, bottoms, heights, strict=True):
            if height:
                left = self.x(start)
                wide = max(self.x(end) - left - 0.5, 2.0)
                upper = self.y((bottom or 0.0) + height)
                tall = max(self.y(bottom or 0.0) - upper, 1.0)
                box = f'x="{left:.1f}" y="{upper:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
                self._parts.append(f"<rect {box} {style}/>")

    def bands(self, stretches: Sequence[tuple[float, float]], style: str) -> None:
        """Shade these stretches of time from top to bottom, each at least a pixel wide."""
        tall = self._height - self._below - self._above
        for start, end in stretches:
            left = self.x(start)
            wide = max(self.x(end) - left, 1.0)
            self._parts.append(f'<path d="M{left:.1f},{self._above}h{wide:.1f}v{tall}h-{wide:.1f}z" {style}/>')

    def marks(self, seconds: Sequence[float], style: str) -> None:
        """A short stroke on the axis at each of these times."""
        foot = self._height - self._below
        for at in seconds:
            self._parts.append(f'<path d="M{self.x(at):.1f},{foot}v6" {style}/>')

    def svg(self, chart: str) -> str:
        """The drawing. `chart` names its data for the script."""
        box = f'viewBox="0 0 {self._width} {self._height}" role="img" aria-label="{escape(self._label)}"'
        frame = f'data-left="{self._left}" data-right="{self._right}" data-end="{self._end_s:.3f}"'
        return f'<svg {box} data-chart="{escape(chart)}" {frame}>{"".join(self._parts)}</svg>'

    def _axes(self, unit: str) -> str:
        right, foot = self._width - self._right, self._height - self._below
        parts = []
        for tick in self._ticks:
            y = self.y(tick)
            parts.append(f'<path class="grid" d="M{self._left},{y:.1f}H{right}"/>')
            parts.append(
                f'<text class="tick" x="{self._left - 6}" y="{y + 3.5:.1f}" text-anchor="end">{short(tick)}</text>'
            )
        for seconds in _time_ticks(self._end_s, (self._width - self._left) // 90):
            x = self.x(seconds)
            anchor = "end" if x > right - 20 else "middle"
            parts.append(f'<path class="grid" d="M{x:.1f},{foot}v4"/>')
            parts.append(f'<text class="tick" x="{x:.1f}" y="{foot + 16}" text-anchor="{anchor}">{hms(seconds)}</text>')
        parts.append(f'<path class="axis" d="M{self._left},{foot}H{right}"/>')
        if unit:
            parts.append(f'<text class="unit" x="{self._left + 4}" y="{self._above + 9}">{escape(unit)}</text>')
        return "".join(parts)


def sparkline(values: Sequence[float], top: float, label: str, limit: float = 0.0) -> str:
    """A tiny line without axes, 120 by 24, red where a value is over `limit`."""
    if not values:
        return ""
    step = 118 / max(1, len(values) - 1)
    high = max(top, *values, 1e-9)
    points = " ".join(f"{1 + i * step:.1f},{22 - 20 * value / high:.1f}" for i, value in enumerate(values))
    over = [i for i, value in enumerate(values) if limit and value > limit]
    dots = "".join(
        f'<circle class="over" cx="{1 + i * step:.1f}" cy="{22 - 20 * values[i] / high:.1f}" r="1.6"/>' for i in over
    )
    drawn = f'<path class="line" d="M{points}"/>' if len(values) > 1 else ""
    return f'<svg class="spark" viewBox="0 0 120 24" role="img" aria-label="{escape(label)}">{drawn}{dots}</svg>'


def short(value: float) -> str:
    """A number in few characters, for an axis: 1.5k, 20, 0.25."""
    for factor, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:g}{suffix}"
    return f"{value:g}"


def _ticks(top: float, wanted: int) -> list[float]:
    """Round numbers from 0 to the first one that is not below `top`."""
    if top <= 0:
        return [0.0, 1.0]
    rough = top / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [step * n for n in range(math.ceil(top / step * 0.999) + 1)]


def _log_ticks(floor: float, top: float) -> list[float]:
    """Powers of ten from `floor` to the first one that is not below `top`."""
    return [floor * 10**n for n in range(max(1, math.ceil(math.log10(top / floor) - 1e-9)) + 1)]


def _time_ticks(end_s: float, wanted: int) -> list[float]:
    """Round times from 0 to `end_s`."""
    hour = 3600
    steps = (
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
        hour,
        2 * hour,
        4 * hour,
        6 * hour,
        12 * hour,
        24 * hour,
    )
    step = next((step for step in steps if end_s / step <= max(wanted, 1)), math.ceil(end_s / wanted / 86400) * 86400)
    return [float(n * step) for n in range(int(end_s / step) + 1)]


def _runs(*series: Values) -> Iterator[list[int]]:
    """Unbroken stretches of indices at which every series has a value."""
    run: list[int] = []
    for i, values in enumerate(zip(*series, strict=True)):
        if all(value is not None for value in values):
            run.append(i)
        elif run:
            yield run
            run = []
    if run:
        yield run
