"""What docs/ci/ has for users to copy, a GitHub workflow and a test for pytest: their commands run here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import NEVER_CLIENT_LIMITED, stretched
from tests.end_to_end.locust_process import ROOT
from tests.end_to_end.test_wheel import copy_of_the_sources
from triton_users.server import EmbeddedTriton

FOLDER = ROOT / "docs" / "ci"
WORKFLOW = FOLDER / "github-actions.yml"
RECIPE = FOLDER / "test_release.py"
OWN_WORKFLOW = ROOT / ".github" / "workflows" / "test.yml"
DEFECT = ROOT / "tests" / "defective_models" / "leaks_between_ids" / "custom_sequence_int32"
LIMIT_S = 110.0


@pytest.mark.parametrize("with_services", [False, True])
def test_the_workflow_keeps_to_github_s_schema(tmp_path: Path, with_services: bool) -> None:
    workflow = tmp_path / "workflow.yml"
    workflow.write_text(taken_in(WORKFLOW.read_text()) if with_services else WORKFLOW.read_text())
    assert ("services" in yaml.safe_load(workflow.read_text())["jobs"]["gate"]) is with_services
    assert schema_errors(workflow) == ""


def test_the_schema_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "workflow.yml"
    wrong.write_text(WORKFLOW.read_text().replace("runs-on:", "run-on:"))
    assert "run-on" in schema_errors(wrong)


def test_the_workflow_of_this_project_calls_the_gate() -> None:
    assert schema_errors(OWN_WORKFLOW) == ""
    commands = [step["run"] for step in steps(OWN_WORKFLOW) if "run" in step]
    assert commands[-1] == ".ci/run"
    assert os.access(ROOT / commands[-1], os.X_OK)


def taken_in(text: str) -> str:
    """The workflow with the lines in it that a Triton in a container needs."""
    lines = text.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.strip() == "# services:")
    for number in range(begin, begin + 4):
        lines[number] = lines[number].replace("# ", "", 1)
    return "\n".join(lines)


def schema_errors(workflow: Path) -> str:
    """What GitHub's schema says of it, as the package check-jsonschema has that: no network is needed."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(workflow)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def steps(workflow: Path) -> list[dict[str, Any]]:
    (job,) = yaml.safe_load(workflow.read_text())["jobs"].values()
    return job["steps"]  # type: ignore[no-any-return]


