"""Runs at a rate, as a person starts them, on the real Triton: what was intended, issued and answered agrees."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.locust_process import Ended, Locust, run_locust
from tests.transport.support import free_port
from tests.web.locusts import Locusts, wait_for
from triton_users.server import EmbeddedTriton

MODEL = "custom_nobatch_zero_1_float32"
OWN = """
import numpy as np
from locust import between, events, task
from tritonclient.grpc import InferInput

from triton_users.options import add_options
from triton_users.plugin import install
from triton_users.users import TritonGrpcUser

events.init_command_line_parser.add_listener(add_options)
events.init.add_listener(lambda environment, **_: install(environment))


class Mine(TritonGrpcUser):
    wait_time = between(50, 100)

    def on_start(self):
        self.tensor = InferInput("INPUT0", [16], "FP32").set_data_from_numpy(np.zeros(16, np.float32))

    @task
    def infer(self):
        self.client.infer("custom_nobatch_zero_1_float32", [self.tensor])

    @task
    def again(self):
        assert self.arrival.input in ("", "twice"), self.arrival
        for _ in range(2):
            self.client.is_server_ready()
"""


def own(triton: EmbeddedTriton, folder: Path, *arguments: str) -> Locust:
    locustfile = folder / "mine.py"
    locustfile.write_text(OWN)
    options = ["-H", f"grpc://{triton.grpc_url}", "--stop-timeout", "5", "-u", "20", "-r", "100", *arguments]
    return Locust(folder, *options, locustfile=locustfile)


def rows(ended: Ended) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for scenario in ended.report["scenarios"] for row in scenario["rows"]}


@pytest.mark.triton
class TestUsersOfOnesOwn:
    def test_a_run_whose_phases_end_ends_with_them(self, triton: EmbeddedTriton, tmp_path: Path) -> None:
        ended = own(triton, tmp_path, "--rate", "100 for 2s, 20 to 60 in 2s", "--arrivals", "poisson").ended()
        assert ended.exit_code == 0, ended.output
        arrivals = ended.report["arrivals"]
        assert arrivals["intended"] == arrivals["issued"] == pytest.approx(280, abs=70)
        assert arrivals["missed"] == 0
        assert arrivals["rates"][0]["rate"] == "100 for 2s, 20 to 60 in 2s"
        assert [point["intended_per_s"] is None for point in ended.report["timeline"]].count(False) > 0
        single, double = rows(ended)[MODEL], rows(ended)["ServerReady"]
        assert single["requests"] + double["requests"] / 2 == arrivals["issued"]
        measures = single["measures"]
        assert single["latency_ms"]["mean"] == pytest.approx(
            measures["service_ms"]["mean"] + measures["issue_delay_ms"]["mean"], abs=0.05
        )
        assert "Arrivals: 100 for 2s, 20 to 60 in 2s a second, poisson." in ended.output

    def test_of_two_requests_the_first_one_counts_from_the_arrival(
        self, triton: EmbeddedTriton, tmp_path: Path
    ) -> None:
        """One user cannot keep up: what has waited for it shows in the latencies of first requests only."""
        (tmp_path / "trace.csv").write_text("time,model,input\n" + "0.1,again,twice\n" * 50)
        ended = own(triton, tmp_path, "-u", "1", "--arrivals", "trace.csv", "--trace-speed", "0.5").ended()
        assert ended.exit_code == 0, ended.output
        assert ended.report["arrivals"]["issued"] == 50
        (row,) = rows(ended).values()
        assert (row["model"], row["requests"]) == ("ServerReady", 100)
        assert row["latency_ms"]["p95"] > 5 * row["measures"]["service_ms"]["p50"]
        assert row["latency_ms"]["p50"] < row["latency_ms"]["p95"] / 2
        assert row["measures"]["issue_delay_ms"]["max"] == pytest.approx(row["latency_ms"]["max"], rel=0.5)

    def test_users_that_are_too_few_miss_arrivals_which_is_told_and_fails_the_run_if_wanted(
        self, triton: EmbeddedTriton, tmp_path: Path
    ) -> None:
        options = ("-u", "1", "--rate", "20000", "-t", "3s", "--arrival-wait-s", "0.2")
        ended = own(triton, tmp_path, *options, "--fail-on-missed-rate").ended()
        assert ended.exit_code == 1, ended.output
        arrivals = ended.report["arrivals"]
        missed = arrivals["missed_users_busy"] + arrivals["missed_client_slow"]  # which of them, the machine decides
        assert arrivals["missed"] == missed > arrivals["issued"] > 0
        assert arrivals["delay_ms"]["max"] < 400
        assert any("were missed: " in why for why in ended.report["verdict"]["reasons"])

    def test_ctrl_c_ends_it_with_the_report(self, triton: EmbeddedTriton, tmp_path: Path) -> None:
        locust = own(triton, tmp_path, "--rate", "100")
        wait_for(lambda: locust.output().count(MODEL) >= 2, 30, locust.output)
        locust.signal(signal.SIGINT)
        ended = locust.ended(limit_s=15)
        assert ended.exit_code == 0, ended.output
        assert ended.report["state"] == "interrupted"
        assert ended.report["arrivals"]["issued"] > 0
        assert "Traceback" not in ended.output

    def test_two_processes_share_one_schedule(self, triton: EmbeddedTriton, tmp_path: Path) -> None:
        port = str(free_port())
        ended = own(triton, tmp_path, "--rate", "100 for 4s", "--processes", "2",
                    "--master-bind-port", port, "--master-port", port).ended()  # fmt: skip
        assert ended.exit_code == 0, ended.output
        arrivals = ended.report["arrivals"]
        assert (arrivals["intended"], arrivals["issued"]) == (400, 400)
        requests = rows(ended)
        assert requests[MODEL]["requests"] + requests["ServerReady"]["requests"] / 2 == 400


@pytest.mark.triton
def test_a_model_of_one_s_own_at_a_rate(triton: EmbeddedTriton, tmp_path: Path) -> None:
    ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "--models", MODEL, "--shape", f"{MODEL}:INPUT0=16",
                       "-u", "10", "-r", "10", "--rate", "50 for 2s",
                       "--thresholds", "p99_ms<9000,service_p50_ms<9000,issue_delay_max_ms<9000")  # fmt: skip
    assert ended.exit_code == 0, ended.output
    scenario = ended.scenario(MODEL)
    assert scenario["runs"] == ended.report["arrivals"]["issued"] == 100
    assert [check["passed"] for check in ended.report["verdict"]["thresholds"]] == [True] * 3


def data(folder: Path, name: str, steps: list[Any], right: list[Any]) -> None:
    (folder / name).write_text(json.dumps({"data": steps, "validation_data": right}))


@pytest.mark.triton
def test_a_trace_says_which_of_a_model_s_input_data_is_sent(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Of each file one entry alone has the right answer beside it: to send any other would fail the run."""
    steps = [{"INPUT0": {"content": [float(n)], "shape": [1]}} for n in range(6)]
    data(tmp_path, "steps.json", steps, [{"OUTPUT0": {"content": [3.0], "shape": [1]}}] * 6)
    sequences = [[{"INPUT": [n]}, {"INPUT": [n]}] for n in range(4)]
    data(tmp_path, "sums.json", sequences, [[{"OUTPUT": [2]}, {"OUTPUT": [4]}]] * 4)

    def replayed(trace: str) -> Ended:
        folder = tmp_path / f"run {len(list(tmp_path.glob('run *')))}"
        folder.mkdir()
        (folder / "trace.csv").write_text(trace)
        return run_locust(folder, "-H", f"grpc://{triton.grpc_url}", "--models", f"{MODEL},custom_sequence_int32",
                          "--input-data", f"{MODEL}={tmp_path}/steps.json",
                          "--input-data", f"custom_sequence_int32={tmp_path}/sums.json",
                          "-u", "4", "-r", "4", "--arrivals", "trace.csv", "--arrival-wait-s", "60")  # fmt: skip

    ended = replayed("interval,model,input\n" + f"0.01,{MODEL},3\n0.01,custom_sequence_int32,2\n" * 100)
    assert ended.exit_code == 0, ended.output
    for name, each in ((MODEL, 1), ("custom_sequence_int32", 2)):
        scenario = ended.scenario(name)
        assert (scenario["runs"], scenario["failed"], scenario["answers_checked"]) == (100, 0, 100 * each)

    wrong = replayed(f"0,{MODEL},3\n0,{MODEL},4\n0,{MODEL},3\n")
    assert wrong.scenario(MODEL)["failed"] == 1, wrong.output
    assert "OUTPUT0[0] is 4" in wrong.output

    refused = replayed(f"0,{MODEL},6\n")
    assert refused.exit_code == 2
    assert f"names an input for {MODEL}: '6' is no entry of the input data; it must be 0 to 5" in refused.output
    assert "Traceback" not in refused.output


