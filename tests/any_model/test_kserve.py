"""A server of KServe's protocol that is no Triton, without index, configuration and statistics, is judged as well."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.any_model.commands import locust_on
from tests.end_to_end.locust_process import Ended

SERVER = Path(__file__).with_name("kserve_server.py")

LOCUSTFILE = """
from triton_users.model_user import TritonModelUser


class Double(TritonModelUser):
    model = "double"
    input_data = "double.json"
"""

STEP = {"content": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], "shape": [2, 4]}
TWICE = {"content": [2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0], "shape": [2, 4]}
RIGHT = {"data": [{"IN": STEP}], "validation_data": [{"OUT": TWICE}]}


@contextmanager
def kserve(*arguments: str) -> Iterator[str]:
    command = [sys.executable, str(SERVER), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"grpc://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.stdin.close()
            process.wait(20)


def run(
    host: str,
    folder: Path,
    *arguments: str,
    users: str = LOCUSTFILE,
    data: Any = RIGHT,
    classes: tuple[str, ...] = ("Double",),
) -> Ended:
    (folder / "double.json").write_text(json.dumps(data))
    head = "from triton_users.locustfile import *\n"
    return locust_on(host, folder, users, *(classes or ["TritonStressUser"]), *arguments, head=head)


@pytest.mark.parametrize("contents", ["raw", "typed"])
def test_right_answers_pass_and_each_was_checked(tmp_path: Path, contents: str) -> None:
    with kserve(contents) as host:
        ended = run(host, tmp_path, "--thresholds", "double:p50_ms<5000")
    assert ended.exit_code == 0, ended.output
    scenario = ended.scenario("double")
    assert scenario["answers_checked"] == scenario["requests"] > 0
    (note,) = [note for note in ended.report["verdict"]["warnings"] if note.startswith("of the server: ")]
    assert "ServerMetadata: [StatusCode.UNIMPLEMENTED]" in note
    assert "RepositoryIndex: [StatusCode.UNIMPLEMENTED]" in note
    assert ended.report["server"]["models"] == ["double"]


def test_a_wrong_answer_fails_the_run_with_its_place(tmp_path: Path) -> None:
    with kserve("wrong") as host:
        ended = run(host, tmp_path)
    assert ended.exit_code == 1, ended.output
    assert "OUT[1, 3] is 17.0, not 16.0; 1 of 8 elements differ" in ended.report["verdict"]["reasons"][0]


def test_an_answer_without_its_output_fails_the_run_where_nothing_else_is_compared(tmp_path: Path) -> None:
    with kserve("empty") as host:
        ended = run(host, tmp_path, data={"data": [{"IN": STEP}]})
    assert ended.exit_code == 1, ended.output
    assert "a wrong answer: it lacks the output OUT" in ended.output


def test_its_models_may_be_named_by_option(tmp_path: Path) -> None:
    data = ("--models", "double", "--input-data", "double=double.json")
    with kserve() as host:
        checked = run(host, tmp_path, *data, "--processes", "2", "-t", "9s", classes=())
        (tmp_path / "random").mkdir()
        drawn = run(host, tmp_path / "random", "--models", "double", "--shape", "double:IN=3,4", classes=())
    assert checked.exit_code == drawn.exit_code == 0, checked.output + drawn.output
    assert checked.scenario("double")["answers_checked"] == checked.scenario("double")["requests"] > 0
    assert (drawn.scenario("double")["answers_checked"], drawn.scenario("double")["requests"] > 0) == (0, True)


def test_random_data_need_the_sizes_that_the_server_leaves_open(tmp_path: Path) -> None:
    users = LOCUSTFILE.replace('input_data = "double.json"', 'shapes = {"IN": (3, 4)}')
    with kserve() as host:
        assert run(host, tmp_path, users=users).exit_code == 0
        (tmp_path / "without").mkdir()
        unsaid = run(host, tmp_path / "without", users=users.replace("(3, 4)}", "(3, 4)} if 0 else {}"))
    assert unsaid.exit_code == 2
    assert "shapes = {'IN': (1, 4)}" in unsaid.output


def test_a_model_that_it_does_not_have_is_an_error_before_the_run(tmp_path: Path) -> None:
    with kserve() as host:
        ended = run(host, tmp_path, users=LOCUSTFILE.replace('"double"', '"bert"'))
    assert ended.exit_code == 2
    assert "the server does not describe the model 'bert': [StatusCode.NOT_FOUND] model bert" in ended.output


def test_a_model_that_stops_being_ready_fails_the_run(tmp_path: Path) -> None:
    with kserve("leaves", "20") as host:
        ended = run(host, tmp_path)
    assert ended.exit_code == 1
    reasons = " ".join(ended.report["verdict"]["reasons"])
    assert "the model double was ready at the start and is not at the end" in reasons


def test_its_models_are_described_when_they_are_named() -> None:
    command = [sys.executable, "-m", "triton_users", "models", "-H"]
    with kserve() as host:
        named = subprocess.run([*command, host, "double"], capture_output=True, text=True, timeout=60)
        unnamed = subprocess.run([*command, host], capture_output=True, text=True, timeout=60)
    assert named.returncode == 0, named.stderr
    assert "double\n  sent      requests\n  inputs    IN FP32 [-1,4]\n" in named.stdout
    assert unnamed.returncode == 2
    assert "has no index of its models; name them" in unnamed.stderr
