"""Workers meet no master but their own."""

import socket
from argparse import Namespace
from collections.abc import Iterator

import pytest
from locust.argument_parser import LocustArgumentParser, get_parser

from triton_users.locust_compat.command_line import act_before_locust_forks
from triton_users.locust_compat.master_port import keep_forked_workers_from_another_runs_master


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def parse(*arguments: str, default: int = 0) -> Namespace:
    parser: LocustArgumentParser = get_parser(default_config_files=[])
    if default:
        parser.set_defaults(master_port=default, master_bind_port=default)
    act_before_locust_forks(parser, lambda options: keep_forked_workers_from_another_runs_master(options, parser))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["locust", *arguments])
        return parser.parse_args()


def test_where_the_default_port_is_taken_forked_workers_and_their_master_get_a_free_one(
    taken: int, capsys: pytest.CaptureFixture[str]
) -> None:
    options = parse("--processes", "2", default=taken)
    assert options.master_port == options.master_bind_port != taken
    socket.create_server(("127.0.0.1", options.master_port)).close()
    assert f"port {taken} is taken" in capsys.readouterr().err


def test_of_two_runs_that_begin_at_once_only_one_gets_the_default_port(capsys: pytest.CaptureFixture[str]) -> None:
    """The other one is not listening there yet."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other_run:
        other_run.bind(f"\0triton-users-master-{port}")
        assert parse("--processes", "2", default=port).master_port != port
    assert f"port {port} is taken" in capsys.readouterr().err
    assert parse("--processes", "2", default=port).master_port == port, "it has ended, and so has its claim"


def test_a_port_that_is_free_stays(taken: int) -> None:
    assert parse("--processes", "2", "--master-bind-port", "45557").master_port == 45557
    assert parse("--worker", default=taken).master_port == taken
    assert parse("--worker", "--processes", "2", default=taken).master_port == taken
    assert parse(default=taken).master_bind_port == taken


@pytest.mark.parametrize("mode", [("--master",), ("--processes", "2")])
def test_a_port_that_was_asked_for_and_is_taken_ends_the_command(
    taken: int, mode: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as raised:
        parse(*mode, "--master-bind-port", str(taken))
    assert raised.value.code == 2
    assert f"port {taken} is taken, perhaps by the master of another run" in capsys.readouterr().err


def test_a_master_whose_default_port_is_taken_ends_the_command(taken: int) -> None:
    with pytest.raises(SystemExit):
        parse("--master", default=taken)
