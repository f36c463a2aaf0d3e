"""A gevent-native `grpc.Channel` over HTTP/2; it knows no Locust, no tritonclient and no numpy.

    from triton_users.transport import Channel

    with Channel("grpc://localhost:8001") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=5)

`Channel(target, *, tls=None, options=ChannelOptions(), observer=None)` is a whole `grpc.Channel`: the four kinds of
call, futures, connectivity. It connects at the first call, reconnects by itself, and costs one socket and no greenlet
while it is idle. It works for any greenlet of the thread that made it, monkey-patched or not.

- Targets: `host:port`, `grpc://host:port`, `grpcs://host:port` (TLS), `[::1]:8001`, `unix:/path`; anything else is a
  `TargetError` (a `ValueError`).
- Errors of a call: `CallError`, which is a `grpc.RpcError` and a finished `grpc.Call`. When an exception thrown into
  the caller ended the call (`GreenletExit`, `gevent.Timeout`), that exception goes on to the caller, and the observer
  gets a CANCELLED `CallError` whose `__cause__` it is.
- `request_serializer` may return `bytes` or a `StreamedMessage(length, chunks)`, whose chunks are made while they are
  sent: a 1 GiB request needs no 1 GiB.
- `RequestFeed`: a `request_iterator` for requests that come up while the call runs; cheaper than any other.
- `observer`: a `CallObserver`, told of every call's timing and bytes; see its methods.
- `channel.stats()`: a `ChannelStats` snapshot (open streams, bytes, pings, connections).
- `channel.close()` returns at once and ends what is in flight with CANCELLED.
- `SharedChannel(...).share(observer)`: a whole channel for one of several users of one connection.
- `together_of(hub)`: between its `begin` and `end`, unary calls that share a connection leave in one write.
"""

from triton_users.transport.channel import Channel
from triton_users.transport.errors import CallError, TargetError, TransportError, UnsupportedError
from triton_users.transport.feed import RequestFeed
from triton_users.transport.messages import StreamedMessage
from triton_users.transport.observer import CallObserver, StreamInfo
from triton_users.transport.options import ChannelOptions, ChannelStats
from triton_users.transport.shared import Share, SharedChannel
from triton_users.transport.tls import TlsCredentials
from triton_users.transport.together import together_of

__all__ = [
    "CallError",
    "CallObserver",
    "Channel",
    "ChannelOptions",
    "ChannelStats",
    "RequestFeed",
    "Share",
    "SharedChannel",
    "StreamInfo",
    "StreamedMessage",
    "TargetError",
    "TlsCredentials",
    "TransportError",
    "UnsupportedError",
    "together_of",
]
