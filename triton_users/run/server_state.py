"""Asks a server what it is and which of its models are ready, and says what answered what. Decides nothing of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tritonclient.utils import InferenceServerException

from triton_users.client.client import TritonClient
from triton_users.image_model.tensors import ImageModelError, ImageTensors, resolve
from triton_users.ledger.plain import cut
from triton_users.settings import ConnectionSettings, Settings, UsageError
from triton_users.transport import ChannelOptions
from triton_users.users import tls_from, with_settings

LIMIT_S = 10.0
"""How long the server may take for each answer, in seconds; picked to outlast a busy server, not a missing one."""
MAX_REASON = 300
"""Characters of the server's reason for a model's state that a sentence repeats."""
MAX_MODELS = 10
"""Models that one sentence names."""

READY, UNAVAILABLE = "READY", "UNAVAILABLE"
UNLOADED = "unloaded"
"""Triton's reason for a model that somebody unloaded: it did not fail."""


@dataclass(frozen=True)
class ModelState:
    """What the repository index says of a model."""

    state: str
    """READY, UNAVAILABLE, LOADING or UNLOADING; "" for a model that nobody asked to load."""
    reason: str = ""

    @property
    def failed(self) -> bool:
        """Whether it was to be loaded and could not be."""
        return self.state == UNAVAILABLE and self.reason not in ("", UNLOADED)

    def __str__(self) -> str:
        reason = cut(" ".join(self.reason.split()), MAX_REASON)
        return f"{self.state or 'not loaded'}{f': {reason}' if reason else ''}"


@dataclass(frozen=True)
class ServerState:
    """What a server said of itself."""

    ready: bool | None = None
    """Its ServerReady; None: it does not say."""
    version: str = ""
    """Its name and version; "" when it does not say."""
    index: Mapping[str, ModelState] | None = None
    """Its models; None: it has no index, or shows none."""
    models: frozenset[str] = frozenset()
    """Names of the models that are ready, where there is no index of those that were asked for by name."""
    image: ImageTensors | None = None
    """The tensors of its image model; None where it has none or does not say."""
    image_model_fault: str = ""
    """In what the tensors of its image model are none for pictures; "" in nothing."""
    unanswered: Mapping[str, str] = field(default_factory=dict)
    """Call -> the error that came in place of its answer."""

    def not_ready(self) -> list[str]:
        """The models that are to be ready and are not, with state and reason."""
        return [
            f"{name} ({state})"
            for name, state in sorted((self.index or {}).items())
            if state.state in ("LOADING", "UNLOADING") or state.failed
        ]

    def failed(self) -> dict[str, str]:
        """The models that failed to load, with the index's reason."""
        return {
            name: cut(" ".join(state.reason.split()), MAX_REASON)
            for name, state in sorted((self.index or {}).items())
            if state.failed
        }


def server_state(
    host: str, connection: ConnectionSettings, candidates: Iterable[str], settings: Settings | None = None
) -> ServerState:
    """What the server at `host` says of itself; without an index, which of the `candidates` are ready.

    `settings`: what the user says of the image model.

    Raises UsageError when `host` is no address, when nothing there accepts a connection, and when it answers nothing
    in time.
    """
    try:
        client = client_for(host, connection, LIMIT_S)
    except ValueError as error:  # a target or a certificate that cannot be used
        raise UsageError(str(error)) from error
    unanswered: dict[str, str] = {}

    def ask(call: str, question: Callable[..., Any], *names: str) -> Any:
        try:
            return question(*names, client_timeout=LIMIT_S)
        except InferenceServerException as error:
            if not client.channel.stats().connections or error.status() == "StatusCode.DEADLINE_EXCEEDED":
                raise UsageError(
                    f"no Triton answers at {host}: {error}. Start one there, or give another --host grpc://HOST:PORT "
                    "(Triton's gRPC port is 8001 unless it was told otherwise), or leave --host out to use the "
                    "embedded one"
                ) from error
            if error.status() == "StatusCode.NOT_FOUND" and names:
                return False  # how some say that they lack this model
            unanswered[call] = cut(" ".join(str(error).split()), MAX_REASON)
            return None

    try:
        ready = ask("ServerReady", client.is_server_ready)
        metadata = ask("ServerMetadata", client.get_server_metadata)
        found = ask("RepositoryIndex", client.get_model_repository_index)
        index = None if found is None else index_of(found)
        if index is not None:
            models = {name for name, state in index.items() if state.state == READY}
        else:
            models = set()
            for name in candidates:
                answer = ask("ModelReady", client.is_model_ready, name)
                if answer:
                    models.add(name)
                elif answer is None:
                    break  # it will not answer for the others either
        image, fault = _image_model(ask, client, models, settings or Settings())
    finally:
        client.close()
    version = f"{metadata.name} {metadata.version}" if metadata is not None else ""
    return ServerState(ready, version, index, frozenset(models), image, fault, unanswered)


