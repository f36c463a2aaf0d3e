"""Locustfiles and options that ask for less, or for something else, than all there is."""

import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.locust_process import Locust, run_locust
from triton_users.server import EmbeddedTriton

OPTIONS = """
from locust import events
from triton_users.options import add_options
events.init_command_line_parser.add_listener(add_options)
"""
INSTALL = """
from locust import events
from triton_users.plugin import install
events.init.add_listener(lambda environment, **_: install(environment))
"""
STRESS = "from triton_users.stress import TritonStressUser, TritonLoadUser\n"


def locustfile(folder: Path, text: str) -> Path:
    path = folder / "own.py"
    path.write_text(text)
    return path


@pytest.mark.triton
def test_tags_pick_scenarios_and_what_they_leave_out_is_not_missed(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "4", "-r", "4", "-t", "4s",
                       "--tags", "SequenceValid", "Timeout", "--exclude-tags", "Timeout")  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert [scenario["name"] for scenario in ended.report["scenarios"]] == ["SequenceValid"]
    assert "--tags SequenceValid Timeout --exclude-tags Timeout" in ended.report["reproduce"]


@pytest.mark.triton
def test_a_class_s_own_host_is_the_server_that_is_tested(triton: EmbeddedTriton, tmp_path: Path) -> None:
    own = f"""
class MyUser(TritonStressUser):
    host = "grpc://{triton.grpc_url}"

del TritonStressUser, TritonLoadUser
"""
    # Long enough for slots that an earlier test left taken to come back.
    ended = run_locust(tmp_path, "-t", "12s", "--scenarios", "SequenceValid",
                       locustfile=locustfile(tmp_path, OPTIONS + INSTALL + STRESS + own))  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert ended.report["server"]["address"] == f"grpc://{triton.grpc_url}"
    assert "Starting Triton" not in ended.output
    assert ended.report["totals"]["rpcs"] > 0


@pytest.mark.triton
def test_users_of_another_protocol_keep_their_host_beside_it(triton: EmbeddedTriton, tmp_path: Path) -> None:
    own = f"""
from locust import HttpUser, constant, task

class Asks(HttpUser):
    host = "http://{triton.http_url}"
    wait_time = constant(0.1)

    @task
    def ready(self):
        self.client.get("/v2/health/ready")

class MyUser(TritonStressUser):
    host = "grpc://{triton.grpc_url}"

del TritonStressUser, TritonLoadUser
"""
    ended = run_locust(tmp_path, "-t", "3s", "-u", "4", "-r", "4", "--scenarios", "SequenceValid",
                       locustfile=locustfile(tmp_path, OPTIONS + INSTALL + STRESS + own))  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert "/v2/health/ready" in ended.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tags", "Nope"), "--tags Nope leaves no scenario to run; the tag of each scenario is its name"),
        (("--load-users", "4", "-u", "4"), "--load-users 4 takes all of the 4 users (-u)"),
    ],
)
def test_what_would_run_nothing_is_an_error(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    ended = run_locust(tmp_path, "-H", "grpc://127.0.0.1:9", "-t", "3s", *arguments)
    assert ended.exit_code == 2, ended.output
    assert message in ended.output
    assert "Traceback" not in ended.output


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (INSTALL + STRESS, "the locustfile installs the plugin but lacks its options"),
        (OPTIONS + STRESS, "the locustfile adds the plugin's options but does not install it"),
    ],
)
def test_half_of_the_plugin_is_an_error_at_once(tmp_path: Path, text: str, message: str) -> None:
    began_s = time.monotonic()
    ended = run_locust(tmp_path, "-H", "grpc://127.0.0.1:9", "-t", "20s", locustfile=locustfile(tmp_path, text))
    assert ended.exit_code == 2, ended.output
    assert message in ended.output
    assert "Traceback" not in ended.output
    assert time.monotonic() - began_s < 20


@pytest.mark.triton
@pytest.mark.parametrize("times", [2, 3])
def test_interrupts_in_the_same_instant_are_one(triton: EmbeddedTriton, tmp_path: Path, times: int) -> None:
    locust = Locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "4", "-r", "4", "--scenarios", "SequenceValid")
    end_s = time.monotonic() + 30
    while "SequenceValid custom" not in locust.output():
        assert time.monotonic() < end_s, locust.output()
        time.sleep(0.05)
    for _ in range(times):
        locust.signal_all(signal.SIGINT)
    ended = locust.ended(limit_s=20)
    assert ended.exit_code == 0, ended.output
    assert ended.report["state"] == "interrupted"
    assert "Traceback" not in ended.output
    assert ended.output.rstrip().count("Triton stress report") == 1


@pytest.mark.triton
def test_an_interrupt_as_a_run_ends_by_itself_leaves_it_finished(triton: EmbeddedTriton, tmp_path: Path) -> None:
    locust = Locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "4", "-r", "4", "-t", "3s", "-s", "10",
                    "--scenarios", "SequenceValid")  # fmt: skip
    end_s = time.monotonic() + 30
    while "limit reached" not in locust.output():
        assert time.monotonic() < end_s, locust.output()
        time.sleep(0.005)
    for _ in range(3):
        locust.signal_all(signal.SIGINT)
    ended = locust.ended(limit_s=30)
    assert ended.exit_code == 0, ended.output
    assert ended.report["state"] == "finished"
    assert "Traceback" not in ended.output
