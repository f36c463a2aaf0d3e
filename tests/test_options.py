"""Options become checked settings; a wrong one is told with its value and what would be right."""

import math
from argparse import Namespace
from dataclasses import fields
from pathlib import Path

import pytest
from locust.argument_parser import LocustArgumentParser, get_parser

from triton_users.declaration import declared, read
from triton_users.options import GROUPS, add_options, own_options, report_dir_from, settings_from, table
from triton_users.settings import DEFAULT_WEIGHTS, ConnectionSettings, Settings, UsageError


def parse(*arguments: str) -> Namespace:
    parser = LocustArgumentParser()
    parser.add_argument("--web-host", default="")
    parser.set_defaults(worker=True)  # no master, so no port to settle
    add_options(parser)
    return parser.parse_args(list(arguments))


def test_no_option_gives_the_settings_as_the_scenarios_define_them() -> None:
    assert settings_from(parse(), drawn_seed=7) == Settings(seed=7)


def test_every_field_of_every_group_is_an_option() -> None:
    for group in GROUPS.values():
        assert [field.name for field in fields(group)] == list(declared(group))


def test_every_option_has_a_typed_default_that_the_web_form_can_show() -> None:
    parser = LocustArgumentParser()
    parser.add_argument("--web-host", default="")
    add_options(parser)
    shown = parser.args_included_in_web_ui
    for option in own_options():
        if option.secret or option.settled:
            assert option.name not in shown
            continue
        assert type(shown[option.name].default) is type(option.default)
        assert shown[option.name].default == option.default is not None


def test_the_options_page_is_what_the_declarations_make_of_it() -> None:
    documented = (Path(__file__).parent.parent / "docs" / "options.md").read_text()
    assert f"\n{table()}\n" in documented, "write it anew with python docs/options_table.py"


@pytest.mark.parametrize(
    "row",
    [
        "`--connections` | whole number | `0` |",
        '`--scenarios` | list | `""` |',
        "`--grpc-insecure` | true or false | `false` |",
    ],
)
def test_a_default_of_nothing_is_shown_too(row: str) -> None:
    assert f"| {row}" in table()


def test_each_number_is_refused_just_outside_of_its_range_and_in_the_same_words() -> None:
    for group in GROUPS.values():
        for option in declared(group).values():
            if option.low is None:
                continue
            read(group, Namespace(**{option.name: option.low}))
            read(group, Namespace(**{option.name: option.high}))
            for value in (option.low - 1, option.high + 1, math.nan):
                with pytest.raises(UsageError) as raised:
                    read(group, Namespace(**{option.name: value}))
                assert f"the {option.label} is " in str(raised.value)
                assert f"it must be from {option.range}" in str(raised.value)


def test_an_option_that_nobody_added_is_as_by_default() -> None:
    assert settings_from(Namespace(), drawn_seed=7) == settings_from(None, drawn_seed=7) == Settings(seed=7)


def test_a_key_of_the_config_file_is_the_flag_without_its_dashes(tmp_path: Path) -> None:
    (tmp_path / "locust.conf").write_text("idle-limit-s = 2.5\ngrpc-insecure = true\nthresholds = runs>=10\n")
    parser = get_parser(default_config_files=[str(tmp_path / "locust.conf")])
    parser.set_defaults(worker=True)
    add_options(parser)
    options = parser.parse_args([])
    assert (options.idle_limit_s, options.grpc_insecure, options.thresholds) == (2.5, True, "runs>=10")


def test_the_web_ui_listens_on_loopback_unless_told_otherwise() -> None:
    assert parse().web_host == "127.0.0.1"
    assert parse("--web-host", "0.0.0.0").web_host == "0.0.0.0"


def headers(*arguments: str) -> tuple[tuple[str, str | bytes], ...]:
    return read(ConnectionSettings, parse(*arguments)).grpc_header


def test_a_header_may_be_given_several_times_and_take_its_value_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOKEN", "ey.J")
    assert headers() == ()
    several = ("--grpc-header", "Authorization: Bearer ${TOKEN}", "--grpc-header", "x-trace-bin: AAEC")
    assert headers(*several) == (("authorization", "Bearer ey.J"), ("x-trace-bin", b"\x00\x01\x02"))
    assert "ey.J" not in repr(read(ConnectionSettings, parse(*several)))


