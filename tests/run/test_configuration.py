"""What the master settles travels to the workers whole."""

import dataclasses

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from triton_users.run.configuration import RunConfiguration
from triton_users.scenarios.base import Target
from triton_users.settings import Settings

TEXTS = st.text(max_size=5)
VALUES = {
    "int": st.integers(0, 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "str": TEXTS,
    "bool": st.booleans(),
    "tuple[str, ...]": st.lists(TEXTS, max_size=3).map(tuple),
    "tuple[tuple[str, str], ...]": st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    "frozenset[str]": st.frozensets(TEXTS, max_size=3),
    "Mapping[str, int]": st.dictionaries(TEXTS, st.integers(0, 9), max_size=3),
}
"""A field's type, as it is written -> its values."""


def any_of(kind: type) -> st.SearchStrategy:
    return st.builds(kind, **{field.name: VALUES[str(field.type)] for field in dataclasses.fields(kind)})


@given(
    st.builds(
        RunConfiguration,
        run_id=VALUES["int"],
        settings=any_of(Settings),
        target=any_of(Target),
        left_out=st.dictionaries(TEXTS, TEXTS, max_size=2),
        epoch=TEXTS,
    )
)
def test_what_a_worker_gets_is_what_was_settled(configuration: RunConfiguration) -> None:
    assert RunConfiguration.unpack(msgpack.loads(msgpack.dumps(configuration.pack()))) == configuration
