"""Makes docs/images/open_loop.svg and prints the figures of docs/open_loop.md: `docs/open_loop.py [--real SECONDS]`.

What is drawn is computed on a virtual clock by bench/virtual.py, with the dispatcher that real runs have. With `--real`
the queue is run once more on the real clock, for so long at each load.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import gevent  # noqa: E402 - after the path
import numpy as np  # noqa: E402
from gevent.lock import Semaphore  # noqa: E402

from bench import virtual  # noqa: E402
from bench.virtual import OpenRun, Server, always, closed_run, constant, exponential, poisson  # noqa: E402
from triton_users.arrivals.dispatcher import Arrival, Dispatcher  # noqa: E402
from triton_users.arrivals.timetable import Part, Timetable  # noqa: E402
from triton_users.ledger import ArrivalCounts  # noqa: E402
from triton_users.run.alarm import make_alarm  # noqa: E402

PICTURE = ROOT / "docs" / "images" / "open_loop.svg"
LOADS = (0.5, 0.8, 0.9)
SERVICE_S = 0.01
ARRIVALS, WARM_UP, RUNS = 20_000, 2_000, 10
PER_S, STALL_SERVICE_S, STALL_S, EVERY_S, STALL_RUN_S = 100.0, 0.002, 2.0, 60.0, 3_600.0

Points = Sequence[tuple[float, float]]


def stalled() -> tuple[list[float], list[float]]:
    """Latencies of a closed and of an open run of an hour at a server that stalls, in seconds."""

    def server() -> Server:
        return Server(always(STALL_SERVICE_S), STALL_S, EVERY_S)

    closed = closed_run(server(), users=10, think_s=10 / PER_S - STALL_SERVICE_S, to_s=STALL_RUN_S)
    return closed, OpenRun(constant(PER_S), server(), users=300).run(STALL_RUN_S)


def waits(load: float, seed: int, *, even: bool) -> np.ndarray:
    """Times in the queue of one run, in seconds."""
    drawn: list[float] = []
    service = always(SERVICE_S) if even else exponential(SERVICE_S, seed)

    def draw() -> float:
        drawn.append(service())
        return drawn[-1]

    run = OpenRun(poisson(load / SERVICE_S, seed), Server(draw), users=1_000)
    latencies_s = run.run(ARRIVALS * SERVICE_S / load)
    return (np.array(latencies_s) - np.array(drawn[: len(latencies_s)]))[WARM_UP:]


def real(load: float, seconds: float) -> tuple[np.ndarray, float, float]:
    """Times in the queue on the real clock, the load and the mean service that came of it; services of 10 ms."""
    begun_s, lock, counts = time.perf_counter() + 0.1, Semaphore(), ArrivalCounts()
    waited: list[float] = []
    served: list[float] = []

    def now_s() -> float:
        return time.perf_counter() - begun_s

    def serve(user: int, arrival: Arrival) -> None:
        with lock:
            entered_s = now_s()
            waited.append(entered_s - arrival.due_s)
            gevent.sleep(SERVICE_S)
            served.append(now_s() - entered_s)
        offer(user)

    def offer(user: int) -> None:
        dispatcher.offer(user, lambda arrival: gevent.spawn(serve, user, arrival))

    alarm = make_alarm(lambda: dispatcher.run())
    dispatcher: Dispatcher[int] = Dispatcher(
        Timetable([Part(0.0, poisson(load / SERVICE_S, 1))]),
        counts,
        wait_s=1e9,
        clock=now_s,
        alarm=lambda at_s: alarm.set(at_s + begun_s),
    )
    for user in range(500):
        offer(user)
    gevent.sleep(seconds)
    dispatcher.stop()
    alarm.close()
    mean_s = float(np.mean(served))
    return np.array(waited), mean_s * load / SERVICE_S, mean_s


# ---- the picture -----------------------------------------------------------------------------------------------------


class Panel:
    """A chart with axes, in a picture that is 420 wide for each of them."""

    WIDTH, HEIGHT, LEFT, TOP = 340, 220, 60, 40

    def __init__(self, at: int, title: str, x: tuple[float, float], y: tuple[float, float], below: str, beside: str):
        self.parts: list[str] = []
        self._x, self._y = x, y
        self._left = self.LEFT + at * 440
        self._text(self._left, self.TOP - 16, title, "bold")
        self._text(self._left + self.WIDTH / 2, self.TOP + self.HEIGHT + 34, below, anchor="middle")
        self._text(self._left, self.TOP - 2, beside)
        self.parts.append(
            f'<rect x="{self._left}" y="{self.TOP}" width="{self.WIDTH}" height="{self.HEIGHT}" fill="none" '
            'stroke="#8b95a5"/>'
        )

    def ticks(self, xs: Sequence[tuple[float, str]], ys: Sequence[tuple[float, str]]) -> None:
        for value, label in xs:
            px, _ = self._at(value, self._y[0])
            self._text(px, self.TOP + self.HEIGHT + 16, label, anchor="middle")
        for value, label in ys:
            _, py = self._at(self._x[0], value)
            self._text(self._left - 6, py + 4, label, anchor="end")
            self.parts.append(
                f'<line x1="{self._left}" x2="{self._left + self.WIDTH}" y1="{py:.1f}" y2="{py:.1f}" stroke="#8b95a5" '
                'stroke-opacity="0.25"/>'
            )

    def line(self, points: Points, colour: str, label: str, row: int, dashes: str = "") -> None:
        placed = " ".join(f"{px:.1f},{py:.1f}" for px, py in (self._at(*point) for point in points))
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(f'<polyline points="{placed}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>')
        self._legend(colour, label, row)

    def dots(self, points: Points, colour: str, label: str = "", row: int = 0) -> None:
        self.parts += [
            f'<circle cx="{px:.1f}" cy="{py:.1f}" r="4" fill="{colour}"/>' for px, py in (self._at(*p) for p in points)
        ]
        if label:
            self._legend(colour, label, row)

    def _legend(self, colour: str, label: str, row: int) -> None:
        y = self.TOP + 18 + 16 * row
        self.parts.append(f'<rect x="{self._left + 10}" y="{y - 8}" width="10" height="8" fill="{colour}"/>')
        self._text(self._left + 26, y, label)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        (x0, x1), (y0, y1) = self._x, self._y
        px = self._left + self.WIDTH * (x - x0) / (x1 - x0)
        return px, self.TOP + self.HEIGHT * (1 - (min(max(y, y0), y1) - y0) / (y1 - y0))

    def _text(self, x: float, y: float, text: str, weight: str = "normal", anchor: str = "start") -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-weight="{weight}" text-anchor="{anchor}" fill="#5a6474">{text}</text>'
        )


def draw(closed: list[float], opened: list[float], queues: dict[tuple[bool, float], list[np.ndarray]]) -> str:
    stall = Panel(0, "A server that stalls 2 s once a minute, 100/s", (0, 4), (-3, 0.5), "percentile", "latency, log")
    shares = np.linspace(0, 4, 200)
    for latencies_s, colour, label, row in ((closed, "#c77700", "closed run", 0), (opened, "#0f8a7e", "open run", 1)):
        values = np.quantile(latencies_s, 1 - 10.0**-shares)
        stall.line([(float(x), float(np.log10(v))) for x, v in zip(shares, values, strict=True)], colour, label, row)
    theory = [
        (float(x), float(np.log10(virtual.stalled_s(1 - 10.0**-x, per_s=PER_S, service_s=STALL_SERVICE_S,
                                                    stall_s=STALL_S, every_s=EVERY_S))))
        for x in shares
    ]  # fmt: skip
    stall.line(theory, "#2f5fd0", "theory", 2, "4 4")
    stall.ticks(
        [(0, "0"), (1, "p90"), (2, "p99"), (3, "p99.9"), (4, "p99.99")],
        [(-3, "1 ms"), (-2, "10 ms"), (-1, "100 ms"), (0, "1 s")],
    )
    queue = Panel(1, "Waiting times in a queue, services of 10 ms", (0.4, 0.95), (0, 3), "load", "wait, log")
    row = 0
    for even, colour in ((True, "#2f5fd0"), (False, "#a463f2")):
        name = "M/D/1" if even else "M/M/1"
        loads = np.linspace(0.42, 0.94, 27)
        for what, dashes in (("mean", "4 4"), ("p99", "")):
            lines, dots = [], []
            for load in loads:
                value_s = (virtual.mean_wait_s(load, SERVICE_S, even=even) if what == "mean"
                           else virtual.wait_s(load, SERVICE_S, 0.99, even=even))  # fmt: skip
                lines.append((float(load), float(np.log10(1e3 * value_s))))
            for load in LOADS:
                found = [
                    float(each.mean() if what == "mean" else np.quantile(each, 0.99)) for each in queues[even, load]
                ]
                dots.append((load, float(np.log10(1e3 * np.mean(found)))))
            queue.line(lines, colour, f"{name} {what}, theory", row, dashes)
            queue.dots(dots, colour)
            row += 1
    queue.dots([], "#5a6474", "dots: measured through the dispatcher", row)
    queue.ticks([(load, f"{load:g}") for load in LOADS], [(0, "1 ms"), (1, "10 ms"), (2, "100 ms"), (3, "1 s")])
    parts = [*stall.parts, *queue.parts]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 880 310" font-family="sans-serif" font-size="12">\n'
        '<rect width="880" height="310" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--real", type=float, default=0.0, metavar="SECONDS", help="also on the real clock, for so long"
    )
    options = parser.parse_args()
    closed, opened = stalled()
    theory_s = virtual.stalled_s(0.99, per_s=PER_S, service_s=STALL_SERVICE_S, stall_s=STALL_S, every_s=EVERY_S)
    print(
        f"| | p50 ms | p99 ms | max ms |\n|---|---|---|---|\n{_row('closed run', closed)}\n{_row('open run', opened)}"
    )
    print(f"| theory of the open run | {1e3 * STALL_SERVICE_S:.0f} | {1e3 * theory_s:,.0f} | "
          f"{1e3 * (STALL_S + STALL_SERVICE_S):,.0f} |\n")  # fmt: skip
    queues = {
        (even, load): [waits(load, seed, even=even) for seed in range(RUNS)] for even in (True, False) for load in LOADS
    }
    print("| queue | load | mean wait ms | theory | p99 wait ms | theory |\n|---|---|---|---|---|---|")
    for (even, load), runs in queues.items():
        mean_s, p99_s = (
            virtual.mean_wait_s(load, SERVICE_S, even=even),
            virtual.wait_s(load, SERVICE_S, 0.99, even=even),
        )
        print(f"| {'M/D/1' if even else 'M/M/1'} | {load:g} | {_of(runs, np.mean)} | {1e3 * mean_s:.2f} | "
              f"{_of(runs, lambda each: np.quantile(each, 0.99))} | {1e3 * p99_s:.1f} |")  # fmt: skip
    PICTURE.write_text(draw(closed, opened, queues))
    print(f"\n{PICTURE.relative_to(ROOT)} written")
    for load in LOADS if options.real else ():
        found, came, service_s = real(load, options.real)
        if came > 0.97:
            print(f"real clock, load {load}: services took {1e3 * service_s:.1f} ms here; use a quieter machine")
            continue
        mean_s = virtual.mean_wait_s(came, service_s, even=True)
        print(f"real clock, M/D/1: load {came:.3f}, {len(found):,} arrivals, mean wait {1e3 * found.mean():.2f} ms, "
              f"theory {1e3 * mean_s:.2f} ms")  # fmt: skip


def _row(name: str, latencies_s: list[float]) -> str:
    p50, p99 = np.quantile(latencies_s, [0.5, 0.99])
    return f"| {name} | {1e3 * p50:,.0f} | {1e3 * p99:,.0f} | {1e3 * max(latencies_s):,.0f} |"


def _of(runs: Sequence[np.ndarray], value: Callable[[np.ndarray], float]) -> str:
    """The mean over the runs and its standard error, in milliseconds."""
    found = 1e3 * np.array([value(each) for each in runs])
    return f"{found.mean():.2f} ± {found.std(ddof=1) / len(found) ** 0.5:.2f}"


if __name__ == "__main__":
    main()
