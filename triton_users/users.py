"""TritonGrpcUser: what people subclass to put their own traffic on Triton. Knows no scenario."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gevent
from gevent.pool import Group
from locust import User

from triton_users.arrivals.dispatcher import Arrival
from triton_users.client.client import DRAIN_S, TritonClient
from triton_users.client.connections import Connections
from triton_users.client.rpc_events import RpcEvents, Tracing
from triton_users.declaration import read
from triton_users.settings import ConnectionSettings
from triton_users.system.memory import keep_freed_memory
from triton_users.transport import ChannelOptions, TlsCredentials

if TYPE_CHECKING:
    from locust.env import Environment


class TritonGrpcUser(User):
    """A Locust user with `self.client`, tritonclient's InferenceServerClient on a gevent-native gRPC channel.

    Every RPC, and every request of a stream, appears in Locust's statistics by itself, as type `grpc` and under the
    name of the model. Each user has a connection of its own, opened at its first request and closed when it stops,
    unless `connections` says that they share some.

        class MyUser(TritonGrpcUser):
            @task
            def infer(self):
                self.client.infer("my_model", inputs)
    """

    abstract = True

    host: str | None = "grpc://127.0.0.1:8001"
    """The server: `grpc://host:port` or `grpcs://host:port` (TLS). `--host` replaces it."""

    tls: TlsCredentials | None = None
    """Certificates for `grpcs://`; None takes them from the `--grpc-…` options, else the system's authorities."""

    channel_options: ChannelOptions = ChannelOptions(drain_s=DRAIN_S)
    """Message size limits, keep-alive, connect time limit, compression, flow control windows of the connection, and
    how long the requests of a user that is stopped may still take."""

    connections: int = 0
    """How many connections the users of one worker share, each user with streams of its own on one of them. 0 takes
    `--connections`; when that is 0 too, each user has a connection of its own. Users that share one wait for each other
    where HTTP/2 makes them: behind large tensors, and behind the server's limit of streams on a connection."""

    takes_arrivals: bool = True
    """Whether this class's tasks start on the arrivals of `--rate`; False: one after the other, as without it."""

    arrival: Arrival | None = None
    """With `--rate`: what the task that goes on was started for, with what a trace says of it."""

    client: TritonClient
    """The user's own client."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        keep_freed_memory()
        events = environment.events
        unanswered, reconnected = (  # where our hooks are installed
            getattr(events, name, None) for name in ("request_unanswered", "reconnected")
        )
        self.rpc_events = RpcEvents(events.request, self.context, unanswered, reconnected, tracing_for(environment))
        self._connection_settings = read(ConnectionSettings, environment.parsed_options)
        self.client = self._connect(self.connections or self._connection_settings.connections)

    def connect(self) -> TritonClient:
        """One more client with a connection of its own, counted with this user's requests. The caller closes it."""
        return self._connect(shared=0)

    def _connect(self, shared: int) -> TritonClient:
        """A client on one of so many shared connections; with 0 on one of its own."""
        url, tls = self.host or "", self.tls or tls_from(self._connection_settings)
        options, rpc_events = with_settings(self.channel_options, self._connection_settings), self.rpc_events
        if not shared:
            return TritonClient(url, rpc_events=rpc_events, tls=tls, channel_options=options)
        share = connections_of(self.environment).share(shared, url, tls, options, rpc_events)
        return TritonClient(url, rpc_events=rpc_events, channel=share)

    def start(self, group: Group) -> gevent.Greenlet[..., Any]:
        greenlet: gevent.Greenlet[..., Any] = super().start(group)
        # Not in on_stop: subclasses override that, and Locust leaves it out when on_start raised. The link's callback
        # runs in the hub, which must not wait for the connection to close.
        greenlet.link(lambda _: gevent.spawn(self.client.close))
        return greenlet


def tracing_for(environment: Environment) -> Tracing | None:
    """What makes a user's spans; None without Locust's `--otel`."""
    if not getattr(environment.parsed_options, "otel", False):
        return None
    from triton_users.client.tracing import new_tracing  # its packages are an extra, and nothing that others wait for

    return new_tracing()


def own_host(user_class: type[User]) -> str:
    """The host that a class, or one of a locustfile that it is made from, sets for itself; "" when none does."""
    for each in user_class.__mro__:
        if each is TritonGrpcUser or each.__module__.split(".")[0] == "locust":
            return ""
        if "host" in vars(each):
            return vars(each)["host"] or ""
    return ""


def connections_of(environment: Environment) -> Connections:
    """The connections that users of this environment share; there is one `Connections` in each."""
    found: Connections | None = getattr(environment, "triton_connections", None)
    if found is None:
        found = environment.triton_connections = Connections()  # type: ignore[attr-defined]  # ours, kept there
    return found


def tls_from(settings: ConnectionSettings) -> TlsCredentials | None:
    """The certificates that the `--grpc-…` options name; None when they name none."""
    tls = TlsCredentials(
        root=settings.grpc_root_certificates or None,
        key=settings.grpc_private_key or None,
        certificate=settings.grpc_certificate_chain or None,
        server_name=settings.grpc_server_name or None,
        insecure=settings.grpc_insecure,
    )
    return None if tls == TlsCredentials() else tls


def with_settings(options: ChannelOptions, settings: ConnectionSettings) -> ChannelOptions:
    """These options with the headers of `--grpc-header`, and `--grpc-authority` where they have no `:authority`."""
    return replace(
        options,
        authority=options.authority or settings.grpc_authority or None,
        metadata=(*options.metadata, *settings.grpc_header),
    )
