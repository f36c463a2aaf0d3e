"""The command in a report makes the same plan again."""

import shlex
from argparse import Namespace

import pytest
from locust.argument_parser import get_parser

import triton_users.locustfile
from triton_users.options import add_options, judging_from, own_options, settings_from
from triton_users.run.reproduce import command


def parse(*arguments: str) -> Namespace:
    parser = get_parser(default_config_files=[])
    add_options(parser)
    return parser.parse_args(list(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--weights", "Timeout=1, ResNet=0", "--scenarios", "Timeout", "--trials", "custom_nobatch"),
        ("--sequence-length-mean", "2.5", "--load-users", "1", "--allow-failure", "", "--grpc-insecure"),
        ("--thresholds", "p99_ms<50, runs>=10", "--fail-on-bottleneck", "--max-cpu-percent", "0"),
        ("--report-dir", "the reports' folder", "--grpc-private-key", "$HOME/key.pem"),
        (
            "Mine",
            "Yours",
            "-f",
            "a,b.py",
            "--tags",
            "a",
            "b",
            "--exclude-tags",
            "c",
            "-u",
            "20",
            "-r",
            "0.5",
            "-t",
            "2h",
        ),
        ("--processes", "4", "-u", "3000000"),
    ],
)
def test_its_options_are_those_of_the_run(arguments: tuple[str, ...]) -> None:
    options = parse(*arguments)
    name, *words = shlex.split(command(options, 42, host="", workers=0))
    again = parse(*words)
    assert name == "locust"
    assert settings_from(again, drawn_seed=1) == settings_from(options, drawn_seed=42)
    assert judging_from(again) == judging_from(options)
    plan = {"user_classes", "locustfile", "tags", "exclude_tags", "num_users", "spawn_rate", "run_time", "processes"}
    for option in ({option.name for option in own_options()} | plan) - {"seed"}:
        assert getattr(again, option) == getattr(options, option)


def test_a_header_s_value_is_a_variable_in_it() -> None:
    options = parse("--grpc-header", "authorization: Bearer s3cret", "--grpc-header", "x-b: ${TOKEN}s3cret")
    again = command(options, 7, host="", workers=0)
    assert "s3cret" not in again
    words = shlex.split(again)
    assert words[-4:] == ["--grpc-header", "authorization: ${AUTHORIZATION}", "--grpc-header", "x-b: ${X_B}"]


def test_it_names_the_server_unless_that_was_the_embedded_one() -> None:
    assert command(parse(), 7, host="", workers=0) == "locust --headless --seed 7"
    assert command(parse(), 7, host="grpc://a:1", workers=0) == "locust --headless -H grpc://a:1 --seed 7"


def test_it_waits_for_as_many_workers_as_there_were() -> None:
    assert command(parse(), 7, host="", workers=3) == "locust --headless --master --expect-workers 3 --seed 7"


def test_a_run_of_the_console_command_is_made_again_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It wires the plugin to a locustfile that does not do so itself."""
    monkeypatch.setattr("sys.argv", ["/usr/bin/triton-users"])
    own = parse("-f", "mine.py", "--report-dir", "here")
    assert command(own, 7, host="", workers=0).startswith("triton-users --headless -f mine.py ")
    packaged = parse("-f", triton_users.locustfile.__file__)
    assert " -f " not in command(packaged, 7, host="", workers=0)
