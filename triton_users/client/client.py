"""tritonclient's InferenceServerClient on our own channel; the only module that touches its private attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gevent
import grpc
from locust.event import EventHook
from tritonclient.grpc import (
    InferenceServerClient,
    InferInput,
    InferRequestedOutput,
    InferResult,
    service_pb2_grpc,
)
from tritonclient.grpc._utils import _get_inference_request, get_error_grpc
from tritonclient.utils import InferenceServerException

from triton_users.client.own_checks import CaughtResponse
from triton_users.client.rpc_events import RpcEvents, requests_of
from triton_users.client.stream_requests import StreamedCall, StreamRequests
from triton_users.client.streamed import StreamedInput, StreamedRequest, streamed_infer
from triton_users.transport import CallError, CallObserver, Channel, ChannelOptions, RequestFeed, Share, TlsCredentials
from triton_users.transport.errors import Outcome

DRAIN_S = 2.0
"""How long what is under way may still take when its user is stopped, before it is cancelled, in seconds.

Triton 2.51 crashes now and then when a client cancels requests (issues 7368 and 8034 of its server for streams; of a
unary one `ModelInferHandler::Process` locks what it has freed, seen 7 times in 12,800): that must not be how a run
ends. Picked arbitrarily.
"""

DRAIN_POLL_S = 0.01
"""How often a stream is looked at that is drained, in seconds."""

_INFER_DEFAULTS: dict[str, Any] = {
    "request_id": "",
    "sequence_id": 0,
    "sequence_start": False,
    "sequence_end": False,
    "priority": 0,
    "timeout": None,
    "parameters": None,
}


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
        channel: Share | None = None,
        verbose: bool = False,
    ) -> None:
        """`channel`: a share of a connection, made with `rpc_events` as its observer, instead of one of its own."""
        # InferenceServerClient.__init__ would make a grpcio channel; its base only clears the plugin.
        super(InferenceServerClient, self).__init__()
        self._stream = None
        self._verbose = verbose
        self._counted = rpc_events is not None
        self._rpc_events = rpc_events or RpcEvents(EventHook())  # nobody listens, but streams are matched
        observer: CallObserver = self._rpc_events
        options = channel_options or ChannelOptions()
        self._channel = channel or Channel(url, tls=tls, options=options, observer=observer)
        if self._rpc_events.tracing is not None:
            self._channel.intercept = self._rpc_events.tracing.interceptor(url, self._rpc_events)
        self._client_stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._stream_infer = self._client_stub.ModelStreamInfer
        self._client_stub.ModelStreamInfer = self._infer_from_feed
        self._streamed_infer = streamed_infer(self._channel)

    @property
    def channel(self) -> Channel | Share:
        """The channel underneath, for calls tritonclient has no method for."""
        return self._channel

    def infer(
        self,
        model_name: str,
        inputs: Sequence[InferInput],
        model_version: str = "",
        outputs: Sequence[InferRequestedOutput] | None = None,
        *args: Any,
        client_timeout: float | None = None,
        headers: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> InferResult:
        """As tritonclient's; inputs that are all `StreamedInput` are sent without a copy, and not compressed."""
        if args or "compression_algorithm" in kwargs or not all(isinstance(i, StreamedInput) for i in inputs):
            return super().infer(
                model_name, inputs, model_version, outputs, *args,
                client_timeout=client_timeout, headers=headers, **kwargs,
            )  # fmt: skip
        fields = {**_INFER_DEFAULTS, **kwargs}
        request = _get_inference_request(
            inputs=[_WithoutContent(i) for i in inputs],
            model_name=model_name, model_version=model_version, outputs=outputs, **fields,
        )  # fmt: skip
        try:
            response = self._streamed_infer(
                StreamedRequest(request, [(tensor.size, tensor) for tensor in inputs]),
                metadata=self._get_metadata(headers),
                timeout=client_timeout,
            )
        except grpc.RpcError as error:
            raise get_error_grpc(error) from None
        return InferResult(response)

    def _infer_from_feed(self, requests: Any, **options: Any) -> Any:
        """`ModelStreamInfer` as tritonclient calls it, but with a queue that sends at once where it can."""
        feed = RequestFeed()
        call = self._stream_infer(feed, **options)
        queue = requests._stream._request_queue = _FeedQueue(feed, requests_of(call.info))
        return _Responses(call, queue)

    def async_stream_infer(self, model_name: str, *args: Any, **kwargs: Any) -> None:
        """As tritonclient's; that the stream had ended before is counted as a failed request, and raised."""
        try:
            super().async_stream_infer(model_name, *args, **kwargs)
        except InferenceServerException as error:
            if self._stream is not None and not self._stream._active:
                self._rpc_events.never_sent(model_name, error)
            raise

    @contextmanager
    def expect_error(self, matches: Callable[[InferenceServerException], bool]) -> Iterator[None]:
        """Inside this block, an RPC error for which `matches(error)` is true is the wanted outcome.

        It is still raised; Locust's statistics count the request as a success.
        """
        before, self._rpc_events.expected = self._rpc_events.expected, matches
        try:
            yield
        finally:
            self._rpc_events.expected = before

    @contextmanager
    def catch_response(self) -> Iterator[CaughtResponse]:
        """Inside this block, a check of one's own may judge the request that ended in it, as with Locust's.

            with self.client.catch_response() as response:
                answer = self.client.infer("my_model", inputs)
                if wrong(answer):
                    response.failure("the sum is wrong", expected=6)

        The newest request of the block is then one failed row of Locust's statistics, and a failure in the report with
        its evidence. An AssertionError that is raised in the block says the same, and ends there.
        """
        caught = CaughtResponse()
        if not self._counted:
            yield caught
            return
        with self._rpc_events.hold() as events:
            try:
                yield caught
            except AssertionError as wrong:
                caught.failure(str(wrong) or "an assertion of the user's does not hold")
            finally:
                caught.apply_to(events)

    def drain_stream(self) -> None:
        """Let what is under way on the stream be answered, and have the server end it, for at most `drain_s` seconds.

        What is left then is cancelled. No effect where there is no stream.
        """
        stream = self._stream
        if stream is None:
            return
        with gevent.Timeout(self._channel.options.drain_s, False):  # False: no exception
            while stream._request_queue.requests.waiting() and stream._handler.is_alive():
                gevent.sleep(DRAIN_POLL_S)
            self.stop_stream()
        self.stop_stream(cancel_requests=True)

    def close(self) -> None:
        """Cancel the stream and every call still in flight, and close the connection; at most a second."""
        if getattr(self, "_stream", None) is not None:
            self.stop_stream(cancel_requests=True)
        if hasattr(self, "_channel"):
            self._channel.close()


