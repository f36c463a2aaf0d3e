"""Requests that are encoded already, sent as they are: unary, and over a stream that is read where they are sent.

tritonclient encodes each request anew, and reads a stream in a thread of its own that hands each response to another.
"""

from __future__ import annotations

from operator import attrgetter
from time import perf_counter
from typing import Any, NamedTuple

import gevent
import grpc
from tritonclient.grpc import service_pb2
from tritonclient.grpc._utils import get_error_grpc
from tritonclient.utils import InferenceServerException

from triton_users.client.rpc_events import requests_of
from triton_users.client.stream_requests import Stray, StreamedCall
from triton_users.transport import Channel, RequestFeed, Share

_SERVICE = "/inference.GRPCInferenceService"

ENDED_EARLY = "the server ended the stream with OK while requests waited"


class EncodedRequest(NamedTuple):
    """A whole ModelInferRequest in bytes; its model and id are in them too."""

    model_name: str
    id: str
    encoded: bytes


def encoded_infer(channel: Channel | Share) -> Any:
    """ModelInfer for `EncodedRequest`s: a `grpc.UnaryUnaryMultiCallable` that answers with ModelInferResponse."""
    return channel.unary_unary(
        f"{_SERVICE}/ModelInfer",
        request_serializer=attrgetter("encoded"),
        response_deserializer=service_pb2.ModelInferResponse.FromString,
    )


def infer_on_a_stream_of_its_own(channel: Channel | Share, request: EncodedRequest, limit_s: float) -> list[Any]:
    """Every ModelStreamInferResponse to one request; the server ends the stream behind the last.

    Raises grpc.RpcError, DEADLINE_EXCEEDED after `limit_s` seconds.
    """
    begin = channel.stream_stream(
        f"{_SERVICE}/ModelStreamInfer",
        request_serializer=attrgetter("encoded"),
        response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
    )
    return list(begin(iter((request,)), timeout=limit_s))


class StreamSilent(Exception):
    """No further response came in the time given."""


class EncodedStream:
    """ModelStreamInfer for `EncodedRequest`s. One greenlet sends and receives; the stream begins with the first."""

    def __init__(self, channel: Channel | Share, metadata: Any = ()) -> None:
        """`channel`: one whose observer is `RpcEvents`, as that of a `TritonClient` is."""
        self._begin = channel.stream_stream(
            f"{_SERVICE}/ModelStreamInfer",
            request_serializer=attrgetter("encoded"),
            response_deserializer=service_pb2.ModelStreamInferResponse.FromString,
        )
        self._metadata = metadata
        self._feed = RequestFeed()
        self._call: Any = None
        self._loop = gevent.get_hub().loop

    def send(self, request: EncodedRequest) -> StreamedCall:
        """Send at once, or as soon as the server's window allows. No other request that waits may have its id."""
        if self._call is None:
            self._call = self._begin(self._feed, metadata=self._metadata)
        call = requests_of(self._call.info).add(request.id, request.model_name)
        self._feed.put(request)
        return call

    def receive(self, limit_s: float) -> tuple[Any, StreamedCall | Stray]:
        """The next ModelStreamInferResponse, and the request that it belongs to.

        Raises StreamSilent after `limit_s` seconds; InferenceServerException when the stream has ended instead.
        """
        try:
            if self._call.has_more:  # it came in time, and a timer costs more than reading it
                response = next(self._call)
            elif limit_s <= 0:  # or a server that never stops would never let the timer fire
                raise StreamSilent
            else:
                timer = self._loop.timer(limit_s)  # a `gevent.Timeout` takes three times as long to make
                timer.start(gevent.getcurrent().throw, StreamSilent, update=True)
                try:
                    response = next(self._call)
                finally:
                    timer.stop()
                    timer.close()
        except StopIteration:
            raise InferenceServerException(ENDED_EARLY, status="StatusCode.UNKNOWN") from None
        except grpc.RpcError as error:
            raise get_error_grpc(error) from None
        return response, requests_of(self._call.info).newest  # type: ignore[return-value]  # there is one by now

    def drain(self, limit_s: float) -> None:
        """Take what still comes to the requests under way, say that no more follow, let the server end it; `close`.

        At most for `limit_s` seconds. Who waited in `receive` may have been killed before: with
        `ChannelOptions.drain_s`, that ends no stream.
        """
        if self._call is None:
            return
        until_s = perf_counter() + limit_s
        try:
            while requests_of(self._call.info).waiting():
                self.receive(until_s - perf_counter())
            self._feed.close()
            while True:
                self.receive(until_s - perf_counter())
        except (StreamSilent, InferenceServerException):  # which says that it has ended as well
            pass
        finally:
            self.close()

    def close(self) -> None:
        """End the stream, with whatever is still under way; does not wait."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
