"""Models over workers on other machines, and runs of models that somebody ends."""

import json
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.any_model.repository import DATATYPES
from tests.cluster.commands import ROOT, Locust, locust, until
from tests.transport.support import free_port
from triton_users.server import EmbeddedTriton

pytestmark = pytest.mark.triton

RIGHT = json.dumps({"data": [{"IN": [1, 2, 3, 4]}], "validation_data": [{"OUT": [2, 4, 6, 8]}]})
DATA = ("--models", "sum", "--input-data", "sum=sum.json")
FILE = ROOT / "locustfile.py"


def files(folder: Path, *names: str) -> None:
    """A folder for each process, as machines have their own, each with the input data."""
    for name in names:
        (folder / name).mkdir()
        (folder / name / "sum.json").write_text(RIGHT)


def test_each_worker_reads_its_own_copy_of_the_input_data(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    port = str(free_port())
    files(tmp_path, "master", "one", "two")
    with ExitStack() as stack:
        arguments = ("--master", "--master-bind-port", port, "--expect-workers", "2", "-u", "4", "-r", "4", "-t", "5s")
        master = stack.enter_context(
            locust(tmp_path / "master", *arguments, "-H", f"grpc://{any_triton.grpc_url}", *DATA, locustfile=FILE)
        )
        for name in ("one", "two"):
            worker = ("--worker", "--master-port", port)
            stack.enter_context(locust(tmp_path / name, *worker, locustfile=FILE))
        assert master.wait() == 0, master.log()
        report = master.report()
    (scenario,) = report["scenarios"]
    assert scenario["answers_checked"] == scenario["requests"] > 0
    assert len(report["workers"]) == 2
    assert all(worker["requests"] for worker in report["workers"])


def test_a_worker_without_the_input_data_says_so_and_the_run_fails_with_that(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    port = str(free_port())
    files(tmp_path, "master", "has")
    with ExitStack() as stack:
        arguments = ("--master", "--master-bind-port", port, "--expect-workers", "2", "-u", "4", "-r", "4", "-t", "60s")
        master = stack.enter_context(
            locust(tmp_path / "master", *arguments, "-H", f"grpc://{any_triton.grpc_url}", *DATA, locustfile=FILE)
        )
        has, lacks = (
            stack.enter_context(locust(tmp_path / name, "--worker", "--master-port", port, locustfile=FILE))
            for name in ("has", "lacks")
        )
        assert master.wait() == 1, master.log()
        assert lacks.wait() == 2, lacks.log()
        has.wait()
        reasons = master.report()["verdict"]["reasons"]
    assert any("cannot take part: input data of sum: sum.json: No such file or directory" in each for each in reasons)
    assert "Traceback" not in lacks.log()


def test_a_run_of_models_that_is_interrupted_ends_with_all_that_was_counted(
    any_triton: EmbeddedTriton, tmp_path: Path
) -> None:
    """Without a decoupled model: of one beside sequences over streams, Triton 2.51 crashes within seconds."""
    arguments = ("-H", f"grpc://{any_triton.grpc_url}", "--models", "sum,accumulate", "-u", "6", "-r", "6")
    with locust(tmp_path / "run", *arguments, "--processes", "2", locustfile=FILE) as command:
        until("the run has begun", lambda: list(command.folder.glob("reports/*")) and _sent(command))
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 0, command.log()
        assert not command.left()
        report = command.report()
    assert report["verdict"]["headline"].startswith("PASSED, interrupted")
    assert {one["name"] for one in report["scenarios"] if one["runs"]} == {"sum", "accumulate"}


def _sent(command: Locust) -> bool:
    return "accumulate" in command.log()


def test_every_datatype_in_one_run_without_data_and_in_batches(any_triton: EmbeddedTriton, tmp_path: Path) -> None:
    names = [f"echo_{datatype.lower()}" for datatype in DATATYPES]
    arguments = ("-H", f"grpc://{any_triton.grpc_url}", "--models", ",".join(names), "-u", "14", "-r", "14", "-t", "6s")
    sizes = ",".join(f"{name}=3" for name in names)
    with locust(tmp_path / "run", *arguments, "--model-batch-size", sizes, locustfile=FILE) as command:
        assert command.wait() == 0, command.log()
        scenarios = command.report()["scenarios"]
    assert [one["name"] for one in scenarios] == names
    assert all(one["runs"] and not one["failed"] for one in scenarios)
    assert all(any(note.startswith("not checked") for note in one["notes"]) for one in scenarios)
