"""Runs a set of clients on one server, paired, and shows them side by side. Knows no model and no client."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import table
from bench.procs import Pins, cores, one_core_each
from bench.sampling import Client, Sample, Server, measure, median_of, paired, ratio_of

#: Metric -> its heading.
COLUMNS = {
    "requests_per_s": "requests/s",
    "client_cpu_us": "CPU us/request",
    "server_cpu_us": "server us/request",
    "p50_us": "p50 us",
    "p90_us": "p90 us",
    "p99_us": "p99 us",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options every comparison has."""
    parser.add_argument("--rounds", type=_at_least_one, default=5, help="paired rounds (default %(default)s)")
    parser.add_argument("--window", type=float, default=3.0, metavar="S", help="measured seconds of each run")
    parser.add_argument("--warm-up", type=float, default=1.0, metavar="S", help="seconds before the window")
    parser.add_argument("--clients", metavar="A,B", help="only these clients (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results to this file")


def add_pins(parser: argparse.ArgumentParser) -> None:
    """Where server and client run, which every measurement is asked."""
    parser.add_argument("--pin", action="store_true", help="server on the first core, client on the second")
    for side in ("server", "client"):
        parser.add_argument(f"--{side}-cores", type=cores, metavar="N-N,N", help=f"the {side} on these (any)")


def add_users(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument("--users", type=_numbers, default=_numbers(default), metavar="N,N", help=f"({default})")


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _numbers(text: str) -> list[int]:
    return [_at_least_one(part) for part in text.split(",")]


def pins(options: argparse.Namespace) -> Pins:
    """Those that the options ask for."""
    return one_core_each() if options.pin else Pins(options.server_cores, options.client_cores)


def compare(title: str, server: Server, clients: Sequence[Client], options: argparse.Namespace) -> dict[str, Any]:
    """Measure the clients in turn, print the table, and return everything for the JSON file.

    The first client is ours, and so is every other whose name begins with its; the ratios are ours/peer.
    """
    wanted = options.clients.split(",") if options.clients else [client.name for client in clients]
    chosen = [client for client in clients if client.name in wanted]
    placed = pins(options)
    print(f"\n{title}", flush=True)

    def side(client: Client) -> Callable[[], Sample]:
        return lambda: measure(server, client, options.warm_up, options.window, placed)

    samples = paired(
        options.rounds,
        {client.name: side(client) for client in chosen},
        lambda line: print(f"  {line}", file=sys.stderr, flush=True),
    )
    print(render(samples), flush=True)
    return {
        "title": title,
        "samples": {name: [dataclasses.asdict(sample) for sample in rows] for name, rows in samples.items()},
        "ratios": {f"{ours} / {peer}": by_field for (ours, peer), by_field in ratios(samples).items()},
    }


def ratios(samples: dict[str, list[Sample]]) -> dict[tuple[str, str], dict[str, float | None]]:
    """(ours, peer) -> metric -> ours/peer."""
    first = next(iter(samples))
    ours = [name for name in samples if name.startswith(first)]
    return {
        (mine, peer): {field: ratio_of(samples[mine], samples[peer], field) for field in COLUMNS}
        for mine in ours
        for peer in samples
        if peer not in ours
    }


def render(samples: dict[str, list[Sample]]) -> str:
    """Medians of each client, then ours/peer; a ratio with an error on either side is not shown."""
    rows: list[list[table.Cell]] = [
        [
            name,
            *[median_of(rounds, field) for field in COLUMNS],
            sum(sample.errors for sample in rounds),
            _spread(rounds),
        ]
        for name, rounds in samples.items()
    ]
    for (ours, peer), by_field in ratios(samples).items():
        refused = any(sample.errors for name in (ours, peer) for sample in samples[name])
        cells: list[table.Cell] = ["errors" if refused else value for value in by_field.values()]
        rows.append([f"{ours} / {peer}", *cells, None, None])
    lines = [table.render(["median of rounds", *COLUMNS.values(), "errors", "requests/s range"], rows)]
    for name, rounds in samples.items():
        lines += [f"{name}: {sample.complaint}" for sample in rounds if sample.complaint]
    return "\n".join(lines)


def _spread(rounds: Sequence[Sample]) -> str:
    rates = [sample.requests_per_s for sample in rounds]
    return f"{min(rates):,.0f}-{max(rates):,.0f}"


def finish(kind: str, options: argparse.Namespace, results: Sequence[dict[str, Any]]) -> None:
    """Print what the numbers depend on, and write the JSON file if one was asked for."""
    print(f"\n{table.about_machine(table.machine(), pins(options).describe())}")
    if options.json:
        settings = {key: value for key, value in vars(options).items() if isinstance(value, str | int | float | list)}
        table.write_json(options.json, kind, settings, list(results))
