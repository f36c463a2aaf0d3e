"""Options become checked settings; a wrong one is told with its value and what would be right."""

from argparse import Namespace
from dataclasses import fields
from pathlib import Path

import pytest
from locust.argument_parser import LocustArgumentParser

from triton_users.options import add_options, report_dir_from, settings_from
from triton_users.settings import DEFAULT_WEIGHTS, Settings, UsageError


def parse(*arguments: str) -> Namespace:
    parser = LocustArgumentParser()
    parser.add_argument("--web-host", default="")
    parser.set_defaults(worker=True)  # no master, so no port to settle
    add_options(parser)
    return parser.parse_args(list(arguments))


def test_no_option_gives_the_settings_as_the_scenarios_define_them() -> None:
    assert settings_from(parse(), drawn_seed=7) == Settings(seed=7)


def test_every_setting_has_an_option_that_the_web_form_can_show() -> None:
    parser = LocustArgumentParser()
    parser.add_argument("--web-host", default="")
    add_options(parser)
    shown = parser.args_included_in_web_ui
    for field in fields(Settings):
        assert field.name in shown
        assert shown[field.name].default is not None


def test_every_option_is_documented_with_its_default() -> None:
    parser = LocustArgumentParser()
    add_options(parser)
    documented = (Path(__file__).parent.parent / "docs" / "options.md").read_text()
    for action in parser._actions:
        if action.dest != "help":
            default = "" if action.default in ("", False) else f"`{action.default}`"
            assert f"| `{action.option_strings[0]}` | {default} | {action.help}" in documented


def test_the_web_ui_listens_on_loopback_unless_told_otherwise() -> None:
    assert parse().web_host == "127.0.0.1"
    assert parse("--web-host", "0.0.0.0").web_host == "0.0.0.0"


def test_a_seed_that_is_given_is_kept() -> None:
    assert settings_from(parse("--seed", "42"), drawn_seed=7).seed == 42


def test_a_weight_replaces_the_default_one_and_leaves_the_others() -> None:
    weights = settings_from(parse("--weights", "Timeout=1, ResNet=0"), drawn_seed=7).weights
    assert weights == {**DEFAULT_WEIGHTS, "Timeout": 1, "ResNet": 0}


def test_scenarios_that_are_not_named_have_no_weight() -> None:
    settings = settings_from(parse("--scenarios", "Timeout,ResNet"), drawn_seed=7)
    assert [name for name in DEFAULT_WEIGHTS if settings.weight_of(name)] == ["Timeout", "ResNet"]


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
    assert "'many'" in capsys.readouterr().err


def test_the_folder_for_reports_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    folder = report_dir_from(parse("--report-dir", str(tmp_path / "new" / "reports")))
    assert folder.is_dir()
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["", " ", __file__, f"{__file__}/reports", "/proc/nope", "no\0name"])
def test_a_folder_that_no_report_can_be_written_into_is_refused(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        report_dir_from(parse(f"--report-dir={name}"))
    assert "report-dir is" in str(raised.value)
