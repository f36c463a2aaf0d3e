"""grpcio's own server as a peer, in a process of its own (under gevent in one process it hangs).

Methods of `/peer.Peer/` take and give bytes; see each handler. It prints its port, and ends when its standard input
does.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

#: Calls whose cancellation the server saw.
_cancelled = 0
_lock = threading.Lock()


def echo(request: bytes, context: grpc.ServicerContext) -> bytes:
    """The request, and its metadata (`x-` keys) as trailers."""
    seen = [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-")]
    context.send_initial_metadata([("x-initial", "yes"), *seen])
    context.set_trailing_metadata(seen)
    return request


def fail(request: bytes, context: grpc.ServicerContext) -> bytes:
    """`number text`: end with that status and message."""
    number, _, text = request.decode().partition(" ")
    context.set_trailing_metadata([("x-why", "asked"), ("x-data-bin", b"\x00\xff")])
    code = next(code for code in grpc.StatusCode if code.value[0] == int(number))
    if code is grpc.StatusCode.OK:
        return b"ok"
    return context.abort(code, text)


def slow(request: bytes, context: grpc.ServicerContext) -> bytes:
    """Answer after so many seconds; a cancellation is counted."""
    global _cancelled
    ended = threading.Event()
    context.add_callback(ended.set)
    if ended.wait(float(request)):
        with _lock:
            _cancelled += 1
    return request


def cancelled(request: bytes, context: grpc.ServicerContext) -> bytes:
    """How many slow calls have been cancelled so far."""
    return str(_cancelled).encode()


def large(request: bytes, context: grpc.ServicerContext) -> bytes:
    """So many bytes."""
    return bytes(range(256)) * (int(request) // 256) + bytes(int(request) % 256)


def length(request: bytes, context: grpc.ServicerContext) -> bytes:
    """How long the request is."""
    return str(len(request)).encode()


def packed(request: bytes, context: grpc.ServicerContext) -> bytes:
    """The request, compressed with gzip; its first byte chooses deflate if it is `d`."""
    context.set_compression(grpc.Compression.Deflate if request[:1] == b"d" else grpc.Compression.Gzip)
    return request


def remaining(request: bytes, context: grpc.ServicerContext) -> bytes:
    """The time left as the server sees it."""
    return repr(context.time_remaining()).encode()


def chat(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
    """Each request back; `fail` ends with ABORTED, `end` ends with OK at once, `many N` gives N answers."""
    for request in requests:
        if request == b"fail":
            context.abort(grpc.StatusCode.ABORTED, "asked to fail")
        elif request == b"end":
            return
        elif request.startswith(b"many "):
            for index in range(int(request[5:])):
                yield str(index).encode()
        else:
            yield request


def count(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """`n size`: so many answers of that size."""
    number, size = map(int, request.split())
    for index in range(number):
        yield index.to_bytes(4, "big") + bytes(size)


def total(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
    """The number of requests and of their bytes."""
    sizes = [len(request) for request in requests]
    return f"{len(sizes)} {sum(sizes)}".encode()


def sleepy_stream(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    """One answer at once, the next after so many seconds."""
    yield b"first"
    time.sleep(float(request))
    yield b"second"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tls", nargs="+")
    parser.add_argument("--max-streams", type=int)
    parser.add_argument("--unix")
    parser.add_argument("--address", default="127.0.0.1:0")
    parser.add_argument("--max-age-ms", type=int)
    arguments = parser.parse_args()
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
    if arguments.max_streams:
        options.append(("grpc.max_concurrent_streams", arguments.max_streams))
    if arguments.max_age_ms:
        options += [("grpc.max_connection_age_ms", arguments.max_age_ms), ("grpc.max_connection_age_grace_ms", 5000)]
    server = grpc.server(ThreadPoolExecutor(40), options=options)
    unary = {f.__name__: grpc.unary_unary_rpc_method_handler(f) for f in (echo, fail, slow, cancelled, large, length)}
    unary |= {f.__name__: grpc.unary_unary_rpc_method_handler(f) for f in (packed, remaining)}
    handlers = {
        **unary,
        "chat": grpc.stream_stream_rpc_method_handler(chat),
        "count": grpc.unary_stream_rpc_method_handler(count),
        "total": grpc.stream_unary_rpc_method_handler(total),
        "sleepy_stream": grpc.unary_stream_rpc_method_handler(sleepy_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("peer.Peer", handlers),))
    if arguments.tls:
        certificate, key, *authority = [Path(path).read_bytes() for path in arguments.tls]
        credentials = grpc.ssl_server_credentials([(key, certificate)], *(authority or [None]), bool(authority))
        port = server.add_secure_port(arguments.address, credentials)
    elif arguments.unix:
        port = server.add_insecure_port(f"unix:{arguments.unix}")
    else:
        port = server.add_insecure_port(arguments.address)
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(0)
    os._exit(0)  # handlers that sleep would hold an ordinary exit


if __name__ == "__main__":
    main()
