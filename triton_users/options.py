"""The options this plugin adds to Locust's command line, config file and web UI, and how they become settings.

To add one, declare it: a line `name: type = option(default, help, ...)` in one of the dataclasses in GROUPS, see
`declaration.option`. From that alone come the argument, the field in the web form, the key in `locust.conf`, the checks
with their messages and its row in docs/options.md, once `python docs/options_table.py` has written that anew. The run
then has it as a field of its group, which `declaration.read(GROUP, parsed_options)` makes, checked.
"""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _AppendAction
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from triton_users.arrivals.settings import ArrivalSettings
from triton_users.capacity.settings import CapacitySettings
from triton_users.declaration import EXIT_USAGE, Option, Value, declared, digits, read, typed
from triton_users.exports import otel, otel_forks
from triton_users.exports.options import ExportSettings
from triton_users.inputs.options import ModelSettings
from triton_users.judge.client_limited import Limits
from triton_users.judge.goodput import GoodputSettings
from triton_users.judge.thresholds import JudgingSettings
from triton_users.judge.trends import TrendLimits
from triton_users.locust_compat.command_line import act_before_locust_forks
from triton_users.locust_compat.interrupts import take_interrupts_that_locust_does_not_expect
from triton_users.locust_compat.master_port import keep_forked_workers_from_another_runs_master
from triton_users.locust_compat.start_gate import hold_starts_that_come_before_init
from triton_users.server.options import ServerSettings
from triton_users.settings import ConnectionSettings, ReportSettings, Settings, UsageError, WitnessSettings
from triton_users.system.parent_death import tie_forks

if TYPE_CHECKING:
    from locust.argument_parser import LocustArgumentParser


_MARK = "triton_options"
"""Set on the parsers that have our options."""

GROUPS: dict[str, type] = {
    "What runs": Settings,
    "What models are sent": ModelSettings,
    "When users start": ArrivalSettings,
    "How much load holds": CapacitySettings,
    "Which server": ServerSettings,
    "How users connect": ConnectionSettings,
    "What fails a run": JudgingSettings,
    "What a good request is": GoodputSettings,
    "What must not get worse while a run lasts": TrendLimits,
    "When the client is the bottleneck": Limits,
    "What the server says of itself": WitnessSettings,
    "Reports": ReportSettings,
    "Exports": ExportSettings,
}
"""Heading -> the dataclass whose fields are options."""


def add_options(parser: LocustArgumentParser, **_: Any) -> None:
    """Add our options. A listener of Locust's `init_command_line_parser`.

    Each option has a typed default that is not None, since Locust's web UI converts what a person enters to the
    type of the value before it. They are added to the parser itself: an argument group would not show in the web UI.
    Safe to call twice for a parser: several locustfiles of one command may each ask for them.
    """
    if getattr(parser, _MARK, False):
        return
    setattr(parser, _MARK, True)
    for option in own_options():
        hidden = {"include_in_web_ui": False} if option.secret or option.settled else {}
        add_option(parser, option, env_var=f"LOCUST_{option.name.upper()}", **hidden)
    # Locust's own default is every interface, with no login: not for a tool that starts load on a click.
    parser.set_defaults(web_host="127.0.0.1")
    if hold_starts_that_come_before_init():  # Locust's web UI makes parsers too, long after
        tie_forks()
        act_before_locust_forks(parser, lambda options: _before_locust_forks(options, parser))


def _before_locust_forks(options: Namespace, parser: LocustArgumentParser) -> None:
    take_interrupts_that_locust_does_not_expect()
    if getattr(options, "otel", False):
        try:
            otel.prepare(os.environ)
            otel_forks.begin_anew_in_workers_only()
        except UsageError as error:
            sys.stderr.write(f"locust: error: {error}\n")
            sys.exit(EXIT_USAGE)
    keep_forked_workers_from_another_runs_master(options, parser)


def own_options() -> list[Option]:
    """All our options, in their order."""
    return [option for group in GROUPS.values() for option in declared(group).values()]


