"""The pages do what they say: commands run and print what is shown, a locust.conf works, a link leads somewhere."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from uuid import uuid4

import pytest

from bench.procs import free_ports
from tests.docs.pages import (
    HOST,
    INSTEAD_OF_SCENARIOS,
    MASTER_PORT,
    METRICS,
    NEVER_CLIENT_LIMITED,
    NOT_RUN,
    OWN_PORT,
    PAGES,
    RUN_TIME,
    SUBSTITUTIONS,
    WEB_PORT,
    Command,
    ConfigFile,
    as_run,
    links,
    missing_lines,
    read,
    sections,
    stretched,
    substituted,
    why_not_run,
)
from tests.end_to_end.locust_process import ROOT, run_locust
from triton_users.compare.outcome import EXIT_REFUSED
from triton_users.server import EmbeddedTriton

LIMIT_S = 110.0
RUN_TIMES = ("5s", "40s")
"""On a machine with nothing else to do the first is enough; the second is for one in which a start takes as long."""
AT_ONCE = 3
"""Blocks that are typed side by side: most of what they do is to wait."""

BERT, DENSENET = ("input_ids", "TYPE_INT64", "3"), ("data_0", "TYPE_FP32", "3, 224, 224")

CONFIG = """
    backend: "python"
    max_batch_size: 0
    input {{ name: "{0}" data_type: {1} dims: [ {2} ] }}
    output {{ name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }}
"""
MODEL = """
    import numpy as np
    import triton_python_backend_utils as pb

    class TritonPythonModel:
        def execute(self, requests):
            return [pb.InferenceResponse([pb.Tensor("OUT", np.arange(4, dtype=np.float32))]) for _ in requests]
"""
MINE = """
    from triton_users.model_user import TritonModelUser

    class Bert(TritonModelUser):
        model = "bert"
        input_data = "bert.json"
"""


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """A Triton with the models that the pages name."""
    repository = tmp_path_factory.mktemp("repository")
    for name, tensor in (("bert", BERT), ("densenet", DENSENET)):
        program = repository / name / "1" / "model.py"
        program.parent.mkdir(parents=True)
        program.write_text(dedent(MODEL))
        (repository / name / "config.pbtxt").write_text(dedent(CONFIG.format(*tensor)))
    with EmbeddedTriton(repository, grace_s=0) as server:
        yield server


@pytest.fixture(scope="module")
def kept(documented: EmbeddedTriton, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report that was kept."""
    limits = [f"--{name[7:].lower().replace('_', '-')}={value}" for name, value in NEVER_CLIENT_LIMITED.items()]
    for run_time in RUN_TIMES:
        folder = tmp_path_factory.mktemp("kept")
        write_data(folder)
        ended = run_locust(folder, "-H", f"grpc://{documented.grpc_url}", "-t", run_time, "-u", "2", "-r", "2",
                           *INSTEAD_OF_SCENARIOS.split(), *limits)  # fmt: skip
        if "nothing ran" not in ended.output:
            break
    assert ended.exit_code == 0, ended.output
    (folder / "report.json").write_text(json.dumps(stretched(ended.report)))
    (folder / "report.txt").write_text(ended.output[ended.output.index("=====") :])
    return folder


def write_data(folder: Path) -> None:
    """Input data of the model bert, without what it must answer and with it."""
    step = {"input_ids": {"content": [101, 7592, 102], "shape": [3]}}
    (folder / "bert.json").write_text(json.dumps({"data": [step]}))
    (folder / "golden.json").write_text(json.dumps({"data": [step], "validation_data": [{"OUT": [0, 1, 2, 3]}]}))


class NothingRanError(Exception):
    """The run was over before a run of a scenario was; the message has what was printed."""


