"""`triton-users replay report.json`: plays a failure again, shrinks it, writes it as a script.

Without `--failure` it lists the failures that the report kept. The run's options are those of the command in the
report; any of them may be given anew. Exit code 1 when it failed again, 0 when it did not, 2 for a mistake.
"""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tritonclient.utils import InferenceServerException

from triton_users import server
from triton_users.declaration import EXIT_INTERRUPTED, EXIT_USAGE, read
from triton_users.inputs.options import ModelSettings
from triton_users.judge.client_limited import hms
from triton_users.options import own_options, parsed, settings_from
from triton_users.replay import script
from triton_users.replay.at import ANSWER_LIMIT_S, Server
from triton_users.replay.case import Case, case_of, failures_of, kind_of
from triton_users.replay.plans import IDENTITY, Identity, identity_check_of
from triton_users.replay.player import Seen, Stage
from triton_users.replay.script_models import Loaded
from triton_users.replay.search import PATIENCE, Search, ladder
from triton_users.replay.shrink import minimise
from triton_users.run.models import settle
from triton_users.run.preflight import look_at
from triton_users.run.server_state import client_for
from triton_users.scenarios import catalogue
from triton_users.scenarios.model_load import pool_key
from triton_users.settings import ConnectionSettings, UsageError
from triton_users.system import scratch

