"""`triton-users requests FILE…`: percentiles of any part of a request log, in one pass and little memory."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import zlib
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from triton_users.declaration import EXIT_USAGE
from triton_users.exports.request_log import Line
from triton_users.ledger import Histogram
from triton_users.report.text import milliseconds, number, table

MAX_GROUPS = 1_000
"""Different groups; more are an error, since that is no table that a person reads."""
SLICES = ("scenario", "model", "method", "outcome")
"""What a part is chosen and grouped by."""
_QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)


class LogError(ValueError):
    """A file that is no request log; the text says where and what was found."""


@dataclass
class Group:
    """Requests that are shown together."""

    outcomes: dict[str, int] = field(default_factory=dict)
    latency: Histogram = field(default_factory=Histogram)
    """Of those that were answered: from the intended start, where there is one."""
    service: Histogram = field(default_factory=Histogram)
    """The same from the real start."""
    first: Histogram = field(default_factory=Histogram)
    """From the real start to the first response, of streams."""

    def add(self, line: Mapping[str, Any]) -> None:
        self.outcomes[line["outcome"]] = self.outcomes.get(line["outcome"], 0) + 1
        if line["outcome"] == "failed":
            return
        sent, last = float(line["sent"]), float(line["last"])
        self.latency.record(round((last - float(line["intended"] or sent)) * 1e6))
        self.service.record(round((last - sent) * 1e6))
        if line["first"]:
            self.first.record(round((float(line["first"]) - sent) * 1e6))


def read(path: Path) -> Iterator[Mapping[str, Any]]:
    """The lines of a request log, one after the other. LogError for what is none; OSError.

    What a killed process left ends with its last whole line.
    """
    packed = path.name.endswith(".gz")
    with gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8") as file:
        lines = enumerate(_whole(file), start=1)
        at, head = 0, ""
        try:
            if ".jsonl" not in path.name:
                at, head = next(lines, (1, ""))
                if head.strip() != ",".join(Line._fields):
                    raise LogError(f"{path}: its first line is not {','.join(Line._fields)}")
            for at, text in lines:
                values = dict(zip(Line._fields, next(csv.reader([text])), strict=True)) if head else json.loads(text)
                if not isinstance(values, dict) or values.keys() != set(Line._fields):
                    raise LogError(f"{path}, line {at}: it has not the members {', '.join(Line._fields)}")
                yield values
        except (gzip.BadGzipFile, UnicodeDecodeError) as error:
            raise LogError(f"{path}, after line {at}: {error}") from None
        except (json.JSONDecodeError, csv.Error, ValueError) as error:
            if isinstance(error, LogError):
                raise
            raise LogError(f"{path}, line {at}: {error}") from None


def _whole(file: IO[str]) -> Iterator[str]:
    try:
        for line in file:
            if line.endswith("\n"):
                yield line
    except (EOFError, zlib.error):
        return  # a packed file that was never closed


def groups(lines: Iterable[Mapping[str, Any]], wanted: Mapping[str, str], by: Sequence[str]) -> dict[str, Group]:
    """Name -> what it counted. `wanted`: field -> the only value; `by`: the fields whose values name a group.

    LogError for more than MAX_GROUPS.
    """
    found: dict[str, Group] = {}
    for line in lines:
        if any(line[name] != value for name, value in wanted.items()):
            continue
        name = " ".join(str(line[each]) or "(none)" for each in by) or "all"
        if name not in found and len(found) >= MAX_GROUPS:
            raise LogError(f"there are more than {MAX_GROUPS} groups by {', '.join(by)}; choose fewer")
        found.setdefault(name, Group()).add(line)
    return found


def rendered(found: Mapping[str, Group]) -> str:
    """The groups as tables: latencies, and first responses where there are any."""
    answered = ("answered", "expected")
    heads = ["Requests", "Answered", "Failed", "p50 ms", "p90 ms", "p95 ms", "p99 ms", "p99.9 ms", "max ms", "Of"]
    kinds: list[tuple[str, Callable[[Group], Histogram]]] = [("latency", lambda each: each.latency)]
    if any(each.service != each.latency for each in found.values()):
        kinds.append(("service, from the real start", lambda each: each.service))
    if any(each.first.total for each in found.values()):
        kinds.append(("first response", lambda each: each.first))
    parts = []
    for kind, histogram in kinds:
        rows = []
        for name, group in sorted(found.items()):
            values = histogram(group)
            shown = [None if value is None else value / 1e3 for value in values.quantiles(_QUANTILES)]
            counts = [
                sum(group.outcomes.values()),
                sum(group.outcomes.get(each, 0) for each in answered),
                group.outcomes.get("failed", 0),
            ]
            highest = values.max_us / 1e3 if values.total else None
            rows.append([*map(number, counts), *map(milliseconds, [*shown, highest]), name])
        parts.append(f"{kind[:1].upper()}{kind[1:]}\n{table(heads, rows, set(range(9)))}")
    return "\n\n".join(parts)


def main(arguments: Sequence[str]) -> int:
    """Print the tables and return the exit code: 2 for a file that cannot be read."""
    parser = ArgumentParser(prog="triton-users requests", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("files", nargs="+", type=Path, help="What --request-log wrote, of one worker or several.")
    for name in SLICES:
        parser.add_argument(f"--{name}", help=f"Only requests of this {name}.")
    parser.add_argument(
        "--by", default="model", help=f"A row for each: {', '.join(SLICES)}, several with commas; or all."
    )
    options = parser.parse_args(arguments)
    by = [] if options.by == "all" else options.by.split(",")
    for each in by:
        if each not in SLICES:
            parser.error(f"--by {each!r} is none of {', '.join(SLICES)}, all")
    wanted = {name: value for name in SLICES if (value := getattr(options, name)) is not None}
    try:
        found = groups((line for path in options.files for line in read(path)), wanted, by)
    except (OSError, LogError) as error:
        sys.stderr.write(f"triton-users: error: {error}\n")
        return EXIT_USAGE
    print(rendered(found) if found else "No requests.")
    return 0
