"""Asks the server under test what it is and which models are ready, before a run, and whether it still is, after it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tritonclient.utils import InferenceServerException

from triton_users import server
from triton_users.client.client import TritonClient
from triton_users.judge.thresholds import Threshold, check_names
from triton_users.run.configuration import left_out
from triton_users.scenarios.base import Target
from triton_users.settings import ConnectionSettings, Settings, UsageError
from triton_users.transport import ChannelOptions
from triton_users.users import tls_from, with_authority

LAST_LIMIT_S = 5.0
"""How long it may take to say that it is ready at the end of a run, in seconds."""
LIMIT_S = 10.0
"""How long the server may take for each answer, in seconds; picked to outlast a busy server, not a missing one."""


def look_at(
    host: str,
    connection: ConnectionSettings,
    settings: Settings,
    thresholds: Iterable[Threshold],
    *,
    scenarios: bool,
) -> tuple[Target, dict[str, str]]:
    """What the server at `host` offers, and the scenarios that cannot run against it, with the reason and the remedy.

    `scenarios`: whether the run has users that play scenarios. Raises UsageError as `survey`, `check_names` and
    `run.left_out`.
    """
    target = with_perf_analyzer(survey(host, connection), host)
    check_names(thresholds, target.models)
    return target, left_out(target, settings) if scenarios else {}


def why_not_ready(host: str, connection: ConnectionSettings) -> str:
    """Why the server that was under test would take no more requests now; "" when it says that it is ready."""
    client = _client(host, connection, LAST_LIMIT_S)
    try:
        ready = client.is_server_ready(client_timeout=LAST_LIMIT_S)
    except InferenceServerException as error:
        return f"at the end of the run the server did not answer: {error}"
    finally:
        client.close()
    return "" if ready else "at the end of the run the server said that it is not ready"


def survey(host: str, connection: ConnectionSettings) -> Target:
    """What the server at `host` offers.

    Raises UsageError when `host` is no address or nothing there answers as a ready Triton.
    """
    try:
        client = _client(host, connection, LIMIT_S)
    except ValueError as error:  # a target or a certificate that cannot be used
        raise UsageError(str(error)) from error
    try:
        if not client.is_server_ready(client_timeout=LIMIT_S):
            raise UsageError(f"the Triton at {host} is not ready: it is still loading models, or one failed to load")
        metadata = client.get_server_metadata(client_timeout=LIMIT_S)
        index = client.get_model_repository_index(client_timeout=LIMIT_S)
    except InferenceServerException as error:
        raise UsageError(
            f"no Triton answers at {host}: {error}. Start one there, or give another --host grpc://HOST:PORT "
            "(Triton's gRPC port is 8001 unless it was told otherwise), or leave --host out to use the embedded one"
        ) from error
    finally:
        client.close()
    return Target(
        address=host.split("://", 1)[-1],
        authority=connection.grpc_authority,
        secure=host.startswith("grpcs://"),
        models=frozenset(model.name for model in index.models if model.state == "READY"),
        server_version=f"{metadata.name} {metadata.version}",
    )


def _client(host: str, connection: ConnectionSettings, limit_s: float) -> TritonClient:
    """A client whose connection has `limit_s` seconds to come about. ValueError for what cannot be used."""
    options = with_authority(ChannelOptions(connect_timeout_s=limit_s), connection)
    return TritonClient(host, tls=tls_from(connection), channel_options=options)


def with_perf_analyzer(target: Target, host: str) -> Target:
    """The same target, with the perf_analyzer of this machine: each worker has its own."""
    if "://" in host and not host.startswith("grpc://"):
        return replace(
            target, perf_analyzer_remedy=f"perf_analyzer is only driven over grpc://, and the host is {host}"
        )
    if target.authority:
        return replace(target, perf_analyzer_remedy="perf_analyzer cannot send another :authority (--grpc-authority)")
    try:
        command, environment = server.find_perf_analyzer()
    except server.Unsupported as error:
        return replace(target, perf_analyzer=(), perf_analyzer_remedy=str(error))
    return replace(target, perf_analyzer=tuple(command), perf_analyzer_env=tuple(sorted(environment.items())))
