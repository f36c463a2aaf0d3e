"""The main job as a person runs it: the real locust command against the real Triton."""

import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.locust_process import ROOT, Locust, run_locust
from tests.transport.support import free_port
from triton_users.server import EmbeddedTriton
from triton_users.settings import DEFAULT_WEIGHTS

CONFIG = """
scenarios = SequenceValid
seed = 9
thresholds = runs>=1, failure_ratio<=0
fail-on-bottleneck = true
max-event-loop-lag-ms = 0.001
"""
DEFECTS = ROOT / "tests" / "defective_models"
SEQUENCES = "SequenceValid,SequenceValidValid"


@pytest.mark.triton
class TestAgainstAHealthyServer:
    def test_the_run_passes_and_its_report_names_everything(self, triton: EmbeddedTriton, tmp_path: Path) -> None:
        ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "4", "-r", "4", "-t", "9s", "--seed", "7",
                           "--scenarios", SEQUENCES)  # fmt: skip
        assert ended.exit_code == 0, ended.output
        report = ended.report
        assert report["state"] == "finished"
        assert report["seed"] == 7
        assert f"-u 4 -r 4.0 -t 9s --seed 7 --scenarios {SEQUENCES}" in report["reproduce"]
        assert report["server"]["version"] == triton.version
        assert set(report["client"]["versions"]) >= {"locust", "tritonclient", "gevent", "python", "triton-users"}
        assert ended.scenario("SequenceValid")["runs"] > 0
        assert report["totals"]["failed"] == 0
        assert report["totals"]["answers_checked"] == report["totals"]["requests"] > 0
        assert "PASSED" in ended.output.rsplit("Aggregated", 1)[1], "the verdict is the last thing on the terminal"

    def test_requests_show_in_locust_s_own_statistics_by_scenario_and_model(
        self, triton: EmbeddedTriton, tmp_path: Path
    ) -> None:
        statistics = tmp_path / "statistics"
        ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "2", "-r", "2", "-t", "4s",
                           "--scenarios", "SequenceNoStart,Timeout", "--json-file", str(statistics))  # fmt: skip
        assert ended.exit_code == 0, ended.output
        rows = {(row["method"], row["name"]): row for row in json.loads(statistics.with_suffix(".json").read_text())}
        assert ("grpc", "Timeout custom_nobatch_zero_1_float32") in rows
        assert all(row["num_failures"] == 0 for row in rows.values()), "errors that are wanted are no failures"

    def test_sequences_left_open_too_late_to_be_proven_are_told(self, triton: EmbeddedTriton, tmp_path: Path) -> None:
        port = str(free_port())
        ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "4", "-r", "4", "-t", "5s",
                           "--scenarios", "SequenceNoEnd", "--processes", "2",
                           "--master-bind-port", port, "--master-port", port)  # fmt: skip
        assert ended.exit_code == 0, ended.output
        counted = ended.scenario("SequenceNoEnd")
        assert counted["passed"] > 0
        assert (counted["confirmed"], counted["unchecked"]) == (0, counted["passed"])

    def test_eight_users_share_two_connections(self, triton: EmbeddedTriton, tmp_path: Path) -> None:
        locust = Locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "8", "-r", "8", "--connections", "2",
                        "--scenarios", SEQUENCES)  # fmt: skip
        server = ("127.0.0.1", int(triton.grpc_url.split(":")[1]))
        process = psutil.Process(locust.pid)

        def connections() -> int:
            return len([each for each in process.net_connections("tcp") if each.raddr == server])

        wait_for(lambda: has_run(locust))
        wait_for(lambda: connections() == 4)  # two of the users', and those of the watch and of the sampler
        locust.signal(signal.SIGINT)
        ended = locust.ended(limit_s=15)
        assert ended.exit_code == 0, ended.output
        assert ended.report["settings"]["connections"] == 2

    def test_ctrl_c_ends_it_with_the_report(self, triton: EmbeddedTriton, tmp_path: Path) -> None:
        locust = Locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "4", "-r", "4", "--scenarios", SEQUENCES)
        wait_for(lambda: has_run(locust))
        locust.signal(signal.SIGINT)
        ended = locust.ended(limit_s=15)
        assert ended.exit_code == 0, ended.output
        assert ended.report["state"] == "interrupted"
        assert "Traceback" not in ended.output

    @pytest.mark.parametrize("processes", [(), ("--processes", "2")])
    def test_ctrl_c_again_and_again_changes_nothing(
        self, triton: EmbeddedTriton, tmp_path: Path, processes: tuple[str, ...]
    ) -> None:
        port = str(free_port())
        locust = Locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "4", "-r", "4", "--scenarios", SEQUENCES,
                        *processes, "--master-bind-port", port, "--master-port", port)  # fmt: skip
        wait_for(lambda: has_run(locust))
        while locust.running():
            locust.signal_all(signal.SIGINT)
            time.sleep(0.05)
        ended = locust.ended()
        assert ended.exit_code == 0, ended.output
        assert ended.report["state"] == "interrupted"
        assert "Traceback" not in ended.output

    def test_a_run_that_is_ended_before_its_run_time_has_not_passed(
        self, triton: EmbeddedTriton, tmp_path: Path
    ) -> None:
        locust = Locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-t", "60s", "--scenarios", SEQUENCES)
        wait_for(lambda: has_run(locust))
        locust.signal(signal.SIGTERM)
        ended = locust.ended(limit_s=15)
        assert ended.exit_code == 1, ended.output
        (reason,) = ended.report["verdict"]["reasons"]
        assert reason.endswith("of the 0:01:00 it was to run")

    def test_a_config_file_sets_what_must_hold_and_a_bottleneck_fails_the_run_if_wanted(
        self, triton: EmbeddedTriton, tmp_path: Path
    ) -> None:
        (tmp_path / "locust.conf").write_text(CONFIG)
        ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "2", "-r", "2", "-t", "7s")
        assert ended.exit_code == 1, ended.output
        report = ended.report
        assert report["seed"] == 9
        assert [scenario["name"] for scenario in report["scenarios"]] == ["SequenceValid"]
        checks = report["verdict"]["thresholds"]
        assert [(check["text"], check["passed"]) for check in checks] == [("runs>=1", True), ("failure_ratio<=0", True)]
        assert report["verdict"]["reasons"]
        assert all("client-limited" in reason for reason in report["verdict"]["reasons"])

    def test_a_scenario_that_cannot_run_is_left_out_and_told(self, triton: EmbeddedTriton, tmp_path: Path) -> None:
        ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-t", "3s", "--trials", "plan",
                           "--weights", weights(SequenceValid=5))  # fmt: skip
        assert ended.exit_code == 2
        assert "no scenario can run against this server" in ended.output

    def test_a_scenario_that_cannot_run_is_an_error_when_it_was_asked_for(
        self, triton: EmbeddedTriton, tmp_path: Path
    ) -> None:
        ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-t", "3s", "--scenarios", "SequenceValid",
                           "--trials", "plan")  # fmt: skip
        assert ended.exit_code == 2
        assert "SequenceValid was asked for but cannot run" in ended.output
        assert "Traceback" not in ended.output


