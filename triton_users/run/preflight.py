"""Whether a run can begin, and with what: the server's answers, made into a target and the scenarios that can run."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from triton_users import server
from triton_users.image_model.own_pictures import PicturesError, own_folder, read
from triton_users.judge.thresholds import Threshold, check_names
from triton_users.run.configuration import left_out
from triton_users.run.server_state import ServerState, listed, server_state, what_answered
from triton_users.scenarios.base import Target
from triton_users.scenarios.models import names_of_all
from triton_users.scenarios.perf_analyzer import PerfAnalyzer
from triton_users.scenarios.resnet import preprocessing
from triton_users.settings import SCENARIOS, ConnectionSettings, Settings, UsageError
from triton_users.transport.target import parse_target

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Preflight:
    """What a run begins with."""

    target: Target
    left_out: dict[str, str]
    """Scenarios that cannot run and were not asked for by name -> why, and what to do about it."""
    found: ServerState
    failed_to_load: tuple[str, ...] = ()
    """A sentence for each model of the scenarios that failed to load: the run cannot pass."""
    notes: tuple[str, ...] = ()
    """What a person should know of the server though it fails nothing."""


def look_at(
    host: str,
    connection: ConnectionSettings,
    settings: Settings,
    thresholds: Iterable[Threshold],
    *,
    scenarios: bool,
    own_models: Collection[str] = (),
    goodput: Iterable[Threshold] = (),
) -> Preflight:
    """What the server at `host` offers, and the scenarios that cannot run against it.

    `scenarios`: whether the run has users that play scenarios. Only the nine need to know the server's models: for
    others a server may keep all that to itself. `own_models`: the models that users of a locustfile put under load.
    Raises UsageError when no run can begin.
    """
    any_of_the_nine = scenarios and any(map(settings.weight_of, SCENARIOS))
    models = {*(name for name in settings.models if scenarios and settings.weight_of(name)), *own_models}
    candidates = {*(names_of_all(settings.trials, settings.image_model) if any_of_the_nine else ()), *models}
    found = server_state(host, connection, sorted(candidates), settings)
    target = _target(host, connection, found)
    if any_of_the_nine and not found.image_model_fault and (folder := own_folder(settings.pictures)):
        try:
            read(folder, target.image_tensors, preprocessing(settings))
        except PicturesError as error:
            raise UsageError(str(error)) from error
    failed, notes = found.failed(), []
    if any_of_the_nine:
        if found.index is None and "ModelReady" in found.unanswered:
            raise UsageError(
                f"the server at {host} does not say which models it has ready, which the scenarios need to know: "
                f"{what_answered(found)}. Users of your own need none of this"
            )
        if found.ready is False:
            which = listed(found.not_ready()) or "it is still loading models, or one failed to load"
            raise UsageError(f"the Triton at {host} is not ready: {which}")
    elif found.ready is False:
        which = listed(found.not_ready())
        notes.append(f"the server said at the start that it is not ready{f': {which}' if which else ''}")
    if found.unanswered:
        notes.append(f"of the server: {what_answered(found)}")
    concerned = {name for name in failed if name in candidates}
    notes += [f"the model {name} failed to load: {why}" for name, why in failed.items() if name not in concerned]
    if found.index is not None:
        known = (*settings.names, *own_models)
        check_names(thresholds, found.models, known)
        check_names(goodput, found.models, known, "goodput")
    target = with_perf_analyzer(target, host, connection)
    damage = server.installed_damage() if scenarios and settings.weight_of(PerfAnalyzer.name) else ""
    if damage and damage in target.perf_analyzer_remedy:
        raise UsageError(f"there is a perf_analyzer for {PerfAnalyzer.name}, but {damage}, or give it weight 0")
    return Preflight(
        target=target,
        left_out=left_out(target, settings, failed) if scenarios else {},
        found=found,
        failed_to_load=tuple(f"the model {name} failed to load: {failed[name]}" for name in sorted(concerned)),
        notes=tuple(notes),
    )


def _target(host: str, connection: ConnectionSettings, found: ServerState) -> Target:
    return Target(
        address=host.split("://", 1)[-1] if not host.startswith("unix:") else str(parse_target(host)),
        authority=connection.grpc_authority,
        secure=host.startswith("grpcs://"),
        models=found.models,
        image=found.image,
        image_model_fault=found.image_model_fault,
        server_version=found.version,
    )


def with_perf_analyzer(target: Target, host: str, connection: ConnectionSettings) -> Target:
    """The same target, with the perf_analyzer of this machine: each worker has its own."""
    if host.startswith("unix:") or ("://" in host and not host.startswith("grpc://")):
        return replace(
            target, perf_analyzer_remedy=f"perf_analyzer is only driven over grpc://, and the host is {host}"
        )
    if target.authority:
        return replace(target, perf_analyzer_remedy="perf_analyzer cannot send another :authority (--grpc-authority)")
    if any(isinstance(value, bytes) for _, value in connection.grpc_header):
        return replace(target, perf_analyzer_remedy="perf_analyzer cannot send headers of bytes (--grpc-header *-bin)")
    try:
        command, environment = server.find_perf_analyzer()
    except server.Unsupported as error:
        return replace(target, perf_analyzer=(), perf_analyzer_remedy=str(error))
    return replace(target, perf_analyzer=tuple(command), perf_analyzer_env=tuple(sorted(environment.items())))
