"""TritonModelUser: puts one model under load with data of the user's own and judges its answers. Needs the plugin."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from locust import task

from triton_users.inputs.checks import Tolerance
from triton_users.inputs.load import files
from triton_users.inputs.model import ModelSpec
from triton_users.inputs.random_data import Ranges
from triton_users.inputs.traffic import ModelTraffic, checked_batch_size, checked_optional
from triton_users.scenarios.model_load import ModelLoad
from triton_users.stress import ScenarioUser


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

    input_data: str | Path | Sequence[str | Path] | None = None
    """perf_analyzer's JSON, JSON lines, an .npz or a directory of raw files, or several of these; a name may be a
    pattern. None: random, from the run's seed."""

    shapes: Mapping[str, tuple[int, ...]] = {}
    """Sizes of inputs that the server leaves open, by name, without the batch dimension."""

    batch_size: int = 1
    """Consecutive steps of the data in one request."""

    tolerances: Mapping[str, Tolerance] = {}
    """By output: by how much floats may differ from what the data expect; else what `inputs.checks` has."""

    class_count: int = 0
    """How many classes to ask for of outputs that have labels, in place of their scores; 0: the scores."""

    optional_inputs: Sequence[str] | None = None
    """The optional inputs that part of the random data has; None: each whose size is known."""

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

    @classmethod
    def traffic(cls, spec: ModelSpec) -> ModelTraffic:
        """What the class says of its model. UsageError for what the model does not admit."""
        sized = spec.with_shapes(cls.shapes).with_classes(cls.class_count)
        given = cls.input_data
        several = [] if given is None else [given] if isinstance(given, (str, Path)) else given
        return ModelTraffic(
            spec=sized,
            input_data=files(map(str, several)),
            batch_size=checked_batch_size(sized, cls.batch_size),
            optional=checked_optional(sized, cls.optional_inputs),
            ranges={"": cls.ranges},
            tolerances=cls.tolerances,
            own_requests=cls.makes_requests(),
        )

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


def model_users(user_classes: Iterable[type]) -> list[type[TritonModelUser]]:
    """Those of these classes that put a model under load."""
    return [each for each in user_classes if issubclass(each, TritonModelUser)]
