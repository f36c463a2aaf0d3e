"""PerfAnalyzer: runs the real perf_analyzer on one of the models for a few windows, and ends it on every way out."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from triton_users.scenarios.base import Scenario, ScenarioFailure, Session, Skip, Target
from triton_users.scenarios.calls import START_ERROR
from triton_users.scenarios.correlation_ids import perf_analyzer_ids
from triton_users.scenarios.perf_options import (
    PerfOption,
    arguments,
    decisive,
    image_options,
    input_data,
    next_concurrency,
    options,
    request_count,
    server_queue_us,
)
from triton_users.scenarios.sequence_models import draw_values
from triton_users.settings import Settings
from triton_users.system.parent_death import die_with_parent
from triton_users.system.priority import yield_to_parent

TAIL_BYTES = 64 * 1024
"""The end of its output that is read."""

TAIL_SHOWN = 1500
"""Characters of it that a failure shows."""

MISMATCH = "Output doesn't match expected output"
"""What it says of an answer that is not what our data say: no load excuses that."""

REAP_LIMIT_S = 5.0
"""How long it may take to be gone once killed."""


@dataclass(frozen=True)
class PerfAnalyzerPlan:
    """One run of perf_analyzer."""

    option: str
    values: tuple[int, ...]
    """What an option with data sends; not used by the others."""


class PerfAnalyzer(Scenario):
    """It must exit with 0 and say how many requests it made.

    It waits for each answer before the next request of a sequence. A server that is so busy that one takes longer than
    its idle limit forgets that sequence, as it must: such a run is skipped. Sequences that are forgotten earlier are
    found here, and by the scenarios that send all requests of a sequence at once at any time.

    Each option keeps a concurrency of its own, 1 at first, which follows the server's queue time.
    """

    name = "PerfAnalyzer"
    description = "the real perf_analyzer on one of the models for a few windows"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.options = {option.name: option for option in self.options_of(session.target, session.settings)}
        self.concurrency = dict.fromkeys(self.options, 1)

    @classmethod
    def options_of(cls, target: Target, settings: Settings) -> tuple[PerfOption, ...]:
        return options(target, settings)

    @classmethod
    def unavailable(cls, target: Target, settings: Settings) -> str:
        if not target.perf_analyzer:
            why = target.perf_analyzer_remedy or (
                "there is no perf_analyzer on this machine; get one with `python -m triton_users.server install`"
            )
            return f"{why}, or give {cls.name} weight 0"
        if not cls.options_of(target, settings):
            return (
                f"none of the models that perf_analyzer would run is ready on the server; load one (the folder models/ "
                f"has some), or give {cls.name} weight 0"
            )
        return ""

    def plan(self, draw: random.Random) -> PerfAnalyzerPlan:
        settings = self.session.settings
        return PerfAnalyzerPlan(
            option=draw.choice(tuple(self.options)),
            values=draw_values(draw, settings.sequence_length_mean, settings.sequence_length_stdev),
        )

    def answers_checked(self, plan: PerfAnalyzerPlan, requests: int) -> int:
        """perf_analyzer compares answers where it is given what they must be: sequences with data."""
        option = self.options[plan.option]
        return requests if option.sequence is not None and option.with_data else 0

    def run(self, plan: PerfAnalyzerPlan) -> int:
        folder = Path(tempfile.mkdtemp(prefix="perf_analyzer-", dir=self.session.scratch))
        try:
            return self._run_in(folder, plan)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run_in(self, folder: Path, plan: PerfAnalyzerPlan) -> int:
        session, settings, option = self.session, self.session.settings, self.options[plan.option]
        csv_file, data_file, output_file = folder / "report.csv", folder / "data.json", folder / "output.txt"
        if option.with_data:
            data_file.write_text(input_data(option, plan.values))
        command = [
            *session.target.perf_analyzer,
            *arguments(
                option,
                address=session.target.address,
                concurrency=self.concurrency[option.name],
                ids=perf_analyzer_ids(session.correlation_ids),
                csv_file=str(csv_file),
                data_file=str(data_file),
            ),
            *(word for name, value in session.headers for word in ("-H", f"{name}:{value!s}")),
        ]
        session.sent_elsewhere(option.model, "perf_analyzer")
        started = session.clock()
        code = self._execute(command, output_file)
        elapsed_s = session.clock() - started
        output = self._without_secrets(_tail(output_file))
        if code and option.sequence and START_ERROR in output and elapsed_s > settings.idle_limit_s:
            raise Skip(
                f"perf_analyzer on {option.name} lost a sequence on a busy server: it waits for each "
                f"answer, and the server may forget a sequence after {settings.idle_limit_s:g} s"
            )
        requests = request_count(output)
        if code != 0 or requests is None:
            if code is None:
                what = f"was killed after {settings.perf_analyzer_timeout_s:g} s, its limit"
            elif code != 0:
                what = f"ended with {code}"
            else:
                what = "ended with 0 but did not say how many requests it made"
            raise ScenarioFailure(
                f"perf_analyzer on {option.name} {what}: {decisive(output)}...{output[-TAIL_SHOWN:].strip()}",
                requests=requests or 0,
                excusable=MISMATCH not in output,
                command=[self._without_secrets(word) for word in command],
                exit_code=code,
                output=output[-TAIL_SHOWN:],
            )
        if csv_file.exists():
            queue_us = server_queue_us(csv_file.read_text())
            self.concurrency[option.name] = next_concurrency(self.concurrency[option.name], queue_us)
        return requests

    def _without_secrets(self, text: str) -> str:
        for _, value in self.session.headers:
            text = text.replace(str(value), "***") if value else text
        return text

    def _execute(self, command: list[str], output_file: Path) -> int | None:
        """Its exit code; None when it was killed because its time was up."""
        session = self.session
        with output_file.open("wb") as output:
            try:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **dict(session.target.perf_analyzer_env)},
                    preexec_fn=_before_it_starts,
                )
            except OSError as error:
                raise ScenarioFailure(f"perf_analyzer cannot be started: {error}", command=command[:1]) from error
        try:
            return process.wait(session.settings.perf_analyzer_timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(REAP_LIMIT_S)


class ImageLoad(PerfAnalyzer):
    """Only the image model, for users that keep the device busy."""

    @classmethod
    def options_of(cls, target: Target, settings: Settings) -> tuple[PerfOption, ...]:
        return image_options(target, settings)


def _before_it_starts() -> None:
    """In the child, before it is perf_analyzer: a process group of its own can be killed whole."""
    die_with_parent()  # even where this process is killed, its load on the server ends
    yield_to_parent()  # its load must not make our own users late


def _tail(file: Path) -> str:
    with file.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - TAIL_BYTES))
        return stream.read().decode(errors="replace")
