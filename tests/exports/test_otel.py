"""What Locust's `--otel` is made to do before it begins: checks, defaults, one complaint of a kind."""

from __future__ import annotations

import logging
import subprocess
import sys
from argparse import Namespace

import pytest

from triton_users import options
from triton_users.declaration import UsageError
from triton_users.exports import otel


def prepared(**environ: str) -> dict[str, str]:
    otel.prepare(environ)
    return environ


def test_what_the_user_leaves_out_is_set_to_what_suits_a_load_test() -> None:
    assert prepared() == {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "128",
    }


def test_what_the_user_says_holds() -> None:
    given = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "7",
        "OTEL_METRICS_EXPORTER": "none",
    }
    assert prepared(**given) == given


def test_a_part_without_a_sampler_is_the_default_sampler_s() -> None:
    environ = prepared(OTEL_TRACES_SAMPLER_ARG="0.5")
    assert (environ["OTEL_TRACES_SAMPLER"], environ["OTEL_TRACES_SAMPLER_ARG"]) == ("parentbased_traceidratio", "0.5")


def test_a_batch_is_no_larger_than_a_small_queue() -> None:
    assert prepared(OTEL_BSP_MAX_QUEUE_SIZE="64")["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] == "64"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "holds all users.*http/protobuf"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL is grpc"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "'http/json'; give http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "jaeger", "'jaeger' is none of otlp, console, none"),
        ("OTEL_TRACES_SAMPLER", "sometimes", "'sometimes' is none of always_on"),
        ("OTEL_TRACES_SAMPLER_ARG", "1 %", "'1 %' is no part of all"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "'2' is no part of all"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0", "'0' is no whole number from 1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096", "more than the 2048"),
    ],
)
def test_what_cannot_be_used_is_a_clear_error(name: str, value: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        prepared(**{name: value})


def test_grpc_for_what_is_not_exported_is_no_error() -> None:
    prepared(OTEL_EXPORTER_OTLP_LOGS_PROTOCOL="grpc", OTEL_LOGS_EXPORTER="none")


def test_a_missing_package_ends_the_command_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(otel, "PACKAGES", ("no_such_package.of_any_kind",))
    monkeypatch.setattr(options, "take_interrupts_that_locust_does_not_expect", lambda: None)
    with pytest.raises(SystemExit) as ended:
        options._before_locust_forks(Namespace(otel=True), None)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'pip install "triton-users[otel]"' in line


def test_each_kind_of_complaint_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    talker, once = logging.getLogger("test_otel.talker"), otel.Once()
    talker.addFilter(once)
    for number in range(100):
        talker.warning("it failed for the time %d", number)
        talker.error("another kind")
        talker.info("no complaint")
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == ["it failed for the time 0", "another kind"]
    assert once.left_out == 198


def test_a_command_without_it_imports_nothing_of_it() -> None:
    code = (
        "import sys; import triton_users.locustfile; from locust.env import Environment; "
        "from triton_users.users import TritonGrpcUser; "
        "TritonGrpcUser(Environment()).client; "
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "[]"
