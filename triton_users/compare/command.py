"""`triton-users compare A B`: which of two servers is better, in a verdict that a machine's noise does not make."""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from tritonclient.utils import InferenceServerException

from triton_users.compare.alike import Refused
from triton_users.compare.answers import LIMIT_S, compare_answers
from triton_users.compare.outcome import EXIT_REFUSED, Outcome, compare_reports, compare_rounds
from triton_users.compare.render import render_html, render_junit, render_text
from triton_users.compare.rounds import Plan, play, run
from triton_users.compare.sides import Live, Saved, side
from triton_users.declaration import EXIT_INTERRUPTED, UsageError, read
from triton_users.inputs.options import ModelSettings
from triton_users.inputs.traffic import ModelTraffic
from triton_users.options import parsed, settings_from
from triton_users.run.models import settle
from triton_users.run.server_state import client_for
from triton_users.server import ProgressLine, ServerError
from triton_users.settings import ConnectionSettings

OWN = ("-H", "--host", "-u", "--users", "-r", "--spawn-rate", "-t", "--run-time", "--seed", "--report-dir", "--triton")
"""Options of a run that differ between rounds, or are compare's own."""

USAGE = """A and B are each an embedded release (2.48; with models of yours 2.48:FOLDER), a host (grpc://HOST:PORT) or
a report.json. Options after `--`
are those of each run, for instance `-- --scenarios SequenceValid`. Exit code 1: B is worse than A; 2: they cannot be
compared."""


def main(arguments: Sequence[str]) -> int:
    """Compare, print, write, and return the exit code."""
    own, others = _split(arguments)
    options = _parser().parse_args(own)
    try:
        outcome = _compare(options, others)
        _write(outcome, Path(options.out))
    except (Refused, UsageError, ServerError, InferenceServerException, OSError, ValueError) as error:
        sys.stderr.write(f"triton-users compare: error: {error}\n")
        return EXIT_REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("triton-users compare: interrupted\n")
        return EXIT_INTERRUPTED
    print(render_text(outcome), end="")
    return outcome.exit_code


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    listed = list(arguments)
    at = listed.index("--") if "--" in listed else len(listed)
    return listed[:at], listed[at + 1 :]


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="triton-users compare", description=(__doc__ or "").split(": ", 1)[1], epilog=USAGE)
    parser.add_argument("sides", nargs="+", metavar="SIDE", help="A and B; B alone with --baseline")
    parser.add_argument("--baseline", metavar="REPORT", help="the stored report.json that is A")
    parser.add_argument("--rounds", type=_whole(1, 50), default=12, help="pairs of rounds (default %(default)s)")
    parser.add_argument(
        "--round-time", type=_whole(1, 86_400), default=15, help="seconds of each (default %(default)s)"
    )
    parser.add_argument("--warm-up", type=_whole(0, 3_600), default=3, help="seconds before each (default %(default)s)")
    parser.add_argument("-u", "--users", type=_whole(1, 100_000), default=8, help="(default %(default)s)")
    parser.add_argument("--seed", type=_whole(1, 2**53 - 1), default=1, help="of all rounds (default %(default)s)")
    parser.add_argument("--margin", type=float, default=5.0, help="percent that matter (default %(default)s)")
    parser.add_argument("--out", default="compare", help="folder for compare.html, .json, .txt and junit.xml")
    return parser


def _whole(low: int, high: int):  # type: ignore[no-untyped-def]  # argparse's own form
    def convert(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise ValueError
        return value

    convert.__name__ = f"whole number from {low} to {high}"
    return convert


def _compare(options: Namespace, others: Sequence[str]) -> Outcome:
    named = [*([options.baseline] if options.baseline else []), *options.sides]
    if len(named) != 2:
        raise UsageError(f"there are {len(named)} sides ({', '.join(named)}); name two, or one with --baseline")
    if not 0 <= options.margin <= 1000:
        raise UsageError(f"the margin is {options.margin:g} percent; it must be from 0 to 1000 percent")
    if own := [word for word in others if word.partition("=")[0] in OWN]:
        raise UsageError(f"{own[0]} is no option of single rounds: compare gives each its own ({', '.join(OWN)})")
    a, b = map(side, named)
    plan = Plan(options.rounds, options.round_time, options.warm_up, options.users, options.seed, others)
    margin = options.margin / 100
    if isinstance(a, Live) and isinstance(b, Live):
        return _live(a, b, plan, margin)
    if isinstance(a, Saved) and isinstance(b, Saved):
        return compare_reports((a.name, b.name), a.report, b.report, margin)
    return _against_report(a, b, plan, margin)


def _live(a: Live, b: Live, plan: Plan, margin: float) -> Outcome:
    connection = read(ConnectionSettings, parsed(plan.options)[0])
    with tempfile.TemporaryDirectory(prefix="triton-users-compare-") as folder:
        try:
            for each in (a, b):
                with ProgressLine() as progress:
                    each.start(progress)
            played = play((a, b), plan, Path(folder), _tell)
            clients = [client_for(each.host, connection, LIMIT_S) for each in (a, b)]
            try:
                answers = compare_answers(clients[0], clients[1], plan.seed, _loaded(a.host, connection, plan))
            finally:
                for client in clients:
                    client.close()
        finally:
            for each in (a, b):
                each.stop()
    return compare_rounds((a.name, b.name), played.a, played.b, margin, answers, played.left_out)


def _loaded(host: str, connection: ConnectionSettings, plan: Plan) -> Sequence[ModelTraffic]:
    """The models that the rounds put under load, with their data."""
    options, _ = parsed(plan.options)
    return settle(host, connection, settings_from(options, plan.seed), read(ModelSettings, options), [])


def _against_report(a: Live | Saved, b: Live | Saved, plan: Plan, margin: float) -> Outcome:
    """One run as long as all rounds of its side, against the report."""
    whole_s = plan.rounds * plan.round_s
    reports = []
    with tempfile.TemporaryDirectory(prefix="triton-users-compare-") as folder:
        for each in (a, b):
            if isinstance(each, Saved):
                reports.append(each.report)
                continue
            try:
                with ProgressLine() as progress:
                    each.start(progress)
                _tell(f"one run of {whole_s} s on {each.name}")
                reports.append(run(each, plan, whole_s, Path(folder)))
            finally:
                each.stop()
    return compare_reports((a.name, b.name), reports[0], reports[1], margin)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _write(outcome: Outcome, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.json").write_text(json.dumps(outcome.dump(), indent=1) + "\n", "utf-8")
    (folder / "compare.html").write_text(render_html(outcome), "utf-8")
    (folder / "compare.txt").write_text(render_text(outcome), "utf-8")
    (folder / "junit.xml").write_text(render_junit(outcome), "utf-8")
