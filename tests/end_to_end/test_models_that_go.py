"""Models that failed to load, or that are unloaded in mid-run, fail the run by their own reason."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.end_to_end.locust_process import Locust
from triton_users.client.client import TritonClient
from triton_users.server import EmbeddedTriton
from triton_users.server.repository import default_repository

pytestmark = pytest.mark.triton

SUMS, BROKEN, IDENTITY = "custom_nobatch_sequence_int32", "custom_sequence_int32", "custom_nobatch_zero_1_float32"
LENIENT = ["--model-control-mode=explicit", "--load-model=*", "--exit-on-error=false", "--strict-readiness=false"]


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """A Triton that goes on when a model does not load, as one of its models does not."""
    repository = tmp_path_factory.mktemp("models")
    for name in (SUMS, BROKEN, IDENTITY):
        shutil.copytree(default_repository() / name, repository / name)
    (repository / BROKEN / "1" / "model.py").write_text("import a_package_that_nobody_installed\n")
    with EmbeddedTriton(repository, extra_args=LENIENT) as running:
        yield running


def locust(triton: EmbeddedTriton, folder: Path, seconds: int) -> Locust:
    options = ["-H", f"grpc://{triton.grpc_url}", "-t", f"{seconds}s", "-u", "2", "-r", "2"]
    return Locust(folder, *options, "--scenarios", "SequenceValid")


def test_a_model_of_the_scenarios_that_did_not_load_fails_a_run_that_went_well(
    lenient: EmbeddedTriton, tmp_path: Path
) -> None:
    ended = locust(lenient, tmp_path, 3).ended()
    assert ended.exit_code == 1, ended.output
    assert ended.scenario("SequenceValid")["status"] == "passed"
    (reason,) = ended.report["verdict"]["reasons"]
    assert reason.startswith(f"the model {BROKEN} failed to load: ")
    assert "a_package_that_nobody_installed" in reason


def test_a_model_that_was_unloaded_in_mid_run_fails_it_with_the_time(lenient: EmbeddedTriton, tmp_path: Path) -> None:
    running = locust(lenient, tmp_path, 8)
    with gevent.Timeout(60):
        while "Ramping to" not in running.output():
            gevent.sleep(0.1)
    with TritonClient(f"grpc://{lenient.grpc_url}") as client:
        client.unload_model(IDENTITY)
    ended = running.ended()
    assert ended.exit_code == 1, ended.output
    told = [reason for reason in ended.report["verdict"]["reasons"] if IDENTITY in reason]
    assert len(told) == 1
    assert told[0].startswith(f"the model {IDENTITY} was ready at the start and is not at the end, since 0:00:0")
    assert told[0].endswith(": UNAVAILABLE: unloaded")