class Reader:
    """Somebody in an empty folder with the files that the pages name, who types."""

    def __init__(self, folder: Path, server: EmbeddedTriton, kept: Path) -> None:
        self._folder = folder
        self._server = server
        self._stands_for = {
            HOST: f"grpc://{server.grpc_url}",
            METRICS: server.metrics_url,
            MASTER_PORT: str(free_ports(1)[0]),
        }
        self._begun: list[subprocess.Popen[str]] = []
        write_data(folder)
        (folder / "mine.py").write_text(dedent(MINE))
        (folder / "trace.csv").write_text("".join(f"{0.1 * number:.1f}\n" for number in range(20)))
        (folder / "kept").symlink_to(kept)
        programs = folder / "programs"
        programs.mkdir()
        for name, module in (("triton-users", "triton_users"), ("locust", "locust")):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
            (programs / name).chmod(0o755)
        self._environment = {
            **os.environ,
            **NEVER_CLIENT_LIMITED,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
        }

    def types(self, block: Sequence[Command | ConfigFile]) -> None:
        """All of the block, with run times that are long enough on this machine."""
        for run_time in RUN_TIMES:
            try:
                self._type(block, run_time)
                return
            except NothingRanError:
                if run_time == RUN_TIMES[-1]:
                    raise

    def _type(self, block: Sequence[Command | ConfigFile], run_time: str) -> None:
        """One after the other, each to its end; a master waits for what is typed next."""
        masters = []
        for each in block:
            if why_not_run(each.text):
                continue
            command = self._run_with(each) if isinstance(each, ConfigFile) else each
            begun = self._begin(command, run_time)
            if "--master " in command.text:
                masters.append((command, *begun))
            else:
                self._see_to_its_end(command, *begun)
        for each in masters:
            self._see_to_its_end(*each)

    def _run_with(self, file: ConfigFile) -> Command:
        path = self._folder / f"{uuid4().hex}.conf"
        path.write_text(self._filled(substituted(file.text), RUN_TIMES[0]))
        return Command(f"triton-users --config {path} --headless -u 2 -r 2 -t 1m --models bert")

    def _begin(self, command: Command, run_time: str) -> tuple[subprocess.Popen[str], Path]:
        output = self._folder / f"{uuid4().hex}.txt"
        with output.open("w") as log:
            process = subprocess.Popen(
                ["bash", "-c", self._filled(as_run(command.text), run_time)], cwd=self._folder, env=self._environment,
                stdout=log, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
        self._begun.append(process)
        return process, output

    def _see_to_its_end(self, command: Command, process: subprocess.Popen[str], output: Path) -> None:
        exit_code = process.wait(LIMIT_S)
        printed = output.read_text()
        told = f"{process.args[-1]}\nended with {exit_code}, and printed:\n{printed}\n{self._server.how_it_ended()}"
        if exit_code == 1 and "- nothing ran: " in printed:
            raise NothingRanError(told)
        if exit_code == EXIT_REFUSED:  # one pair of rounds is too few, and two would be as well
            assert "--rounds 1 " in told, told
            assert re.search(r"\d measures need \d+ pairs of rounds; there are 1", printed), told
        else:
            assert exit_code == 0, told
        assert missing_lines(substituted(command.output), printed) == [], told

    def end(self) -> None:
        """Whatever a failed test left."""
        for process in self._begun:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _filled(self, text: str, run_time: str) -> str:
        web_port, own_port = map(str, free_ports(2))
        of_this = {WEB_PORT: web_port, OWN_PORT: own_port, RUN_TIME: run_time}
        for name, value in {**self._stands_for, **of_this}.items():
            text = text.replace(name, value)
        return text


@pytest.fixture
def reader(documented: EmbeddedTriton, kept: Path, tmp_path: Path) -> Iterator[Reader]:
    made = Reader(tmp_path, documented, kept)
    yield made
    made.end()


def not_shown_before(page: str) -> list[list[Command | ConfigFile]]:
    """What this page has and none before it, each once."""
    typed = {_typed(each) for earlier in PAGES[: PAGES.index(page)] for block in read(earlier) for each in block}
    blocks = []
    for block in read(page):
        new = {_typed(each): each for each in block if _typed(each) not in typed}
        typed |= set(new)
        blocks.append(list(new.values()))
    return blocks


def _typed(each: Command | ConfigFile) -> str:
    return as_run(each.text) + (each.output if isinstance(each, Command) else "")


@pytest.mark.triton
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
def test_each_command_of_the_page_runs_and_prints_what_is_shown(page: str, reader: Reader) -> None:
    blocks = not_shown_before(page)
    alone = [block for block in blocks if any(isinstance(each, Command) and each.output for each in block)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(reader.types, block) for block in blocks if block not in alone]:
            done.result()
    for block in alone:  # a report tells of others that use the server
        reader.types(block)


def test_each_page_has_a_command_and_each_exception_and_substitution_is_needed() -> None:
    shown = {page: read(page) for page in PAGES}
    assert all(shown.values())
    texts = [each.text for blocks in shown.values() for block in blocks for each in block]
    for pattern in NOT_RUN:
        assert any(re.match(pattern, text) for text in texts), pattern
    for pattern, _, _ in SUBSTITUTIONS:
        assert any(re.search(pattern.replace(HOST, r"(grpc|2\.48)"), text) for text in texts), pattern


@pytest.mark.triton
def test_the_report_in_the_readme_has_the_form_of_one(kept: Path) -> None:
    text = (ROOT / "README.md").read_text()
    (report,) = re.findall(r"^    ={10}.*?^    -", text, re.MULTILINE | re.DOTALL)
    *lines, header, _ = [line[4:] for line in report.splitlines() if line[4:5] not in ("", " ")]
    labels = [f"{re.split('  +', line)[0]} ..." for line in lines]
    assert len(labels) == 5
    assert missing_lines("\n".join([*labels, header]), (kept / "report.txt").read_text()) == []


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda path: path.name
)
def test_each_link_leads_to_a_file_and_a_section(page: Path) -> None:
    for link in links(page):
        path, _, section = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not section or section in sections(target), link


def test_each_page_is_found_from_the_readme() -> None:
    found, new = set(), {ROOT / "README.md"}
    while new:
        page = new.pop()
        found.add(page)
        paths = {(page.parent / link.partition("#")[0]).resolve() for link in links(page)}
        new |= {path for path in paths if path.suffix == ".md"} - found
    assert set((ROOT / "docs").glob("*.md")) <= found


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        ("Seed 7, 1,024 requests", []),
        ("Seed 7", []),
        ("Seed ... and more", []),
        ("Seeds 7", ["Seeds 7"]),
        ("a  b\n-  -\n1  2", []),
        ("a  c\n--  --\n1  2", ["a  c"]),
    ],
)
def test_output_of_a_page_has_the_form_of_what_is_printed(shown: str, missing: list[str]) -> None:
    printed = "Seed 319398619, 17 requests\na   b\n--  --\n3   4\n"
    assert missing_lines(shown.replace("-  -", "--  --"), printed) == missing