def test_a_config_file_lists_several_headers(tmp_path: Path) -> None:
    (tmp_path / "locust.conf").write_text("grpc-header = [x-a: 1, x-b: 2]\n")
    parser = get_parser(default_config_files=[str(tmp_path / "locust.conf")])
    parser.set_defaults(worker=True)
    add_options(parser)
    assert read(ConnectionSettings, parser.parse_args([])).grpc_header == (("x-a", "1"), ("x-b", "2"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("s3cret", "number 1 is not NAME: VALUE"),
        (": s3cret", "number 1 is not NAME: VALUE"),
        ("x-a: s3cret ${NO_SUCH_VARIABLE}", "x-a takes the environment variable NO_SUCH_VARIABLE, which is not set"),
        ("x-a: s3cret\u00e9", "the value of x-a is not printable ASCII"),
        ("x-a-bin: s3cret", "the value of x-a-bin, whose name ends in -bin, is no base64"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_and_its_value_is_not_shown(header: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        headers("--grpc-header", header)
    assert message in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_a_seed_that_is_given_is_kept() -> None:
    assert settings_from(parse("--seed", "42"), drawn_seed=7).seed == 42


def test_a_weight_replaces_the_default_one_and_leaves_the_others() -> None:
    weights = settings_from(parse("--weights", "Timeout=1, ResNet=0"), drawn_seed=7).weights
    assert weights == {**DEFAULT_WEIGHTS, "Timeout": 1, "ResNet": 0}


def test_scenarios_that_are_not_named_have_no_weight() -> None:
    settings = settings_from(parse("--scenarios", "Timeout,ResNet"), drawn_seed=7)
    assert [name for name in DEFAULT_WEIGHTS if settings.weight_of(name)] == ["Timeout", "ResNet"]


def test_models_run_alone_or_beside_the_scenarios_that_are_named() -> None:
    alone = settings_from(parse("--models", "bert=3, densenet"), drawn_seed=7)
    assert {name: alone.weight_of(name) for name in alone.names if alone.weight_of(name)} == {"bert": 3, "densenet": 1}
    beside = settings_from(parse("--models", "bert=3", "--scenarios", "Timeout"), drawn_seed=7)
    assert [name for name in beside.names if beside.weight_of(name)] == ["Timeout", "bert"]
    assert beside.asked_by_name == ("Timeout", "bert")


def test_models_may_be_allowed_to_fail_those_of_a_locustfile_too() -> None:
    settings = settings_from(parse("--models", "bert", "--allow-failure", "bert,mine"), 7, own_models=("mine",))
    assert settings.allow_failure == ("bert", "mine")


def test_an_option_may_come_from_the_environment_which_the_command_line_overrides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("MODELS", "bert=3,densenet"), ("SEED", "5"), ("GRPC_INSECURE", "true")):
        monkeypatch.setenv(f"LOCUST_{name}", value)
    options = parse("--seed", "6")
    assert (options.models, options.seed, options.grpc_insecure) == ("bert=3,densenet", 6, True)


def test_a_list_that_is_given_in_several_parts_is_one_list() -> None:
    options = parse("--models", "bert", "--models", "densenet=2", "--trials", "onnx", "--report-dir", "a",
                    "--report-dir", "b")  # fmt: skip
    assert (options.models, options.trials, options.report_dir) == ("bert,densenet=2", "onnx", "b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seed", "-1"), "the seed is -1"),
        (("--scenarios", "SequenceValit"), "there is no 'SequenceValit'; it must be one of: SequenceValid"),
        (("--weights", "Timeout"), "'Timeout' is not NAME=WEIGHT"),
        (("--weights", "Timeout=many"), "'Timeout=many' is not NAME=WEIGHT"),
        (("--weights", "Timeout=-3"), "'Timeout=-3' is not NAME=WEIGHT"),
        (("--weights", "Nothing=3"), "weights: there is no 'Nothing'"),
        (("--scenarios", "Timeout", "--weights", "Timeout=0"), "asked for by name but its weight is 0"),
        (("--weights", ",".join(f"{name}=0" for name in DEFAULT_WEIGHTS)), "every scenario has weight 0"),
        (("--trials", "custm"), "there is no 'custm'"),
        (("--trials", ""), "no trial is selected"),
        (("--sequence-length-mean", "nan"), "the sequence length mean is nan"),
        (("--deadline-tensor-mib", "2048"), "it must be from 1 to 2047 MiB"),
        (("--batch-size", "0"), "the batch size is 0 pictures; it must be from 1 to 1024 pictures"),
        (("--load-users", "-1"), "the number of load users is -1"),
        (("--allow-failure", "Everything"), "allow-failure: there is no 'Everything'"),
        (("--models", "bert", "--allow-failure", "bort"), "it must be one of: SequenceValid"),
        (("--models", "bert=many"), "models: 'bert=many' is not NAME or NAME=WEIGHT"),
        (("--models", "=3"), "models: '=3' is not NAME or NAME=WEIGHT"),
        (("--models", "bert,bert=2"), "models: bert is there twice"),
        (("--models", "bert=0"), "every scenario has weight 0"),
        (("--models", "bert=100001"), "the weight of bert is 100001"),
        (("--models", "ResNet"), "models: ResNet is the name of a scenario"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_would_be_right(
    arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        settings_from(parse(*arguments), drawn_seed=7)
    assert message in str(raised.value)


def test_a_value_of_the_wrong_type_ends_the_command_with_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        parse("--batch-size", "many")
    assert raised.value.code == 2
    assert "argument --batch-size: 'many' is not a whole number" in capsys.readouterr().err


def test_the_folder_for_reports_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    folder = report_dir_from(parse("--report-dir", str(tmp_path / "new" / "reports")))
    assert folder.is_dir()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["", " ", __file__, f"{__file__}/reports", "/proc/nope", "no\0name"])
def test_a_folder_that_no_report_can_be_written_into_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        report_dir_from(parse(f"--report-dir={name}"))
    assert "report-dir is" in str(raised.value)
