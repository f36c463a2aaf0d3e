"""The nine traffic shapes of Triton's long-running stress test, one a file, and that of a model of the user's own.

None of them knows Locust.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from triton_users.inputs.traffic import ModelTraffic
from triton_users.scenarios.base import Scenario
from triton_users.scenarios.crashing import Crashing
from triton_users.scenarios.model_load import for_model
from triton_users.scenarios.perf_analyzer import PerfAnalyzer
from triton_users.scenarios.resnet import ResNet
from triton_users.scenarios.sequence_no_end import SequenceNoEnd
from triton_users.scenarios.sequence_no_start import SequenceNoStart
from triton_users.scenarios.sequence_valid import SequenceValid
from triton_users.scenarios.sequence_valid_no_end import SequenceValidNoEnd
from triton_users.scenarios.sequence_valid_valid import SequenceValidValid
from triton_users.scenarios.timeout import Timeout

ALL: dict[str, type[Scenario]] = {
    scenario.name: scenario
    for scenario in (
        SequenceValid,
        SequenceValidValid,
        SequenceValidNoEnd,
        SequenceNoEnd,
        SequenceNoStart,
        Timeout,
        ResNet,
        Crashing,
        PerfAnalyzer,
    )
}
"""By name, in the order of the report."""

Catalogue = Mapping[str, type[Scenario]]
"""The scenarios that a run can have, by name, in the order of its report."""


def catalogue(models: Iterable[ModelTraffic]) -> Catalogue:
    """The nine, and a scenario for each of these models, which has the model's name."""
    return {**ALL, **{each.name: for_model(each.spec, each.tolerances) for each in models}}
