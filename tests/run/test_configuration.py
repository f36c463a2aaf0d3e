"""What the master settles travels to the workers whole."""

import dataclasses
from argparse import Namespace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from locust import HttpUser, User

from triton_users.image_model.tensors import ImageTensors
from triton_users.inputs.model import ModelSpec, TensorSpec
from triton_users.inputs.random_data import Ranges
from triton_users.inputs.traffic import ModelTraffic
from triton_users.run.configuration import (
    RunConfiguration,
    check_descriptors,
    check_users,
    host_of_classes,
    only_tagged,
    weights,
)
from triton_users.scenarios.base import Target
from triton_users.settings import Settings, UsageError
from triton_users.stress import TritonStressUser
from triton_users.system import descriptors
from triton_users.users import TritonGrpcUser

TEXTS = st.text(max_size=5)
VALUES = {
    "int": st.integers(0, 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "str": TEXTS,
    "bool": st.booleans(),
    "tuple[str, ...]": st.lists(TEXTS, max_size=3).map(tuple),
    "tuple[tuple[str, str], ...]": st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple),
    "frozenset[str]": st.frozensets(TEXTS, max_size=3),
    "tuple[float, ...]": st.lists(st.floats(allow_nan=False), max_size=3).map(tuple),
    "tuple[int, ...]": st.lists(st.integers(0, 9), max_size=2).map(tuple),
    "ImageTensors | None": st.sampled_from([None, ImageTensors("in", "out", layout="NCHW", most=8)]),
    "Mapping[str, int]": st.dictionaries(TEXTS, st.integers(0, 9), max_size=3),
}
"""A field's type, as it is written -> its values."""


INPUT = TensorSpec("IN", "INT32", (4,), open_shape=(-1,))
MODEL = ModelTraffic(ModelSpec("m", (INPUT,), (), max_batch_size=4), ("m.json",), 4)
OTHER = ModelTraffic(ModelSpec("n", (INPUT,), (INPUT,), steps=("m",)), ranges={"": Ranges((1, 2))})


def any_of(kind: type) -> st.SearchStrategy:
    return st.builds(kind, **{field.name: VALUES[str(field.type)] for field in dataclasses.fields(kind)})


@given(
    st.builds(
        RunConfiguration,
        run_id=VALUES["int"],
        settings=any_of(Settings),
        target=any_of(Target),
        left_out=st.dictionaries(TEXTS, TEXTS, max_size=2),
        host=TEXTS,
        epoch=TEXTS,
        models=st.sampled_from([(), (MODEL,), (MODEL, OTHER)]),
    )
)
def test_what_a_worker_gets_is_what_was_settled(configuration: RunConfiguration) -> None:
    assert RunConfiguration.unpack(msgpack.loads(msgpack.dumps(configuration.pack()))) == configuration