@pytest.fixture
def leaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """A server whose sequences see each other's sums, and whose identity model is healthy.

    One for each test: what a run leaves open would keep the next one's sequences waiting for slots.
    """
    repository = tmp_path_factory.mktemp("leaking")
    for model in (
        DEFECTS / "leaks_between_ids" / "custom_sequence_int32",
        ROOT / "models" / "custom_nobatch_zero_1_float32",
    ):
        (repository / model.name).symlink_to(model)
    with EmbeddedTriton(repository, grace_s=0) as server:
        yield server


@pytest.mark.triton
class TestAgainstADefectiveServer:
    def test_the_run_fails_with_evidence_to_reproduce_it(self, leaking: EmbeddedTriton, tmp_path: Path) -> None:
        ended = run_locust(tmp_path, "-H", f"grpc://{leaking.grpc_url}", "-u", "4", "-r", "4", "-t", "5s",
                           "--scenarios", "SequenceValid", "--seed", "11")  # fmt: skip
        assert ended.exit_code == 1, ended.output
        scenario = ended.scenario("SequenceValid")
        assert scenario["status"] == "failed"
        assert scenario["sequence_failures"] > 0
        failure = scenario["evidence"]["failures"][0]
        assert failure["record"]["seed"] == 11
        assert {"worker", "user", "number", "plan", "evidence"} <= set(failure["record"])

    def test_a_failure_that_is_allowed_is_shown_and_fails_nothing(
        self, leaking: EmbeddedTriton, tmp_path: Path
    ) -> None:
        ended = run_locust(tmp_path, "-H", f"grpc://{leaking.grpc_url}", "-u", "4", "-r", "4", "-t", "5s",
                           "--scenarios", "SequenceValid", "--allow-failure", "SequenceValid")  # fmt: skip
        assert ended.exit_code == 0, ended.output
        assert ended.scenario("SequenceValid")["failed"] > 0

    def test_listeners_in_a_user_s_locustfile_hear_of_it(self, leaking: EmbeddedTriton, tmp_path: Path) -> None:
        locustfile = tmp_path / "listening.py"
        locustfile.write_text(LISTENING)
        ended = run_locust(tmp_path, "-H", f"grpc://{leaking.grpc_url}", "-u", "2", "-r", "2", "-t", "40s",
                           "--scenarios", "SequenceValid,Timeout", "--weights", "SequenceValid=60,Timeout=240",
                           locustfile=locustfile)  # fmt: skip
        heard = json.loads((tmp_path / "heard.json").read_text())
        assert {"scenario", "outcome", "requests", "duration_s", "reason", "record"} <= set(heard["scenario_finished"])
        assert {"scenario", "model", "expected", "elapsed_s", "limit_s"} <= set(heard["deadline_exceeded"])
        assert {"scenario", "model", "correlation_id", "step", "expected", "got", "steps"} <= set(
            heard["sequence_validation_failure"]
        )
        assert ended.exit_code == 1


