"""A start form that cannot be used is refused in words, with the value seen and what would be right."""

from argparse import Namespace
from copy import deepcopy
from pathlib import Path

import pytest
from locust.argument_parser import LocustArgumentParser

from triton_users.options import add_options
from triton_users.run.server_state import ServerState
from triton_users.server import Unsupported
from triton_users.server.options import ServerSettings
from triton_users.settings import UsageError
from triton_users.web import form

GOOD = {"user_count": "4", "spawn_rate": "2"}
HOST = "grpc://127.0.0.1:8001"
MODELS = frozenset({"custom_sequence_int32", "custom_zero_1_float32"})


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Namespace:
    """The options as they are by default, reports elsewhere; the server at HOST answers, and no other does."""

    def server_state(host: str, connection: object, candidates: object, settings: object) -> ServerState:
        if host != HOST:
            raise UsageError(f"no Triton answers at {host}")
        return ServerState(ready=True, version="triton 2.51.0", models=MODELS)

    monkeypatch.setattr("triton_users.run.preflight.server_state", server_state)
    parser = LocustArgumentParser()
    parser.add_argument("--web-host", default="")
    parser.set_defaults(worker=True)  # no master, so no port to settle
    add_options(parser)
    return parser.parse_args(["--report-dir", str(tmp_path)])


def refusal(options: Namespace, **changes: str) -> str:
    return form.refusal({**GOOD, **changes}, options, HOST, running=False)


def test_a_form_with_the_defaults_is_accepted(options: Namespace) -> None:
    every_field = {
        name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in vars(options).items()
    }
    assert refusal(options) == ""
    assert refusal(options, **every_field) == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": "many"}, "Batch size: 'many' is not a whole number"),
        ({"batch_size": "3.5"}, "Batch size: '3.5' is not a whole number"),
        ({"batch_size": ""}, "Batch size: nothing is not a whole number"),
        ({"connections": "-1"}, "The number of shared connections is -1 connections; it must be from 0 to 100000"),
        ({"batch_size": "0"}, "The batch size is 0 pictures; it must be from 1 to 1024 pictures"),
        ({"seed": "9" * 5000}, "Seed: '999"),
        ({"sequence_length_mean": "nan"}, "The sequence length mean is nan"),
        ({"weights": "Timeout"}, "Weights: 'Timeout' is not NAME=WEIGHT"),
        ({"weights": "Timeout=" + "9" * 5000}, "Exceeds the limit"),
        ({"scenarios": "SequenceValit"}, "Scenarios: there is no 'SequenceValit'"),
        ({"scenarios": "ResNet"}, "ResNet was asked for but cannot run"),
        ({"trials": ""}, "No trial is selected"),
        ({"thresholds": "p99<50"}, "p99"),
        ({"report_dir": __file__}, f"The report-dir is '{__file__}', but no report can be written there: it is a file"),
        ({"report_dir": ""}, "The report-dir is empty"),
        ({"max_cpu_percent": "-1"}, "The limit of CPU is -1 percent; it must be from 0 to 10000 percent"),
        ({"host": "http://127.0.0.1:8000"}, "http://127.0.0.1:8000"),
        ({"host": "grpc://127.0.0.1:1"}, "No Triton answers at grpc://127.0.0.1:1"),
        ({"host": "  "}, "Host: write the address of a Triton"),
        ({"user_count": "some"}, "Number of users: 'some' is not a whole number"),
        ({"user_count": "-1"}, "Number of users: -1 cannot be"),
        ({"spawn_rate": "inf"}, "Ramp up: inf users a second cannot be"),
        ({"spawn_rate": "0"}, "Ramp up: 0 users a second cannot be"),
        ({"run_time": "soon"}, "Run time: 'soon' is none"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(options: Namespace, changes: dict[str, str], message: str) -> None:
    before = deepcopy(vars(options))
    reported = refusal(options, **changes)
    assert message in reported
    assert len(reported) < 2_500
    assert vars(options) == before


def test_a_form_without_the_number_of_users_is_refused_unless_a_load_shape_sets_it(options: Namespace) -> None:
    assert "Number of users: nothing" in form.refusal({}, options, HOST, running=False)
    assert form.refusal({}, options, HOST, running=False, shaped=True) == ""


def test_users_of_one_s_own_need_no_model_of_the_scenarios(options: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "triton_users.run.preflight.server_state", lambda *_: ServerState(ready=True, models=frozenset({"mine"}))
    )
    assert "No scenario can run against this server" in refusal(options)
    assert form.refusal(GOOD, options, HOST, running=False, scenarios=False) == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": "16"}, "Batch size: this is '32' while the test runs; stop it to change that."),
        ({"grpc_insecure": "true"}, "Grpc insecure: this is 'False' while the test runs"),
        ({"seed": "5"}, "Seed: this is '0' while the test runs"),
        ({"host": "grpc://127.0.0.1:2"}, f"Host: this is '{HOST}' while the test runs"),
    ],
)
def test_what_a_test_was_started_with_does_not_change_while_it_runs(
    options: Namespace, change: dict[str, str], message: str
) -> None:
    reported = form.refusal({**GOOD, **change}, options, HOST, running=True)
    assert reported.startswith(message)
    assert "number of users, the ramp up and a rate can change" in reported


def test_a_running_test_takes_a_form_that_repeats_what_is_in_force(options: Namespace) -> None:
    as_it_is = {"batch_size": "32", "grpc_insecure": "false", "trials": options.trials, "host": HOST}
    assert form.refusal({**GOOD, **as_it_is}, options, HOST, running=True) == ""


def test_a_running_test_may_change_its_users_while_the_server_does_not_answer(options: Namespace) -> None:
    assert form.refusal(GOOD, options, "grpc://127.0.0.1:1", running=True) == ""


def test_a_release_that_cannot_run_here_is_said_in_the_form(options: Namespace) -> None:
    def use(wanted: ServerSettings, host: str) -> None:
        raise Unsupported(f"the embedded Triton {wanted.triton} needs another Python")

    said = form.refusal({**GOOD, "triton": "2.39"}, options, HOST, running=False, use=use)
    assert said == "The embedded Triton 2.39 needs another Python"


def test_a_release_that_there_is_not_is_refused(options: Namespace) -> None:
    assert "triton: there is no '2.40'; it must be one of: 2.39, 2.41" in refusal(options, triton="2.40").lower()
