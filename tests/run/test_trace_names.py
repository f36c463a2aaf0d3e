"""What a trace may name, and what is said of a name that nobody can send."""

import pytest

from tests.inputs.specs import ints, model
from triton_users.declaration import UsageError
from triton_users.inputs.data import Step, StepList
from triton_users.inputs.pool import RequestPool
from triton_users.run.trace_names import Known, check

KNOWN: Known = {
    "SequenceValid": frozenset(),
    "bert": frozenset({"bert"}),
    "resnet": frozenset({"resnet"}),
    "infer": frozenset({"resnet"}),
    "visit": frozenset(),
}
LENGTHS = {"bert": 10, "resnet": 4}


def pool(name: str) -> RequestPool:
    return RequestPool(model(ints()), StepList([[Step({})] * LENGTHS[name]]))


def test_names_that_are_there_are_taken() -> None:
    check(
        [("", ""), ("SequenceValid", ""), ("bert", "9"), ("infer", "3"), ("visit", "anything"), ("", "3")], KNOWN, pool
    )


def test_no_data_are_read_where_no_input_is_named() -> None:
    def none(name: str) -> RequestPool:
        raise AssertionError(name)

    check([("bert", ""), ("visit", "7")], KNOWN, none)


@pytest.mark.parametrize(
    ("named", "says"),
    [
        (("Bert", ""), "names Bert, which no user of this run can send; it can name: SequenceValid, bert"),
        (("bert", "10"), "an input for bert: '10' is no entry of the input data; it must be 0 to 9"),
        (("infer", "4"), "an input for resnet: '4' is no entry"),
        (("", "5"), "an input for resnet: '5' is no entry"),
        (("SequenceValid", "3"), "names the input '3' for SequenceValid, which makes its own"),
    ],
)
def test_what_nobody_can_send_is_one_error(named: tuple[str, str], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        check([("bert", "1"), named], KNOWN, pool)
    assert says in str(refused.value)