def _image_model(
    ask: Callable[..., Any], client: TritonClient, models: Collection[str], settings: Settings
) -> tuple[ImageTensors | None, str]:
    """The tensors of the image model, and in what they are none for pictures."""
    name = settings.image_model
    described = ask("ModelMetadata", client.get_model_metadata, name) if name in models else None
    if not described:
        return None, ""
    configured = ask("ModelConfig", client.get_model_config, name)
    try:
        tensors = resolve(
            name,
            described.inputs,
            described.outputs,
            max_batch_size=configured.config.max_batch_size if configured else 0,
            input=settings.image_input,
            output=settings.image_output,
            layout=settings.image_layout,
            size=settings.image_size,
        )
    except ImageModelError as error:
        return None, str(error)
    return tensors, ""


def client_for(host: str, connection: ConnectionSettings, limit_s: float) -> TritonClient:
    """A client whose connection has `limit_s` seconds to come about. ValueError for what cannot be used."""
    options = with_settings(ChannelOptions(connect_timeout_s=limit_s), connection)
    return TritonClient(host, tls=tls_from(connection), channel_options=options)


def index_of(response: Any) -> dict[str, ModelState]:
    """Model -> its state; of one with several versions the state of a version that is ready, else of the newest."""
    found: dict[str, ModelState] = {}
    for model in sorted(response.models, key=lambda each: int(each.version) if each.version.isdecimal() else 0):
        if model.name not in found or found[model.name].state != READY:
            found[model.name] = ModelState(model.state, model.reason)
    return found


def what_answered(state: ServerState) -> str:
    """What the server answered and what it refused, with what is likely behind that and what to do."""
    calls = ("ServerReady", "ServerMetadata", "RepositoryIndex", "ModelReady", "ModelMetadata", "ModelConfig")
    refused = {call: state.unanswered[call] for call in calls if call in state.unanswered}
    answered = [call for call in calls[:3] if call not in refused]
    told = "; ".join(f"{call}: {error}" for call, error in refused.items())
    return f"it answers {' and '.join(answered) or 'gRPC'}, but not {told}. {_remedy(' '.join(refused.values()))}"


def _remedy(errors: str) -> str:
    if "protocol is restricted" in errors:
        return (
            "Triton was started with --grpc-restricted-protocol: give its header (--grpc-header "
            "'triton-grpc-protocol-KEY: VALUE'), or leave health, metadata and model-repository free there"
        )
    if "UNAUTHENTICATED" in errors or "PERMISSION_DENIED" in errors:
        return (
            "A gateway in front of it wants authorization: give --grpc-header 'authorization: Bearer ${TOKEN}' or what "
            "else it wants, use an address behind it, or let these calls through"
        )
    if "UNIMPLEMENTED" in errors:
        return (
            "It is a server that lacks these calls, or an ingress that does not route them: route all of "
            "inference.GRPCInferenceService to it"
        )
    return "Something between here and the server may answer in its place"


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, the first of many."""
    every = list(names)
    more = f" and {len(every) - MAX_MODELS} more" if len(every) > MAX_MODELS else ""
    return ", ".join(every[:MAX_MODELS]) + more
