"""Settles what a run's models are sent: asks the server for them, reads their data, and says all that is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import gevent
from tritonclient.utils import InferenceServerException

from triton_users.client.describe import describe
from triton_users.inputs import load
from triton_users.inputs.datatypes import DataError
from triton_users.inputs.model import ModelSpec, example_options, example_shapes
from triton_users.inputs.options import ModelSettings
from triton_users.inputs.traffic import ModelTraffic, traffic_of
from triton_users.model_user import TritonModelUser, model_users
from triton_users.run.server_state import client_for
from triton_users.settings import ConnectionSettings, Settings, UsageError

LIMIT_S = 10.0
"""How long the server may take to describe a model, in seconds."""


def own_models(user_classes: Iterable[type]) -> tuple[str, ...]:
    """The models that a locustfile's own users put under load."""
    return tuple(each.model for each in model_users(user_classes) if each.model)


def settle(
    host: str,
    connection: ConnectionSettings,
    settings: Settings,
    sent: ModelSettings,
    user_classes: Iterable[type],
) -> tuple[ModelTraffic, ...]:
    """The models that this run puts under load, as options and classes name them, with their input data read.

    Raises one UsageError for all that cannot be resolved or used, with the option to add for each.
    """
    classes = model_users(user_classes)
    troubles = _misnamed(settings, sent, classes)
    wanted: list[tuple[str, str, Callable[[ModelSpec], ModelTraffic]]] = [
        *((name, "", lambda spec: traffic_of(spec, sent)) for name, weight in settings.models.items() if weight),
        *((each.model, each.__name__, each.traffic) for each in classes if each.model),
    ]
    found: list[ModelTraffic] = []
    client = client_for(host, connection, LIMIT_S) if wanted else None
    try:
        for name, user_class, made in wanted:
            where = user_class or f"--models {name}"
            try:
                traffic = made(describe(client, name, LIMIT_S))
                _check(traffic, in_python=bool(user_class))
                found.append(traffic)
            except InferenceServerException as error:
                troubles.append(f"{where}: the server does not describe the model {name!r}: {error}")
            except (UsageError, DataError) as error:
                troubles.append(f"{where}: {error}")
    finally:
        if client is not None:
            client.close()
    if troubles:
        raise UsageError("\n".join(troubles) if len(troubles) == 1 else "\n  ".join(["for the models:", *troubles]))
    return tuple(found)


def _misnamed(settings: Settings, sent: ModelSettings, classes: list[type[TritonModelUser]]) -> list[str]:
    troubles = [
        f"{option}: {name} is none of the models under load; add it: --models {','.join([*settings.models, name])}"
        for option, names in sent.named().items()
        for name in sorted(names - settings.models.keys())
    ]
    owners: dict[str, str] = {name: f"--models {name}" for name, weight in settings.models.items() if weight}
    for each in classes:
        if not each.model:
            troubles.append(f"{each.__name__} names no model: set {each.__name__}.model")
        elif each.model in owners:
            troubles.append(
                f"{each.__name__} and {owners[each.model]} both put the model {each.model} under load; one will do"
            )
        owners[each.model] = each.__name__
    return troubles


def _check(traffic: ModelTraffic, *, in_python: bool) -> None:
    """Read its input data; UsageError for those, and for sizes that nothing says."""
    if traffic.own_requests:
        return
    if traffic.input_data:
        in_a_thread(load.load, [Path(name) for name in traffic.input_data], traffic.spec)
    elif traffic.spec.unresolved:
        listed = ", ".join(map(str, traffic.spec.unresolved))
        add = f"shapes = {example_shapes(traffic.spec)}" if in_python else example_options(traffic.spec)
        raise UsageError(
            f"{traffic.name} takes {listed}, where -1 is a size that the server leaves open; add the sizes, for "
            f"instance {add}"
        )


def in_a_thread(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do it while other greenlets run: a worker that reads a large file in one go is silent, and counts as missing."""
    failed: list[UsageError] = []

    def run() -> Any:
        try:
            return work(*arguments)
        except UsageError as error:  # gevent's thread pool prints what is raised there, with its traceback
            failed.append(error)

    result = gevent.get_hub().threadpool.apply(run)
    if failed:
        raise failed[0]
    return result


def adopt(models: Iterable[ModelTraffic], user_classes: Iterable[type], scenarios: Mapping[str, Any]) -> None:
    """Give each class of a locustfile's own its model's scenario."""
    settled = {each.name for each in models}
    for each in model_users(user_classes):
        if each.model in settled:
            each.scenario = scenarios[each.model]