EXIT_SEEN = 1
MAX_PLAYS = 100_000
ALONE_SHARE = 0.5
"""The part of the time in which a failure is tried alone, where others went on beside it."""
MORE_RUNS = 2
"""How often a script that showed it is run once more, to see how long that takes."""
SCRIPT_LIMIT_S = 45.0
"""How long a script may run, at least, to show it at first."""
SCRIPTS = 4
"""Cases that are tried as a script: the smallest, and larger ones that failed before it."""
ONE_CHECK_LIMIT_S = 20.0
"""How long one of Timeout's many identity checks is tried alone, in seconds, in place of all of them."""


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    try:
        return _replay(arguments)
    except (UsageError, ValueError, OSError, server.ServerError, InferenceServerException) as error:
        sys.stderr.write(f"triton-users: error: {error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return EXIT_INTERRUPTED


def _replay(arguments: Sequence[str]) -> int:
    own, others = _parser().parse_known_args(arguments)
    if not 0 < own.time_limit <= 86_400:
        raise UsageError(f"the time limit is {own.time_limit:g} s; it must be over 0 and up to 86400 s")
    report = _report(own.report)
    failures = failures_of(report)
    if not failures:
        raise UsageError(f"{own.report} has no failure")
    if own.failure is None:
        for number, failure in enumerate(failures, start=1):
            print(f"{number:>3}  {_told(failure)}")
        return 0
    if not 1 <= own.failure <= len(failures):
        raise UsageError(f"there is no failure {own.failure} in {own.report}; it has 1 to {len(failures)}")
    failure = failures[own.failure - 1]
    print(f"Failure {own.failure} of {len(failures)}: {_told(failure)}", flush=True)
    case = case_of(failure)
    options = _options(report, others, own.host, embedded=own.model_repository is not None)
    folder = scratch.make()
    try:
        with Server(options, own.model_repository, str(report["server"].get("version", ""))) as at:
            return _Replay(at, options, report, failure, Path(folder), own).run(case)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Replay:
    """One failure's way through it all."""

    def __init__(
        self,
        at: Server,
        options: Namespace,
        report: Mapping[str, Any],
        failure: Mapping[str, Any],
        folder: Path,
        own: Namespace,
    ) -> None:
        self._at, self._report, self._failure, self._own = at, report, failure, own
        connection, settings = read(ConnectionSettings, options), settings_from(options, drawn_seed=1)
        every = replace(settings, scenarios=(), weights={})
        found = look_at(at.host(), connection, every, [], scenarios=True)
        models = settle(at.host(), connection, settings, read(ModelSettings, options), [])
        self._loaded = {each.name: Loaded(each.spec, each.tolerances, each.pool(settings.seed)) for each in models}
        self._stage = Stage(
            at.host,
            connection,
            settings,
            found.target,
            {**catalogue(models), IDENTITY: Identity},
            folder,
            {pool_key(name): each.pool for name, each in self._loaded.items()},
        )

    def run(self, case: Case) -> int:
        end = time.monotonic() + self._own.time_limit
        alone = replace(case, partners=())
        limit_s = self._own.time_limit * (ALONE_SHARE if case.partners else 1)
        print(f"Playing it on {self._at.host()}: {alone}", flush=True)
        seen, found = self._stage.until_it_fails(alone, plays=MAX_PLAYS, limit_s=limit_s), alone
        if seen is None and case.partners:
            print(f"Not seen alone in {limit_s:.0f} s. Playing {case}", flush=True)
            left_s = end - time.monotonic()
            seen, found = self._stage.until_it_fails(case, plays=MAX_PLAYS, limit_s=left_s), case
        if seen is None:
            print(f"It did not fail again within {self._own.time_limit:g} s.")
            return 0
        print(f"It failed again at play {seen.plays}, after {seen.elapsed_s:.1f} s: {seen.reason}", flush=True)
        if seen.kind != kind_of(self._failure["reason"]):
            print("That is another failure than the report's.")
        cases = [self._one_check(found, seen) or found]
        if self._own.minimise:
            cases, seen = self._minimised(found, seen)
        if self._own.script is not None:
            self._scripted(cases, seen)
        return EXIT_SEEN

    def _minimised(self, case: Case, seen: Seen) -> tuple[list[Case], Seen]:
        """The smallest case that fails, then larger ones up to the first."""
        search = Search(self._stage, case, seen, self._own.time_limit)
        one = self._one_check(case, seen)
        if one is not None and search.fails(one, least_plays=MAX_PLAYS, least_s=ONE_CHECK_LIMIT_S):
            case = one
        smallest = minimise(case, search.fails)
        print(
            f"Smallest that fails: {smallest} ({search.tried} cases tried in {search.elapsed_s:.0f} s"
            f"{', when the time was over' if search.over else ''}).",
            flush=True,
        )
        return ladder(search.failed, SCRIPTS), search.seen

    def _one_check(self, case: Case, seen: Seen) -> Case | None:
        """The identity check that failed in a run of Timeout, in its place; None where it was another failure."""
        check = seen.evidence.get("check")
        if case.main.scenario != "Timeout" or check is None:
            return None
        target, settings = self._stage.target, self._stage.settings
        return replace(case, main=identity_check_of(case.main.plan, check, target, settings))

    def _scripted(self, cases: Sequence[Case], seen: Seen) -> None:
        """Write the first of these cases as a script that shows the defect when it is run; they get larger."""
        generous = script.Patience(MAX_PLAYS, round(max(SCRIPT_LIMIT_S, PATIENCE * seen.elapsed_s)))
        for case in cases:
            files = self._write(case, seen, generous)
            runs = [self._tried(generous)]
            if not runs[0].seen:
                print(f"Written as a script, {case} did not show it: {runs[0].said[-300:]}", flush=True)
                continue
            runs += [self._tried(generous) for _ in range(MORE_RUNS)]
            self._write(case, seen, script.Patience.after(runs))
            missed = sum(not each.seen for each in runs)
            rare = f", and not in {missed} of {len(runs)} runs" if missed else ""
            print(f"Written: {', '.join(map(str, files))}, which says after {runs[0].elapsed_s:.1f} s{rare}:")
            print(f"  {runs[0].said}")
            return
        for file in files:
            file.unlink()
        raise UsageError(
            f"no script shows it within {generous.limit_s} s: tritonclient on grpcio hands requests over in another "
            "way than our users do. Replay shows it"
        )

    def _tried(self, patience: script.Patience) -> script.Tried:
        address = self._at.host().split("://", 1)[-1]
        return script.tried(self._own.script, address, patience.limit_s + ANSWER_LIMIT_S + 60.0)

    def _write(self, case: Case, seen: Seen, patience: script.Patience) -> list[Path]:
        target = self._stage.target
        facts = script.Facts(
            reason=f"{case.main.scenario}: {seen.reason}",
            server=f"Triton {target.server_version.partition(' ')[2] or self._report['server'].get('version', '?')}",
            address=self._at.host().split("://", 1)[-1],
            command=str(self._report.get("reproduce", "")),
            configuration=self._configuration,
            models=target.models,
            image=target.image_tensors,
        )
        gallery = self._stage.shared.get("gallery")
        return script.write(self._own.script, case, patience, facts, self._stage.settings, gallery, self._loaded)

    def _configuration(self, model: str) -> Mapping[str, Any]:
        client = client_for(self._at.host(), self._stage.connection, ANSWER_LIMIT_S)
        try:
            answered: Mapping[str, Any] = client.get_model_config(model, as_json=True, client_timeout=ANSWER_LIMIT_S)
            return dict(answered.get("config", {}))
        except InferenceServerException:
            return {}  # KServe's protocol has none
        finally:
            client.close()


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="triton-users replay", description=(__doc__ or "").split(": ", 1)[1])
    parser.add_argument("report", type=Path, help="A run's report.json.")
    parser.add_argument("--failure", type=int, metavar="N", help="Number of the failure; without it they are listed.")
    parser.add_argument("-H", "--host", help="The server (default: that of the report's command, else the embedded).")
    parser.add_argument("--model-repository", type=Path, help="Folder of models for the embedded server.")
    parser.add_argument(
        "--time-limit", type=float, default=120.0, metavar="S",
        help="Seconds until playing ends, and as many once more for --minimise (default: 120).",
    )  # fmt: skip
    parser.add_argument("--minimise", action="store_true", help="Make it as small as still fails.")
    parser.add_argument("--script", type=Path, metavar="FILE", help="Write it as a script of its own.")
    return parser


def _report(path: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(path.read_text())
    except ValueError as error:
        raise UsageError(f"{path} is no report.json: {error}") from None
    if not isinstance(report, dict):
        raise UsageError(f"{path} is no report.json")
    return report


def _told(failure: Mapping[str, Any]) -> str:
    return f"{failure['scenario'] or '(none)'}, {hms(failure['at_s'])} into the run: {failure['reason']}"


def _options(report: Mapping[str, Any], given: Sequence[str], host: str | None, *, embedded: bool) -> Namespace:
    """The run's options: those of the report's command, less what it does not show, then those given anew.

    `embedded`: not on the host of the report's command, unless `host` is given.
    """
    words = shlex.split(str(report.get("reproduce", "")))
    secret = {option.flag for option in own_options() if option.secret}
    shown = [
        word
        for place, word in enumerate(words)
        if word not in secret and (place == 0 or words[place - 1] not in secret)
    ]
    options, _ = parsed(shown[1:])
    options.report_dir = "."
    options, unknown = parsed(given, options)
    if unknown:
        raise UsageError(f"there is no option {unknown[0]}; see triton-users replay --help, and docs/options.md")
    if host is not None or embedded:
        options.host = host or ""
    return options
