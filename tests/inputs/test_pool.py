"""The requests of a model, found by the entries of its data that a trace names."""

import pytest

from tests.inputs.specs import ints, model
from triton_users.inputs.data import Step, StepList
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.pool import RequestPool


def pool(*lengths: int, whole: bool | None = None, sequences: bool = False) -> RequestPool:
    streams = [[Step({})] * length for length in lengths]
    return RequestPool(model(ints(), sequences=sequences), StepList(streams, whole=whole))


@pytest.mark.parametrize(
    ("found", "entries"),
    [
        (pool(10), {"0": (0, 0), "9": (0, 9), "0:9": (0, 9)}),
        (pool(10, whole=True), {"9": (0, 9)}),
        (pool(3, 2), {"1": (1, None), "1:1": (1, 1), "0:2": (0, 2)}),
        (pool(10, sequences=True), {"9": (0, 9)}),
        (pool(10, whole=True, sequences=True), {"0": (0, None)}),
        (pool(3, 2, sequences=True), {"0": (0, None), "1": (1, None)}),
    ],
)
def test_an_entry_is_named_by_its_number(found: RequestPool, entries: dict[str, tuple[int, int | None]]) -> None:
    assert {name: found.entry(name) for name in entries} == entries


@pytest.mark.parametrize(
    ("found", "name", "says"),
    [
        (pool(10), "10", "'10' is no entry of the input data; it must be 0 to 9"),
        (pool(10), "-1", "it must be 0 to 9"),
        (pool(10), "cat.jpg", "'cat.jpg' is no entry"),
        (pool(10), "0:1:2", "is no entry"),
        (pool(10), "²", "is no entry"),
        (pool(3, 2), "1:2", "it must be 0 to 1 or one step of it, as 0:0"),
        (pool(10, whole=True, sequences=True), "3", "it must be 0 to 0"),
        (pool(3, 2, sequences=True), "1:0", "'1:0' is one step of a sequence, which is sent whole; write 1"),
    ],
)
def test_what_is_no_entry_is_refused_with_those_there_are(found: RequestPool, name: str, says: str) -> None:
    with pytest.raises(DataError) as refused:
        found.entry(name)
    assert says in str(refused.value)
