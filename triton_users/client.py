"""tritonclient's InferenceServerClient on our own channel; the only module that touches its private attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tritonclient.grpc import InferenceServerClient, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from triton_users.rpc_events import RpcEvents
from triton_users.transport import CallObserver, Channel, ChannelOptions, TlsCredentials


class TritonClient(InferenceServerClient):  # type: ignore[misc]  # tritonclient ships no type information
    """The whole of `tritonclient.grpc.InferenceServerClient`, for greenlets, with each RPC turned into a Locust event.

    `url` is `grpc://host:port`, `grpcs://host:port`, `host:port`, `[v6]:port` or `unix:/path` (TargetError otherwise).
    It connects at the first call. `close()` cancels what is still in flight and returns within a second.
    """

    def __init__(
        self,
        url: str,
        *,
        rpc_events: RpcEvents | None = None,
        tls: TlsCredentials | None = None,
        channel_options: ChannelOptions | None = None,
        verbose: bool = False,
    ) -> None:
        # InferenceServerClient.__init__ would make a grpcio channel; its base only clears the plugin.
        super(InferenceServerClient, self).__init__()
        self._stream = None
        self._verbose = verbose
        self._rpc_events = rpc_events
        observer: CallObserver | None = rpc_events
        self._channel = Channel(url, tls=tls, options=channel_options or ChannelOptions(), observer=observer)
        self._client_stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    @property
    def channel(self) -> Channel:
        """The channel underneath, for calls tritonclient has no method for."""
        return self._channel

    @contextmanager
    def expect_error(self, matches: Callable[[InferenceServerException], bool]) -> Iterator[None]:
        """Inside this block, an RPC error for which `matches(error)` is true is the wanted outcome.

        It is still raised; Locust's statistics count the request as a success.
        """
        if self._rpc_events is None:
            yield
            return
        before, self._rpc_events.expected = self._rpc_events.expected, matches
        try:
            yield
        finally:
            self._rpc_events.expected = before

    def close(self) -> None:
        """Cancel the stream and every call still in flight, and close the connection; at most a second."""
        if getattr(self, "_stream", None) is not None:
            self.stop_stream(cancel_requests=True)
        if hasattr(self, "_channel"):
            self._channel.close()
