"""What callers hold of a call with a stream: grpc's callables and call objects; `StreamCall` does the work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import grpc

from triton_users.transport.call import CallChannel
from triton_users.transport.errors import CallError, Outcome, cancelled
from triton_users.transport.future import CallFuture
from triton_users.transport.metadata import Metadata
from triton_users.transport.method import Method
from triton_users.transport.observer import StreamInfo
from triton_users.transport.status import headers_meaning
from triton_users.transport.streaming import StreamCall


class StreamHandle(grpc.Call):  # type: ignore[misc]  # grpc has no type information
    """What `grpc` returns for a call with a stream of responses: an iterator of them and a `grpc.Call`."""

    def __init__(self, call: StreamCall) -> None:
        self._call = call

    @property
    def info(self) -> StreamInfo:
        """What the channel's observer knows this call as."""
        return self._call.info

    @property
    def has_more(self) -> bool:
        """Whether there is a response that can be read without waiting."""
        return self._call.has_more

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self._call.next_response()

    def next(self) -> Any:
        return self._call.next_response()

    def cancel(self) -> bool:
        return self._call.end(cancelled("Locally cancelled by application!"))

    def is_active(self) -> bool:
        return self._call.final is None

    def done(self) -> bool:
        return self._call.final is not None

    def running(self) -> bool:
        return self._call.final is None

    def cancelled(self) -> bool:
        final = self._call.final
        return final is not None and final.code is grpc.StatusCode.CANCELLED

    def time_remaining(self) -> float | None:
        return self._call.time_left()

    def add_callback(self, callback: Callable[[], Any]) -> bool:
        if self._call.final is not None:
            return False
        self._call.callbacks.append(callback)
        return True

    def _final(self) -> Outcome:
        self._call.finished.wait()
        assert self._call.final is not None
        return self._call.final

    def code(self) -> grpc.StatusCode:
        return self._final().code

    def details(self) -> str:
        return self._final().details

    def debug_error_string(self) -> str:
        return self._final().debug

    def trailing_metadata(self) -> Metadata:
        return self._final().trailing_metadata

    def initial_metadata(self) -> Metadata:
        self._call.headers_seen.wait()
        stream = self._call.stream
        if stream is not None and stream.headers is not None and stream.headers is not stream.trailers:
            return headers_meaning(stream.headers).metadata
        return self._final().initial_metadata

    def __del__(self) -> None:
        call = getattr(self, "_call", None)
        if call is not None:
            try:
                call.forget()
            except RuntimeError:
                pass  # the interpreter is exiting: there are no greenlets any more


class _Streaming:
    """What the three callables with a streaming side share."""

    def __init__(self, channel: CallChannel, method: Method) -> None:
        self._channel = channel
        self._method = method

    def _start(
        self,
        requests: Iterable[Any],
        timeout: float | None,
        metadata: Iterable[tuple[str, str | bytes]] | None,
        credentials: grpc.CallCredentials | None,
        wait_for_ready: bool | None,
        compression: grpc.Compression | None,
    ) -> StreamHandle:
        return StreamHandle(
            StreamCall(
                self._channel, self._method, requests, timeout, metadata, credentials, wait_for_ready, compression
            )
        )


class StreamStream(_Streaming, grpc.StreamStreamMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """`grpc.StreamStreamMultiCallable`."""

    def __call__(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamHandle:
        return self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)


class UnaryStream(_Streaming, grpc.UnaryStreamMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """`grpc.UnaryStreamMultiCallable`."""

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> StreamHandle:
        return self._start((request,), timeout, metadata, credentials, wait_for_ready, compression)


class StreamUnary(_Streaming, grpc.StreamUnaryMultiCallable):  # type: ignore[misc]  # grpc has no type information
    """`grpc.StreamUnaryMultiCallable`."""

    def __call__(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        call = self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return _only_response(call)

    def with_call(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> tuple[Any, grpc.Call]:
        call = self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return _only_response(call), call

    def future(
        self,
        request_iterator: Iterable[Any],
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> CallFuture:
        call = self._start(request_iterator, timeout, metadata, credentials, wait_for_ready, compression)
        return CallFuture(call._call, lambda: _only_response(call))


def _only_response(call: StreamHandle) -> Any:
    """The one response of a call that may have one; CallError INTERNAL for none or more."""
    responses = list(islice(call, 2))
    if len(responses) != 1:
        call.cancel()  # or it goes on; no effect on one that has ended
        text = f"{'no message' if not responses else 'more than one message'} in the answer to a stream-unary call"
        raise CallError(Outcome(grpc.StatusCode.INTERNAL, text, trailing_metadata=call.trailing_metadata()))
    return responses[0]
