"""How late arrivals of an open loop are issued, and what they cost: a server in C that does no work, one worker.

At each rate three runs beside each other: open (`--rate`), closed at the same rate (users with a wait time), and closed
as fast as it goes. Ten minutes of one rate: `--rates 10000 --window 600 --rounds 1 --sides open`.

The schedule's drift is by how much the requests that the server counted in the window are ahead of the rate, by this
process's clock. A closed loop's wait times end on the event loop's full milliseconds, several together; arrivals are on
time, so a worker that has time to sleep between them wakes up for each: the wake-ups are shown beside the CPU time.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import compare, table
from bench.clients import ROOT, STOP_LIMIT_S
from bench.messages import Identity
from bench.null_server import null_server
from bench.procs import tail
from bench.sampling import Said, Sample, Server, measure, median_of, paired, ratio_of

CASE = Identity("identity", 16)
OPEN, PACED, FASTEST = "open", "paced", "fastest"


@dataclass
class Run:
    """One Locust worker under the plugin."""

    name: str
    users: int
    connections: int
    rate: float = 0.0
    """Of an open loop; 0: a closed one."""
    paced: float = 0.0
    """Requests a second of a closed loop, by its wait time; 0: as fast as it goes."""
    kind: str = "constant"
    endless: bool = True
    reports: list[dict[str, Any]] = field(default_factory=list)

    def command(self, address: str, seconds: float, folder: Path) -> Sequence[str]:
        return [
            *[sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "users" / "arrivals.py"), "--headless"],
            *["-u", str(self.users), "-r", str(self.users), "-H", f"grpc://{address}", "--only-summary"],
            *["--stop-timeout", str(STOP_LIMIT_S), "--report-dir", str(folder / "reports")],
            *(["--rate", f"{self.rate:g}", "--arrivals", self.kind] if self.rate else []),
        ]

    def env(self) -> Mapping[str, str]:
        case = {**dataclasses.asdict(CASE), "users": self.users, "connections": self.connections, "paced": self.paced}
        return {"BENCH_CASE": json.dumps(case), "PYTHONPATH": str(ROOT)}

    def said(self, exit_code: int, log: Path, folder: Path) -> Said:
        found = list(folder.glob("reports/*/report.json"))
        if len(found) != 1:
            return Said(None, 1, complaint=f"no report, exit code {exit_code}: {tail(log, 5)}")
        report = json.loads(found[0].read_text())
        self.reports.append(report)
        totals = report["totals"]
        measured = totals["measures"].get("service_ms", totals["latency_ms"])
        complaint = "; ".join(report["verdict"]["reasons"])
        return Said(
            requests=None,  # the server also counts the questions of the preflight and of the watch
            errors=totals["rpcs_failed"] + (exit_code != 0),
            p50_us=1e3 * measured["p50"],
            p99_us=1e3 * measured["p99"],
            complaint=complaint,
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    compare.add_options(parser)
    rates = "200,2000,10000"
    parser.add_argument("--rates", type=_rates, default=_rates(rates), metavar="R,R", help=f"a second ({rates})")
    parser.add_argument("--arrivals", default="constant", metavar="KIND", help="as the option --arrivals has it")
    parser.add_argument(
        "--sides", type=_sides, default=_sides(f"{OPEN},{PACED},{FASTEST}"), metavar="A,B",
        help="what is measured beside each other (open,paced,fastest)",
    )  # fmt: skip
    parser.add_argument("--arrival-users", type=int, default=64, metavar="N", help="users (default %(default)s)")
    parser.add_argument(
        "--connections", type=int, default=1, metavar="N", help="that they share; 0: one each (default %(default)s)"
    )


def _rates(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def _sides(text: str) -> list[str]:
    sides = text.split(",")
    if unknown := set(sides) - {OPEN, PACED, FASTEST}:
        raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}; there are open, paced and fastest")
    return sides


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    with null_server(CASE, compare.pins(options).server) as server:
        return [_at(server, rate, options) for rate in options.rates]


def _at(server: Server, rate: float, options: argparse.Namespace) -> dict[str, Any]:
    users, connections, placed = options.arrival_users, options.connections, compare.pins(options)
    known = {
        OPEN: Run("open", users, connections, rate=rate, kind=options.arrivals),
        PACED: Run("closed, same rate", users, connections, paced=rate),
        FASTEST: Run("closed, fastest", users, connections),
    }
    runs = [known[name] for name in options.sides]

    def side(one: Run) -> Callable[[], Sample]:
        return lambda: measure(server, one, options.warm_up, options.window, placed)

    shared = f"{connections} shared" if connections else "a connection each"
    print(f"\nnull server, {rate:,.0f} arrivals a second ({options.arrivals}), {users} users, {shared}", flush=True)
    samples = paired(
        options.rounds,
        {one.name: side(one) for one in runs},
        lambda line: print(f"  {line}", file=sys.stderr, flush=True),
    )
    columns = ("requests_per_s", "client_cpu_us", "wake_ups", "p50_us", "p99_us")
    opened = samples.get("open")
    rows = [
        [name, *[median_of(of, what) for what in columns],
         None if opened is None or name == "open" else ratio_of(opened, of, "client_cpu_us"),
         sum(each.errors for each in of)]
        for name, of in samples.items()
    ]  # fmt: skip
    heads = ["median of rounds", "requests/s", "CPU us/request", "wake-ups/request", "service p50 us", "p99 us"]
    print(table.render([*heads, "CPU open/this", "errors"], rows))
    late: list[dict[str, table.Cell]] = []
    if opened is not None:
        late = [
            {**_lateness(report), "drift ms": 1e3 * (sample.requests / rate - sample.seconds), "in s": sample.seconds}
            for report, sample in zip(known[OPEN].reports, opened, strict=False)
        ]
        print("issue delay, from an arrival's time until its request's first byte goes to the socket, of each round:")
        print(table.render(list(late[0]), [list(each.values()) for each in late]) if late else "  no report")
    for name, of in samples.items():
        for complaint in {sample.complaint for sample in of if sample.complaint}:
            print(f"{name}: {complaint}")
    return {
        "rate": rate,
        "samples": {name: [dataclasses.asdict(each) for each in of] for name, of in samples.items()},
        "issue_delay": late,
    }


def _lateness(report: dict[str, Any]) -> dict[str, table.Cell]:
    arrivals, delay = report["arrivals"], report["totals"]["measures"]["issue_delay_ms"]
    last = [point for point in report["timeline"] if point["issued_per_s"]][1:-1] or report["timeline"]
    return {
        "intended": arrivals["intended"],
        "issued": arrivals["issued"],
        "missed": arrivals["missed"],
        "begun in 0.3 ms, %": 100 * (arrivals["within_300us"] or 0.0),
        "in 1 ms, %": 100 * (arrivals["within_1ms"] or 0.0),
        **{f"{q} ms": delay[q] for q in ("p50", "p95", "p99", "max")},
        "last full point: intended/s": last[-1]["intended_per_s"],
        "issued/s": last[-1]["issued_per_s"],
    }