@pytest.mark.triton
def test_the_nine_scenarios_at_a_rate(triton: EmbeddedTriton, tmp_path: Path) -> None:
    """Each arrival is one run: those that came to an end, and those that were under way at the end."""
    ended = run_locust(tmp_path, "-H", f"grpc://{triton.grpc_url}", "-u", "16", "-r", "16", "--rate", "4",
                       "--arrivals", "gamma:0.5", "-t", "20s", "--stop-timeout", "30", "--batch-size", "1",
                       "--deadline-tensor-mib", "128", "--arrival-wait-s", "60")  # fmt: skip
    report = ended.report
    ran = {scenario["name"]: scenario["runs"] + scenario["skipped"] for scenario in report["scenarios"]}
    assert all(ran.values()), (ran, ended.output)
    assert not report["totals"]["failed"], ended.output
    assert sum(ran.values()) == report["arrivals"]["issued"]
    sequence = ended.scenario("SequenceValid")
    assert sequence["measures"]["service_ms"]["p50"] is not None
    assert sequence["measures"]["issue_delay_ms"]["p50"] is not None


@pytest.mark.triton
def test_in_the_web_ui_the_rate_is_set_and_changed_and_the_next_run_has_its_own(
    triton: EmbeddedTriton, tmp_path: Path
) -> None:
    load = {"user_count": "20", "spawn_rate": "20", "scenarios": "SequenceNoStart"}

    def arrivals() -> Any:
        if "verdict" not in locusts.get("/triton/scenarios.json"):
            return {"issued": 0, "rates": []}  # the run has not begun yet
        return locusts.get("/triton/report/report.json")["arrivals"]

    with Locusts(f"grpc://{triton.grpc_url}", tmp_path, workers=2) as locusts:
        assert "there is no run" in locusts.post("/triton/rate", rate="5")["message"]
        assert "'fast' is no number" in locusts.post("/swarm", **load, rate="fast")["message"]
        locusts.start(**load, rate="20")
        wait_for(lambda: arrivals()["issued"] >= 20, 20)
        assert "'quick' is no number" in locusts.post("/triton/rate", rate="quick")["message"]
        assert locusts.post("/triton/rate", rate="60 for 1h") == {"success": True, "message": ""}
        wait_for(lambda: arrivals()["issued"] >= 150, 30)
        locusts.start(user_count="22", spawn_rate="20", rate="10")
        wait_for(lambda: len(arrivals()["rates"]) == 3, 20)
        assert "while the test runs" in locusts.post("/swarm", **load, arrivals="poisson")["message"]
        locusts.stop()
        locusts.start(**load, rate="")
        wait_for(lambda: len(locusts.reports()) == 2, 20)
        wait_for(lambda: locusts.get("/triton/report/report.json")["totals"]["runs"] > 20, 20)
        assert "there is no run" in locusts.post("/triton/rate", rate="5")["message"]
        locusts.stop()
        first, second = locusts.reports()
    assert [each["rate"] for each in first["arrivals"]["rates"]] == ["20", "60 for 1h", "10"]
    assert first["arrivals"]["missed"] == 0
    runs = sum(scenario["runs"] + scenario["skipped"] for scenario in first["scenarios"])
    assert runs == pytest.approx(first["arrivals"]["issued"], abs=5)  # those that were stopped in the middle
    assert second["arrivals"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rate", "fast"), "rate: 'fast' is no number of arrivals a second"),
        (("--rate", "10, 20"), "does not say for how long"),
        (("--arrivals", "poisson"), "arrivals: poisson needs a rate"),
        (("--rate", "10", "--arrivals", "gamma:-1"), "gamma needs a shape"),
        (("--arrivals", "nowhere.csv"), "'nowhere.csv' is not constant, poisson or gamma:K, nor a trace"),
        (("--rate", "10", "--arrivals", "nowhere.csv"), "cannot both say when"),
        (("--rate", "10", "--trace-speed", "0"), "the trace speed is 0 times; it must be from 0.001"),
        (("--rate", "10", "--arrival-wait-s", "-1"), "the wait of an arrival is -1 s; it must be from 0.001 to 3600 s"),
    ],
)
def test_a_mistake_in_a_rate_ends_with_one_line_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    ended = run_locust(tmp_path, "-H", "grpc://127.0.0.1:9", *arguments)
    assert ended.exit_code == 2
    assert message in ended.output
    assert "Traceback" not in ended.output