class TestTags:
    def test_they_choose_among_the_models_too(self) -> None:
        settings = Settings(seed=1, models={"bert": 3, "densenet": 1}, scenarios=("Timeout",))
        assert weights(only_tagged(settings, ("bert", "Timeout"), ()), {}) == {"Timeout": 60, "bert": 3}
        assert weights(only_tagged(settings, (), ("bert",)), {}) == {"Timeout": 60, "densenet": 1}
        with pytest.raises(UsageError, match=r"leaves no scenario to run; .* PerfAnalyzer, bert, densenet"):
            only_tagged(Settings(seed=1, models={"bert": 3, "densenet": 1}), ("Nope",), ())

    def test_without_the_last_model_the_scenarios_that_were_not_asked_for_do_not_come_back(self) -> None:
        with pytest.raises(UsageError, match="leaves no scenario to run"):
            only_tagged(Settings(seed=1, models={"bert": 3}), ("Timeout",), ())

    def test_without_any_nothing_changes(self) -> None:
        settings = Settings(seed=1)
        assert only_tagged(settings, (), ()) is settings

    def test_what_is_not_tagged_so_does_not_run_and_is_not_expected_by_weight(self) -> None:
        kept = only_tagged(Settings(seed=1), ("SequenceValid", "Timeout"), ("Timeout",))
        assert weights(kept, {}) == {"SequenceValid": 295}

    def test_what_is_excluded_does_not_run_and_its_load_users_do_not_either(self) -> None:
        kept = only_tagged(Settings(seed=1, load_users=3), (), ("PerfAnalyzer",))
        assert "PerfAnalyzer" not in weights(kept, {})
        assert weights(kept, {})["Timeout"] == 60
        assert kept.load_users == 0

    def test_weights_of_ones_own_stay(self) -> None:
        kept = only_tagged(Settings(seed=1, weights={"Timeout": 7}), ("Timeout",), ())
        assert weights(kept, {}) == {"Timeout": 7}

    def test_a_tag_that_no_scenario_has_is_an_error_that_names_those_there_are(self) -> None:
        with pytest.raises(UsageError, match=r"--tags Nope leaves no scenario to run; .*SequenceValid, "):
            only_tagged(Settings(seed=1), ("Nope",), ())

    def test_a_scenario_asked_for_by_name_and_excluded_is_an_error(self) -> None:
        with pytest.raises(UsageError, match="Timeout is asked for by name, but --exclude-tags Timeout"):
            only_tagged(Settings(seed=1, scenarios=("Timeout",)), (), ("Timeout",))


def test_load_users_that_leave_nobody_for_the_scenarios_are_an_error() -> None:
    with pytest.raises(UsageError, match=r"--load-users 4 takes all of the 4 users .* give -u 5 or more"):
        check_users(Settings(seed=1, load_users=4), 4)
    check_users(Settings(seed=1, load_users=4), 5)
    check_users(Settings(seed=1), 1)


@pytest.mark.parametrize(
    ("users", "processes", "connections", "distributed", "fits"),
    [
        pytest.param(200, None, 0, False, True, id="few users"),
        pytest.param(300, None, 0, False, False, id="too many users"),
        pytest.param(300, None, 4, False, True, id="too many users that share four connections"),
        pytest.param(300, 2, 0, True, True, id="half of them in each of two processes"),
        pytest.param(500, 2, 0, True, False, id="too many in each of two processes"),
        pytest.param(500, None, 0, True, True, id="workers on other machines"),
        pytest.param(None, None, 0, False, True, id="a web run whose users are not known yet"),
    ],
)
def test_users_that_the_limit_of_open_files_does_not_let_connect_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
    users: int | None,
    processes: int | None,
    connections: int,
    distributed: bool,
    fits: bool,
) -> None:
    monkeypatch.setattr(descriptors, "raise_limit", lambda: 256)
    options = Namespace(num_users=users, processes=processes, connections=connections)
    if fits:
        check_descriptors(options, distributed=distributed)
        return
    with pytest.raises(UsageError, match=r"may have 256 .*give fewer users \(-u \d+\) or more processes"):
        check_descriptors(options, distributed=distributed)


class Here(TritonGrpcUser):
    host = "grpc://here:1"


class AlsoHere(Here):
    pass


class There(TritonGrpcUser):
    host = "grpc://there:1"


class Anywhere(TritonGrpcUser):
    pass


class Elsewhere(HttpUser):
    host = "http://elsewhere"


class TestTheHostsOfClasses:
    @pytest.mark.parametrize(
        ("classes", "host"),
        [
            ([Anywhere, TritonStressUser], ""),
            ([Elsewhere, Anywhere], ""),  # not one of Triton's
            ([Anywhere, Here], "grpc://here:1"),
            ([AlsoHere, TritonStressUser], "grpc://here:1"),
            ([There, Here], "grpc://there:1"),
        ],
    )
    def test_the_first_that_a_class_sets_counts(self, classes: list[type[User]], host: str) -> None:
        assert host_of_classes(classes) == host

    def test_who_has_none_among_different_ones_must_be_told(self) -> None:
        with pytest.raises(
            UsageError, match=r"Anywhere has no host of its own, .*Here grpc://here:1, There grpc://there"
        ):
            host_of_classes([Here, There, Anywhere])