class _FeedQueue:
    """The request queue of tritonclient's stream, in which None means that there are no more."""

    def __init__(self, feed: RequestFeed, requests: StreamRequests) -> None:
        self._feed = feed
        self.requests = requests
        self.closed = False

    def put(self, request: Any) -> None:
        if request is None:
            self.closed = True
            self._feed.close()
        else:
            self.requests.ask(request)
            self._feed.put(request)


class _Responses:
    """The responses of a stream as tritonclient's reader takes them: with the user's ids, and the ends it asked for.

    A server may end a stream with OK whenever it likes, of which that reader would tell nobody. Where this client has
    not closed the stream, that is an error: the reader tells the callback, and the stream takes no more requests.
    """

    def __init__(self, call: Any, queue: _FeedQueue) -> None:
        self._call = call
        self._queue = queue

    def __iter__(self) -> _Responses:
        return self

    def __next__(self) -> Any:
        requests = self._queue.requests
        while True:
            try:
                response = next(self._call)
            except StopIteration:
                if self._queue.closed:
                    raise
                text = "the server ended the stream with OK, which this client had not closed"
                raise CallError(Outcome(grpc.StatusCode.UNAVAILABLE, text)) from None
            owner = requests.newest
            if not isinstance(owner, StreamedCall):
                return response
            if owner.ended_empty and not owner.wants_end:
                continue
            if owner.users_id != owner.request_id and response.infer_response.id:
                response.infer_response.id = owner.users_id
            return response

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class _WithoutContent:
    """An input as tritonclient puts it into a request, all but its bytes."""

    def __init__(self, tensor: InferInput) -> None:
        self._get_tensor = tensor._get_tensor

    def _get_content(self) -> None:
        return None
