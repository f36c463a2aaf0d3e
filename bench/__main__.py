"""`python -m bench MEASUREMENT`: the command line of the measurements."""

from __future__ import annotations

import argparse
import sys

from bench import (
    arrivals,
    capacity,
    compare,
    comparisons,
    counts,
    deadline,
    exports,
    idle,
    image,
    inputs,
    ledger,
    models,
    null,
    pictures,
    planted,
    procs,
    replay,
    soak,
    streams,
    throughput,
    verdicts,
    witness,
)

#: Measurement -> its module, which has `add_arguments(parser)` and `run(options)`.
MEASUREMENTS = {
    "throughput": throughput,
    "null": null,
    "models": models,
    "inputs": inputs,
    "streams": streams,
    "pictures": pictures,
    "replay": replay,
    "deadline": deadline,
    "idle": idle,
    "arrivals": arrivals,
    "soak": soak,
    "exports": exports,
    "ledger": ledger,
    "counts": counts,
    "capacity": capacity,
    "planted": planted,
    "verdicts": verdicts,
    "comparisons": comparisons,
    "witness": witness,
    "image": image,
}


def parser() -> argparse.ArgumentParser:
    """Each measurement a command, and where it runs."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure this project beside its peers.")
    commands = parser.add_subparsers(dest="measurement", required=True)
    for name, module in MEASUREMENTS.items():
        described = (module.__doc__ or "").strip()
        command = commands.add_parser(name, help=described.splitlines()[0], description=described)
        module.add_arguments(command)
        compare.add_pins(command)
    return parser


def main() -> int:
    options = parser().parse_args()
    procs.exit_on_sigterm()
    try:
        compare.pins(options).hold()
        results = MEASUREMENTS[options.measurement].run(options)
    except procs.BenchError as exc:
        print(f"bench: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    compare.finish(options.measurement, options, results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
