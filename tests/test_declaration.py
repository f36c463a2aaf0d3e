"""An option is declared once: its name, its words, its range and how its value is read follow from that."""

from argparse import Namespace
from dataclasses import dataclass

import pytest

from triton_users.declaration import UsageError, check, declared, names, option, read


@dataclass(frozen=True)
class Example:
    pause_ms: int = option(5, "How long.", unit="ms", low=0, high=10)
    colours: tuple[str, ...] = option("red,blue", "Which.", choices=("red", "blue", "green"), read=names)
    shape: str = option("round", "What.", choices=("round", "square"))
    free: str = option("", "Anything.")
    share: float = option(0.5, "How much.", low=0, high=1, prefix="max_", label="limit of the share")


def test_the_name_is_the_field_s_behind_its_prefix_and_messages_leave_the_unit_to_the_value() -> None:
    known = declared(Example)
    assert [each.flag for each in known.values()] == ["--pause-ms", "--colours", "--shape", "--free", "--max-share"]
    assert known["pause_ms"].label == "pause"
    assert known["pause_ms"].range == "0 to 10 ms"


def test_a_field_s_default_is_what_is_read_of_the_option_s() -> None:
    assert Example().colours == ("red", "blue")
    assert read(Example, Namespace()) == Example()


def test_values_are_read_and_checked() -> None:
    assert read(Example, Namespace(pause_ms=0, colours=" green ,", max_share=1.0)) == Example(0, ("green",), share=1.0)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Example(pause_ms=11), "the pause is 11 ms; it must be from 0 to 10 ms"),
        (Example(share=-0.25), "the limit of the share is -0.25; it must be from 0 to 1"),
        (Example(share=float("nan")), "the limit of the share is nan; it must be from 0 to 1"),
        (Example(colours=("red", "pink")), "colours: there is no 'pink'; it must be one of: red, blue, green"),
        (Example(shape="flat"), "shape: there is no 'flat'; it must be one of: round, square"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_would_be_right(made: Example, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        check(made)
    assert str(raised.value) == message


def test_a_text_that_has_no_choices_may_be_any() -> None:
    check(Example(free="anything, at all"))


def test_a_number_without_a_range_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        option(5, "How long.")
