"""The commands that the pages show, and what stands in their place where a test runs them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.end_to_end.locust_process import ROOT

PAGES = [
    "README.md", "docs/soak.md", "docs/release_gate.md", "docs/capacity.md", "docs/compare.md", "docs/own_model.md",
    "docs/own_users.md", "docs/cluster.md", "docs/open_loop.md", "docs/exports.md",
]  # fmt: skip

HOST, METRICS = "SERVER", "METRICS"
"""Stand for the addresses of the server that the commands are run on."""
WEB_PORT, OWN_PORT, MASTER_PORT = "WEB_PORT", "OWN_PORT", "MASTER_PORT"
"""Stand for free ports: of one command, and, the last, of all commands of a page."""
RUN_TIME = "RUN_TIME"
"""Stands for seconds."""

SUBSTITUTIONS: Sequence[tuple[str, str, str]] = (
    (r"grpc://[a-z]+\.example:8001", HOST, "all servers are one, a healthy Triton with the models that the pages name"),
    (r"http://triton\.example:8002/metrics", METRICS, "its metrics"),
    (r"compare 2\.48 2\.51", f"compare {HOST} {HOST}", "older releases have tests of their own (tests/server)"),
    (r"(-t|--run-time) \d+[mh]\b", rf"\1 {RUN_TIME}", "seconds for minutes and hours"),
    (r"-u \d+", "-u 2", "few users"),
    (r"-r \d+", "-r 2", "who all come at once"),
    (r"--rate \d+", "--rate 20", "a rate that any machine keeps"),
    (r"\b2\.51:models-v\d", HOST, "nor are they started with models of one's own"),
    (r" --rounds \d+ --round-time \d+", "", "see the next"),
    (rf"compare (?={HOST})", "compare --rounds 1 --round-time 5 --warm-up 0 -u 2 ", "one pair of short rounds"),
    (r"reports/2026-11-\d\dT[\d-]+Z", "kept", "a report that the tests have kept"),
    (r"baseline/report\.json", "kept/report.json", "the same"),
    (r"p99_ms<\d+", "p50_ms<5000", "a limit that any machine keeps, and that a few requests show to hold"),
    (r"--find-capacity", "--rate 20 --capacity-level-s 1 --capacity-warm-up-s 0 --capacity-time-limit-s 10 "
     "--find-capacity", "a search that ends soon"),
    (r"--prometheus-port \d+", f"--prometheus-port {WEB_PORT}", "a free port"),
    (r"--master-host master\.example", f"--master-host 127.0.0.1 --master-port {MASTER_PORT}", "this machine"),
    (r"--master --expect-workers 2",
     f"--master --expect-workers 1 --master-bind-host 127.0.0.1 --master-bind-port {MASTER_PORT}", "one worker"),
)  # fmt: skip
"""(What a page says, what is run, why), from the first to the last."""

NOT_RUN: Mapping[str, str] = {
    r"make (stress|test)": "what CI runs, and what tests/end_to_end/test_main_job.py does",
    r"pip install": "tests/end_to_end/test_wheel.py installs the wheel",
    r"docker ": "there is no Docker where the tests run",
    r"LOCUST_HOST=\S+ pytest test_release\.py": "tests/docs/test_ci.py runs it",
}

PROGRAMS = re.compile(r"(triton-users|locust|make|pip|python|docker|kubectl|LOCUST_\w+=\S+) ?(?!:)")
"""How a line of code that is a command begins."""

INSTEAD_OF_SCENARIOS = "--models bert --input-data bert=golden.json"
"""What is run where a page runs the nine scenarios: each run takes milliseconds, so that seconds are enough."""

NEVER_CLIENT_LIMITED: Mapping[str, str] = {
    f"LOCUST_{name}": "0"
    for name in ("MAX_EVENT_LOOP_LAG_MS", "MAX_CPU_PERCENT", "MAX_QUEUE_TIME_MS", "MAX_GC_PAUSE_MS")
}
"""A client on a machine that tests keep busy is slow, and nothing is compared with a run in which it was the limit."""


@dataclass(frozen=True)
class Command:
    """What a page tells its reader to type."""

    text: str
    output: str = ""
    """What the page says that it prints, with lines `...` for what is left out; "" where it shows nothing."""


@dataclass(frozen=True)
class ConfigFile:
    """A locust.conf that a page shows."""

    text: str


def read(page: str) -> list[list[Command | ConfigFile]]:
    """What is to be typed or written on this page, block by block."""
    found = [list(_of_block(*block)) for block in _blocks((ROOT / page).read_text())]
    return [block for block in found if block]


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """(Language, lines) of each block of code; the language of one that is only indented is ""."""
    fenced: tuple[str, list[str]] | None = None
    indented: list[str] = []
    for line in [*text.splitlines(), ""]:
        if fenced is not None:
            if line.startswith("```"):
                yield fenced
                fenced = None
            else:
                fenced[1].append(line)
        elif line.startswith("```"):
            fenced = (line[3:], [])
        elif line.startswith("    ") or (indented and not line):
            indented.append(line[4:])
        elif indented:
            yield "", indented
            indented = []
    if indented:
        yield "", indented


def _of_block(language: str, lines: list[str]) -> Iterator[Command | ConfigFile]:
    if language == "console":
        for part in re.split(r"^\$ ", "\n".join(lines), flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield Command(command, output)
    elif language not in ("", "sh"):
        return
    elif lines[0].startswith("host = "):
        yield ConfigFile("\n".join(lines))
    else:
        joined = re.sub(r"(&&|\\)\n\s*", r"\1 ", "\n".join(lines)).replace("\\ ", "")
        for line in joined.splitlines():
            if PROGRAMS.match(line):
                yield Command(line.split("  #")[0].rstrip())


def why_not_run(command: str) -> str:
    """ "" for what is run."""
    return next((reason for pattern, reason in NOT_RUN.items() if re.match(pattern, command)), "")


def as_run(command: str) -> str:
    """The command as a test runs it."""
    return " && ".join(_completed(part) for part in substituted(command).split(" && "))


def substituted(text: str) -> str:
    """What a page says, by the table."""
    for pattern, replacement, _ in SUBSTITUTIONS:
        text = re.sub(pattern, replacement, text)
    return text


def _completed(command: str) -> str:
    """A model in place of the nine scenarios, which take longer; a web UI ends by itself."""
    if re.match(rf"triton-users compare .*{HOST}", command) and "--models" not in command:
        return f"{command} -- --models bert"
    if not re.match(r"(triton-users|locust)( -|$)", command):
        return command
    if not re.search("--models|--worker|-f ", command):
        command += f" {INSTEAD_OF_SCENARIOS}"
    if not re.search("--headless|--worker", command):
        command += f" --web-port {WEB_PORT}"
        if "--autostart" not in command:
            command += f" --autostart --autoquit 0 -u 2 -t {RUN_TIME}"
    if "--processes" in command:  # two that begin at the same moment find the same one
        command += f" --master-bind-port {OWN_PORT} --master-port {OWN_PORT}"
    return command


def missing_lines(shown: str, printed: str) -> list[str]:
    """The lines of a page's output that are in no form in what was printed: numbers may differ.

    Of a line with `...` what stands before is looked for. Rows of a table, what follows a line of dashes up to an empty
    one, are not: their number and names depend on the run, their columns on the line above the dashes.
    """
    found = _form(printed)
    missing = []
    in_table = False
    for line in shown.splitlines():
        ruled = re.fullmatch(r"[- ]+", line) is not None and "--" in line
        in_table = (in_table or ruled) and bool(line.strip())
        if in_table or not line.strip():
            continue
        if _form(line.partition("...")[0]) not in found:
            missing.append(line)
    return missing


def _form(text: str) -> str:
    """The text with all numbers and all white space alike."""
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.:]*\d|\d", "0", text)).strip()


def stretched(report: Mapping[str, Any], faster: float = 1.0) -> dict[str, Any]:
    """The report of a run of seconds as that of one of 10 minutes, every answer of which took `faster` as long."""
    longer = deepcopy(dict(report))
    longer["duration_s"] = 600.0
    (point,) = [each for each in longer["timeline"] if any(part["p50_ms"] for part in each["scenarios"].values())][:1]
    for part in point["scenarios"].values():
        for quantile in ("p50_ms", "p99_ms"):
            part[quantile] = part[quantile] and part[quantile] * faster
    longer["timeline"] = [{**point, "start_s": 5.0 * n, "end_s": 5.0 * (n + 1)} for n in range(120)]
    return longer


def links(page: Path) -> list[str]:
    """What it links to in this repository, pictures included: paths, with #section where it names one."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset)="([^"]+)"', text)
    return [each for each in found if not re.match(r"https?://", each)]


def sections(page: Path) -> set[str]:
    """The names of its sections, as GitHub makes them out of headings."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}
