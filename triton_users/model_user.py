"""TritonModelUser: puts one model under load with data of the user's own and judges its answers. Needs the plugin."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from locust import task
from tritonclient.utils import InferenceServerException

from triton_users.client.describe import describe
from triton_users.inputs.checks import Tolerance
from triton_users.inputs.data import InputData, StepList
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.load import load
from triton_users.inputs.model import ModelSpec, complaint
from triton_users.inputs.pool import RequestPool
from triton_users.inputs.random_data import Ranges, random_data
from triton_users.run.server_state import client_for
from triton_users.scenarios.model_load import ModelLoad, for_model, pool_key
from triton_users.settings import ConnectionSettings, UsageError
from triton_users.stress import ScenarioUser

if TYPE_CHECKING:
    from locust import User

DESCRIBE_LIMIT_S = 10.0
"""How long the server may take to describe a model, in seconds."""


class TritonModelUser(ScenarioUser):
    """Sends one model requests made of its metadata and of input data, one after the other, and checks the answers.

        class Bert(TritonModelUser):
            model = "bert"
            input_data = "bert.json"

    The model is a scenario of the run: planned from the seed, counted, with failures and their evidence in the report
    and thresholds by its name. Sequences and decoupled models are sent over a stream as they have to be. Before the run
    the data are read and held against the model; what does not fit is an error, and nothing starts.
    """

    abstract = True

    model: str = ""
    """Its name on the server."""

    input_data: str | Path | None = None
    """perf_analyzer's JSON, JSON lines, an .npz or a directory of raw files. None: random, from the run's seed."""

    shapes: Mapping[str, tuple[int, ...]] = {}
    """Sizes of inputs that the server leaves open, by name, without the batch dimension."""

    batch_size: int = 1
    """Consecutive steps of the data in one request."""

    tolerances: Mapping[str, Tolerance] = {}
    """By output: by how much floats may differ from what the data expect; else what `inputs.checks` has."""

    ranges: Ranges = Ranges()
    """What random data are like."""

    scenario: type[ModelLoad]
    """Made of the model before the run."""

    def make_request(self, draw: random.Random) -> Mapping[str, Any]:
        """Inputs of one request by name, as numpy arrays without the batch dimension, in place of `input_data`.

        To be overridden. `draw` is seeded by the run's plan, so that a seed makes the same requests again.
        """
        raise NotImplementedError

    def check(self, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """Judge one response: raise AssertionError, or `ScenarioFailure` with evidence, when it is wrong.

        To be overridden. Inputs and outputs are numpy arrays by name, outputs with their batch dimension.
        """
        raise NotImplementedError

    @classmethod
    def makes_requests(cls) -> bool:
        """Whether requests come from `make_request`."""
        return cls.make_request is not TritonModelUser.make_request

    def on_start(self) -> None:
        super().on_start()
        self._scenarios[self.scenario] = self.scenario(
            self.session,
            make=self.make_request if self.makes_requests() else None,
            check=self.check if type(self).check is not TritonModelUser.check else None,
        )

    @task
    def infer(self) -> None:
        self.play(self.scenario)


def model_users(user_classes: Iterable[type[User]]) -> list[type[TritonModelUser]]:
    """Those of these classes that put a model under load."""
    return [each for each in user_classes if issubclass(each, TritonModelUser)]


def prepare(
    user_classes: Iterable[type[User]], host: str, connection: ConnectionSettings, seed: int
) -> dict[str, RequestPool]:
    """What the users of these classes share, as `Session.shared` has it; gives each class its scenario.

    Asks the server at `host` for the models and reads the input data. Raises UsageError for all that cannot be resolved
    or used.
    """
    classes = model_users(user_classes)
    if not classes:
        return {}
    client = client_for(host, connection, DESCRIBE_LIMIT_S)
    try:
        specs = [_spec(each, client) for each in classes]
    finally:
        client.close()
    if missing := complaint(spec for each, spec in zip(classes, specs, strict=True) if not each.makes_requests()):
        raise UsageError(missing)
    shared = {}
    for each, spec in zip(classes, specs, strict=True):
        each.scenario = for_model(spec, each.tolerances)
        key = pool_key(spec.name)
        if key in shared:
            raise UsageError(f"two classes of users put the model {spec.name} under load; one model, one class")
        if not 1 <= each.batch_size <= max(1, spec.max_batch_size):
            raise UsageError(
                f"{each.__name__}.batch_size is {each.batch_size}; {spec.name} takes 1 to {max(1, spec.max_batch_size)}"
            )
        shared[key] = RequestPool(spec, _data(each, spec, seed), each.batch_size)
    return shared


def _spec(user_class: type[TritonModelUser], client: Any) -> ModelSpec:
    name = user_class.model
    if not name:
        raise UsageError(f"{user_class.__name__} names no model: set {user_class.__name__}.model")
    try:
        return describe(client, name, DESCRIBE_LIMIT_S).with_shapes(user_class.shapes)
    except InferenceServerException as error:
        raise UsageError(f"{user_class.__name__}: the server does not describe the model {name!r}: {error}") from error
    except DataError as error:
        raise UsageError(f"{user_class.__name__}: {error}") from None


def _data(user_class: type[TritonModelUser], spec: ModelSpec, seed: int) -> InputData:
    if user_class.makes_requests():
        return StepList([])
    if user_class.input_data is not None:
        return load(Path(user_class.input_data), spec)
    return random_data(spec, seed, user_class.ranges)