class Job:
    """The workflow's job on this machine: its steps with `run`, in order; after a failure those that run `always()`."""

    def __init__(self, folder: Path, wheel: Path, host: str) -> None:
        self.folder = folder
        environment = yaml.safe_load(WORKFLOW.read_text())["env"]
        filled = {name: value.replace("${{ inputs.host }}", host) for name, value in environment.items()}
        assert not any("${{" in value for value in filled.values())
        installed = folder / "installed"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
            **filled,
            **NEVER_CLIENT_LIMITED,
            # What stands here in the place of a runner and of what a user sets.
            "TRITON_USERS": str(wheel),
            "LOCUST_USERS": "2",
            "LOCUST_RUN_TIME": "4s",
            "LOCUST_SCENARIOS": "SequenceValid",
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "PIP_NO_DEPS": "1",  # they are installed
            "PIP_TARGET": str(installed),
            "PYTHONPATH": str(installed),
            "PATH": os.pathsep.join([str(installed / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        self.exit_codes: dict[str, int] = {}
        self.output = ""

    def run(self) -> None:
        """All steps, or those that are not over yet."""
        for step in steps(WORKFLOW):
            failed = any(self.exit_codes.values())
            if "run" not in step or (failed and step.get("if") != "always()"):
                continue
            self.step(step["name"])

    def step(self, name: str) -> None:
        (step,) = [each for each in steps(WORKFLOW) if each.get("name") == name]
        assert "${{" not in step["run"], "the commands take everything from the environment"
        command = ["bash", "-e", "-c", step["run"]]  # as GitHub runs them
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=LIMIT_S,
        )  # fmt: skip
        self.output += done.stdout
        self.exit_codes[name] = done.returncode

    @property
    def report(self) -> Path:
        (path,) = self.folder.glob("reports/*/report.json")
        return path

    @property
    def summary(self) -> str:
        return (self.folder / "summary.md").read_text()

    def uploaded(self) -> list[str]:
        """The files that the last step keeps."""
        upload = steps(WORKFLOW)[-1]
        assert upload["uses"].startswith("actions/upload-artifact@")
        assert upload["if"] == "always()"
        folders = [self.folder / path for path in upload["with"]["path"].split()]
        return sorted(path.name for folder in folders for path in folder.rglob("*") if path.is_file())


REPORT_FILES = ["junit.xml", "report.html", "report.json", "report.txt"]
COMPARE_FILES = ["compare.html", "compare.json", "compare.txt", "junit.xml"]


@pytest.mark.triton
def test_the_workflow_passes_a_healthy_server_and_then_finds_it_slower(
    triton: EmbeddedTriton, wheel: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path, wheel, f"grpc://{triton.grpc_url}")
    job.run()
    assert job.exit_codes == {"Install": 0, "Run": 0, "Compare with the baseline": 0, "Summary": 0}, job.output
    assert "Triton stress report: PASSED" in job.summary
    assert job.uploaded() == REPORT_FILES

    job.report.write_text(json.dumps(stretched(json.loads(job.report.read_text()))))
    for slower, exit_code in ((1.0, 0), (0.5, 1)):
        baseline = tmp_path / job.environment["BASELINE"]
        baseline.parent.mkdir(exist_ok=True)
        baseline.write_text(json.dumps(stretched(json.loads(job.report.read_text()), slower)))
        job.step("Compare with the baseline")
        assert job.exit_codes["Compare with the baseline"] == exit_code, job.output
    job.step("Summary")
    assert "REGRESSIONS" in job.summary
    assert job.uploaded() == sorted([*REPORT_FILES, *COMPARE_FILES])


@pytest.mark.triton
def test_the_workflow_fails_a_defective_server_and_keeps_the_reports(
    leaking: EmbeddedTriton, wheel: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path, wheel, f"grpc://{leaking.grpc_url}")
    job.run()
    assert job.exit_codes == {"Install": 0, "Run": 1, "Summary": 0}, job.output
    assert "Triton stress report: FAILED" in job.summary
    assert job.uploaded() == REPORT_FILES


@pytest.fixture(scope="module")
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """A server whose sequences see each other's sums."""
    repository = tmp_path_factory.mktemp("leaking")
    (repository / DEFECT.name).symlink_to(DEFECT)
    with EmbeddedTriton(repository, grace_s=0) as server:
        yield server


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})"
    done = subprocess.run([sys.executable, "-c", build], cwd=copy_of_the_sources(folder), capture_output=True,
                          text=True, timeout=LIMIT_S)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return file


def recipe(folder: Path, host: str) -> subprocess.CompletedProcess[str]:
    """pytest on the recipe, whose options say less time and work."""
    text, replaced = re.subn(
        r"^OPTIONS = .*$",
        'OPTIONS = ["-u", "2", "-t", "4s", "--scenarios", "SequenceValid"]',
        RECIPE.read_text(),
        flags=re.M,
    )
    assert replaced == 1
    (folder / RECIPE.name).write_text(text)
    environment: Mapping[str, str] = {
        **os.environ, **NEVER_CLIENT_LIMITED, "LOCUST_HOST": host, "PYTHONPATH": str(ROOT)
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-rs",
        "--basetemp",
        str(folder / "tmp"),
        RECIPE.name,
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.mark.triton
def test_the_recipe_for_pytest_passes_a_healthy_server(triton: EmbeddedTriton, tmp_path: Path) -> None:
    done = recipe(tmp_path, f"grpc://{triton.grpc_url}")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 1 skipped" in done.stdout
    assert "there is no baseline yet" in done.stdout


@pytest.mark.triton
def test_the_recipe_shows_a_defective_server_s_evidence(leaking: EmbeddedTriton, tmp_path: Path) -> None:
    (tmp_path / "baseline.json").write_text("{}")
    done = recipe(tmp_path, f"grpc://{leaking.grpc_url}")
    assert done.returncode == 1, done.stdout
    assert "2 failed" in done.stdout
    message = [line for line in done.stdout.splitlines() if line.startswith("E ")]
    assert any(re.search(r"SequenceValid failed \d+ of \d+ runs", line) for line in message), done.stdout
    assert any("'model': 'custom_sequence_int32'" in line and "'expected': " in line for line in message), done.stdout
    assert any("baseline.json is no report of a run" in line for line in message), done.stdout
