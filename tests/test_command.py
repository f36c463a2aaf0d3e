"""The command `triton-users`: Locust's own command line, with the stress test in it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from triton_users.locust_compat.locustfile_option import names_a_locustfile

LIMIT_S = 60.0

OWN = """
from locust import User

class Mine(User):
    pass
"""

WIRED = """
from triton_users.locustfile import *
from triton_users.options import add_options
from triton_users.plugin import install
events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))
"""


def users(folder: Path, *arguments: str, program: str = "triton_users", **environment: str) -> list[str]:
    """The user classes that the command would run."""
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments, "--list"],
        cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[2:]


STRESS = ["TritonLoadUser", "TritonStressUser"]


def test_in_an_empty_folder_it_has_the_stress_users(tmp_path: Path) -> None:
    assert users(tmp_path) == STRESS


def test_a_locustfile_that_merely_lies_there_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "locustfile.py").write_text(OWN)
    assert users(tmp_path) == STRESS


@pytest.mark.parametrize("how", ["option", "environment", "locust.conf", "--config"])
def test_a_locustfile_that_is_named_takes_the_stress_test_s_place(tmp_path: Path, how: str) -> None:
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / ("locust.conf" if how == "locust.conf" else "other.conf")).write_text("locustfile = own.py\n")
    arguments = {"option": ["-f", "own.py"], "--config": ["--config", "other.conf"]}.get(how, [])
    environment = {"LOCUST_LOCUSTFILE": "own.py"} if how == "environment" else {}
    assert users(tmp_path, *arguments, **environment) == ["Mine"]


def test_options_of_this_project_hold_for_a_locustfile_that_does_not_know_them(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    assert users(tmp_path, "-f", "own.py", "--seed", "7", "--thresholds", "p99_ms<50") == ["Mine"]


@pytest.mark.parametrize("program", ["triton_users", "locust"])
def test_a_locustfile_may_wire_itself_and_be_one_of_several(tmp_path: Path, program: str) -> None:
    (tmp_path / "wired.py").write_text("from locust import events" + WIRED + OWN)
    (tmp_path / "other.py").write_text("from triton_users.locustfile import *")
    assert users(tmp_path, "-f", "wired.py,other.py", "--seed", "7", program=program) == [*STRESS, "Mine"]


def test_its_help_has_the_options_of_this_project(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "triton_users", "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0
    assert "--report-dir" in done.stdout


def test_a_mistake_ends_with_exit_code_2_and_names_the_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "triton_users", "--seeed", "7"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 2
    assert "triton-users: error: unrecognized arguments: --seeed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", ["-f own.py", "-fown.py", "--locustfile=own.py", "Mine -f own.py --headless"])
def test_each_spelling_of_the_option_counts(arguments: str) -> None:
    assert names_a_locustfile(arguments.split())
    assert not names_a_locustfile(["Mine", "--headless", "--master", "-u", "5"])
