"""How an option is declared, read and checked. Knows no command line, no web form and not one option.

A field of a frozen dataclass is an option when its value is `option(default, help, ...)`. Parser, web form, config
file, checks and documentation are made from that by `triton_users.options`, which says how to add one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

_Group = TypeVar("_Group")

Value = int | float | str | bool
"""What an option is outside of its group: on the command line, in the web form, on the way to the workers."""

_KINDS: Mapping[type, str] = {int: "a whole number", float: "a number"}
_SHOWN = 60
"""Characters of a wrong value that are repeated in a message."""


EXIT_USAGE = 2
"""The exit code of a command that cannot be run as it was given."""
EXIT_INTERRUPTED = 130
"""The exit code of a command that was interrupted before it was done, as shells have it; a run has its verdict's."""


class UsageError(ValueError):
    """The user asked for something that cannot be: the message says what, the value seen and what would be right.

    The command ends with exit code 2.
    """


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Option:
    """One option's declaration. Its type is that of its default."""

    default: Value
    help: str
    unit: str
    low: float | None
    """Both ends of its range are values that can be used; None: it is no number."""
    high: float | None
    choices: tuple[str, ...]
    """The only values there are, or the only names in a list of names; empty: any."""
    read: Callable[[Any], Any]
    """From the option's value to the field's. Raises UsageError for what cannot be read."""
    name: str
    """As Locust's parsed options have it, the flag is `--name` with dashes. Of a field not yet named, its prefix."""
    label: str
    """What messages call it."""
    repeated: bool = False
    """Whether it may be given several times; its value has each in a line of its own."""
    secret: bool = False
    """Whether nothing may show its value: no report, no log, no message, no web form."""
    settled: bool = False
    """Whether it is settled when the command starts, so that no web form asks for it before a run."""

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def is_one_of(self) -> bool:
        """Whether its value is one of `choices`: a select box in the web form."""
        return bool(self.choices) and self.read is _same

    @property
    def is_list(self) -> bool:
        """Whether its value is a list with commas."""
        return isinstance(self.default, str) and self.read is not _same

    @property
    def range(self) -> str:
        """What its value may be, for people; "" for any."""
        if self.low is None:
            return ", ".join(self.choices)
        return f"{digits(self.low)} to {self._amount(self.high)}"

    def check(self, value: Any) -> None:
        """Raise UsageError for a field's value that cannot be used."""
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:  # refuses NaN too
            raise UsageError(
                f"the {self.label} is {self._amount(value)}; "
                f"it must be from {digits(self.low)} to {self._amount(self.high)}"
            )
        for each in [value] if isinstance(value, str) else value if self.choices else ():
            if self.choices and each not in self.choices:
                raise UsageError(f"{self.flag[2:]}: there is no {each!r}; it must be one of: {', '.join(self.choices)}")

    def _amount(self, value: float | None) -> str:
        return f"{digits(value)} {self.unit}".rstrip()


def option(
    default: Value,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    read: Callable[[Any], Any] = _same,
    prefix: str = "",
    label: str = "",
    repeated: bool = False,
    secret: bool = False,
    settled: bool = False,
) -> Any:
    """A field that is an option.

    `default` is what a person would type: a whole number, a number, a text or a truth value (a check box). A number
    has a range, `low` to `high` in `unit`. `choices` are the only texts there are (a select box). `read` makes the
    field's value of the option's, where it is another: `names` a tuple of a comma separated list. The
    option has the field's name behind `prefix`; `label`, what messages call it, is that name in words without its unit
    where none is given. A `repeated` one, a text, may be given several times, each a line of the value (`lines`). The
    value of a `secret` one is shown nowhere. A `settled` one is for the command, not for one of its runs.
    """
    assert default is not True, "a flag turns something on"
    number = isinstance(default, (int, float)) and not isinstance(default, bool)
    assert number == (low is not None) == (high is not None), "each number has a range, and nothing else has"
    assert not repeated or isinstance(default, str), "a repeated option's value is a text of lines"
    declared = Option(default, help, unit, low, high, choices, read, prefix, label, repeated, secret, settled)
    value = read(default)
    if isinstance(value, dict):
        return field(default_factory=lambda: read(default), metadata={"option": declared}, repr=not secret)
    return field(default=value, metadata={"option": declared}, repr=not secret)


def declared(group: type) -> dict[str, Option]:
    """Field -> its declaration, of all the options of a dataclass, in their order."""
    found: dict[str, Option] = {}
    for each in fields(group):
        one: Option | None = each.metadata.get("option")
        if one is not None:
            words = each.name.removesuffix(f"_{one.unit.lower()}").replace("_", " ")
            found[each.name] = replace(one, name=one.name + each.name, label=one.label or words)
    return found


def read(group: type[_Group], options: object) -> _Group:
    """The group in Locust's parsed options, each value checked by itself; one that they lack is as by default.

    Raises UsageError for the first value that cannot be used.
    """
    one_by_one = declared(group).items()
    made = group(**{name: each.read(getattr(options, each.name, each.default)) for name, each in one_by_one})
    check(made)
    return made


def check(group: object) -> None:
    """Raise UsageError for the first field of a group that is out of its range or none of its choices."""
    for name, each in declared(type(group)).items():
        each.check(getattr(group, name))


def typed(kind: type, text: str) -> Any:
    """`text` as a person wrote it, as a number of this kind. Raises UsageError when it is none."""
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"{shown(text)} is not {_KINDS[kind]}") from None


def names(text: str) -> tuple[str, ...]:
    """The parts of a comma separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def lines(text: str) -> tuple[str, ...]:
    """What a repeated option was given, in order."""
    return tuple(line.strip() for line in text.split("\n") if line.strip())


def shown(text: str) -> str:
    """A wrong value as a message repeats it: the beginning of a long one."""
    if not text:
        return "nothing"
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def digits(value: float | None) -> str:
    """A number as a person would type it."""
    return str(value) if isinstance(value, int) else f"{value:g}"