LISTENING = """
import json
from pathlib import Path

import gevent
from locust import events
from triton_users.options import add_options
from triton_users.plugin import install
from triton_users.stress import TritonStressUser

heard = {}
events.init_command_line_parser.add_listener(add_options)

@events.init.add_listener
def on_init(environment, **_):
    install(environment)
    for name in ("scenario_finished", "deadline_exceeded", "sequence_validation_failure"):
        getattr(environment.events, name).add_listener(lambda name=name, **event: hear(environment, name, event))

def hear(environment, name, event):
    heard[name] = sorted(event)
    if len(heard) == 3:
        gevent.spawn(environment.runner.quit)

@events.quit.add_listener
def on_quit(**_):
    Path("heard.json").write_text(json.dumps(heard))
"""


@pytest.mark.triton
def test_a_locustfile_of_ten_lines_loads_a_model_of_one_s_own(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """The example of docs/own_users.md, word for word."""
    locustfile = tmp_path / "own.py"
    locustfile.write_text(example_in_the_page())
    statistics = tmp_path / "statistics"
    ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "2", "-r", "2", "-t", "3s",
                       "--json-file", str(statistics), locustfile=locustfile)  # fmt: skip
    assert ended.exit_code == 0, ended.output
    (row,) = json.loads(statistics.with_suffix(".json").read_text())
    assert (row["method"], row["name"]) == ("grpc", "custom_nobatch_zero_1_float32")
    assert row["num_requests"] > 100
    assert row["num_failures"] == 0


@pytest.mark.triton
def test_one_s_own_users_with_the_plugin_need_no_model_of_the_scenarios(triton: EmbeddedTriton, tmp_path: Path) -> None:
    locustfile = tmp_path / "own.py"
    locustfile.write_text(example_in_the_page() + PLUGIN)
    ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-t", "3s", "--trials", "plan",
                       "--weights", weights(SequenceValid=1), locustfile=locustfile)  # fmt: skip
    assert ended.exit_code == 0, ended.output
    assert ended.report["totals"]["rpcs"] > 100


PLUGIN = """

from locust import events

from triton_users.options import add_options
from triton_users.plugin import install

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))
"""


def example_in_the_page() -> str:
    text = (ROOT / "docs" / "own_users.md").read_text()
    (example,) = [block for block in text.split("```python\n")[1:] if "TritonGrpcUser" in block]
    return example.split("```")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-H", "grpc://127.0.0.1:9"), "no Triton answers at grpc://127.0.0.1:9"),
        (("-H", "http://127.0.0.1:8000"), "is an address for HTTP; Triton's gRPC has a port of its own"),
        (("--scenarios", "Nothing"), "there is no 'Nothing'"),
        (("--thresholds", "p99_ms>5"), "would fail a run for being good"),
        (("--report-dir", __file__), "no report can be written there: it is a file"),
        (("--report-dir", ""), "the report-dir is empty"),
        (("--max-event-loop-lag-ms", "-1"), "the limit of event-loop lag is -1 ms; it must be from 0 to 3600000 ms"),
        (("-H", "grpcs://127.0.0.1:9", "--grpc-root-certificates", "missing.pem"), "missing.pem"),
    ],
)
def test_a_mistake_of_the_user_ends_with_one_line_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    ended = run_locust(tmp_path, *arguments)
    assert ended.exit_code == 2
    assert message in ended.output
    assert "Traceback" not in ended.output
    assert "Aggregated" not in ended.output, "nothing ran, so there is nothing to tabulate"


@pytest.mark.parametrize("mode", [("--master",), ("--processes", "2")])
def test_a_second_master_on_one_port_ends_before_its_workers_meet_the_first(
    tmp_path: Path, mode: tuple[str, ...]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        ended = run_locust(tmp_path, "-H", "grpc://127.0.0.1:9", *mode, "--master-bind-port", str(port))
        first.setblocking(False)
        with pytest.raises(BlockingIOError):
            first.accept()
    assert ended.exit_code == 2
    assert f"port {port} is taken, perhaps by the master of another run" in ended.output
    assert "Traceback" not in ended.output


def weights(**kept: int) -> str:
    """All weights 0 but these."""
    return ",".join(f"{name}={kept.get(name, 0)}" for name in DEFAULT_WEIGHTS)


def has_run(locust: Locust) -> bool:
    """Whether each of SEQUENCES was in two of Locust's tables: by the second one, its first runs are over."""
    tables = locust.output().split("Aggregated")
    return all(sum(f" {name} custom_" in table for table in tables) >= 2 for name in SEQUENCES.split(","))


def wait_for(happened, limit_s: float = 30.0) -> None:  # type: ignore[no-untyped-def]  # any callable
    end = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