def parsed(words: Sequence[str], before: Namespace | None = None) -> tuple[Namespace, list[str]]:
    """Our options and --host among the words of a run's command, and the other words. No config file is read.

    `before`: those of other words, which these come after.
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-H", "--host", default="")
    for option in own_options():
        add_option(parser, option)
    return parser.parse_known_args(list(words), before)


def settings_from(options: Namespace | None, drawn_seed: int, own_models: Collection[str] = ()) -> Settings:
    """The checked Settings in these options; `drawn_seed` is the seed where they name none.

    `own_models`: see `Settings.check`. Raises UsageError for a value that cannot be used.
    """
    settings = read(Settings, options)
    settings.check(own_models)
    return settings if settings.seed else replace(settings, seed=drawn_seed)


def judging_from(options: Namespace) -> dict[str, Any]:
    """What the verdict goes by, as the fields of `report.RunInfo` that are called as the options are, and `limits`.

    Raises UsageError for a value that cannot be used.
    """
    judging, goodput = read(JudgingSettings, options), read(GoodputSettings, options)
    if not goodput.goodput and any(each.metric == "goodput" for each in judging.thresholds):
        raise UsageError(
            "thresholds: there is a limit of the goodput, but nothing says what a good request is; give for instance "
            '--goodput "latency_ms<200"'
        )
    return {**vars(judging), **vars(goodput), "limits": read(Limits, options), "trends": read(TrendLimits, options)}


def report_dir_from(options: Namespace) -> Path:
    """The folder for reports, which is made here and tried out.

    Raises UsageError when nothing can be written into it.
    """
    name = read(ReportSettings, options).report_dir
    if not name.strip():
        raise UsageError("the report-dir is empty; name a folder, for instance reports, or . for the current one")
    folder = Path(name)
    try:
        if folder.is_file():
            raise NotADirectoryError("it is a file")
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".probe", dir=folder):
            return folder
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"the report-dir is {name!r}, but no report can be written there: {why}; name a folder that can be written"
        ) from None


def table() -> str:
    """All our options with type, default, range and meaning, in Markdown, a table under the heading of each group."""
    return "\n".join(f"## {heading}\n\n{_rows(declared(group).values())}" for heading, group in GROUPS.items())


def _rows(options: Iterable[Option]) -> str:
    head = "| option | type | default | range | meaning |\n|---|---|---|---|---|\n"
    return head + "".join(
        f"| `{each.flag}` | {_type(each)} | `{_text(each.default)}` | {each.range} | {each.help} |\n"
        for each in options
    )


def _type(option: Option) -> str:
    kind = {int: "whole number", float: "number", str: "text", bool: "true or false"}[type(option.default)]
    if option.repeated:
        return f"{kind}, may be repeated"
    return "list" if option.is_list else kind


def _text(value: Value) -> str:
    """A value as `locust.conf` has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return (value or '""') if isinstance(value, str) else digits(value)


def add_option(parser: ArgumentParser, option: Option, **more: Any) -> None:
    """Add one option to any parser. `more`: what that parser's `add_argument` takes beside argparse's own."""
    default, said = option.default, option.help
    if isinstance(default, bool):
        parser.add_argument(option.flag, action="store_true", default=default, help=said, **more)
        return
    if not isinstance(default, str):
        said += f" From {option.range}, by default {_text(default)}."
    choices = option.choices if option.is_one_of else None
    if option.repeated or option.is_list:
        more["action"] = _Joined
        more["joint"] = "\n" if option.repeated else ","
    parser.add_argument(
        option.flag, type=_converter(type(default)), default=default, help=said, choices=choices, **more
    )


class _Joined(_AppendAction):  # what ConfigArgParse takes a list for, `grpc-header = [a: 1, b: 2]`
    """Joins what an option is given, once or several times: a text, as the other options that Locust sends to workers.

    Else the last of several would take the others' place without a word.
    """

    def __init__(self, *arguments: Any, joint: str, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._joint = joint

    def __call__(self, parser: Any, namespace: Namespace, values: Any, option_string: str | None = None) -> None:
        before = getattr(namespace, self.dest)
        setattr(namespace, self.dest, values if before is self.default else f"{before}{self._joint}{values}")


def _converter(kind: type) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return typed(kind, text)
        except UsageError as error:
            raise ArgumentTypeError(str(error)) from None

    return convert
