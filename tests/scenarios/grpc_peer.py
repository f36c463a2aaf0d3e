"""A gRPC server on loopback made of `h2`, which answers each call when and how a test says."""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import TracebackType
from typing import Any

from gevent.pool import Pool
from gevent.server import StreamServer
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset

#: Asked after each piece of a call's request: (method, what was received so far, whether that is all) -> the response
#: message, an error as gRPC's number of a status and its text, or None for no answer yet. At most the first 64 KiB are
#: passed on.
Answer = Callable[[str, bytes, bool], bytes | tuple[int, str] | None]

KEPT_BYTES = 64 * 1024


class GrpcPeer:
    """Listens on a free port; counts what it received."""

    def __init__(self, answer: Answer, page: tuple[str, bytes] | None = None) -> None:
        """`page`: the HTTP status and body with which each call is refused, as a proxy does."""
        self.answer = answer
        self.page = page
        self.received_bytes = 0
        self.resets = 0
        self.calls: list[str] = []
        self._pool = Pool()
        self._server = StreamServer(("127.0.0.1", 0), self._serve, spawn=self._pool)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> GrpcPeer:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._server.stop()
        self._pool.kill()

    def _serve(self, sock: Any, address: Any) -> None:
        h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        h2.initiate_connection()
        sock.sendall(h2.data_to_send())
        methods: dict[int, str] = {}
        bodies: dict[int, bytes] = {}
        try:
            while piece := sock.recv(65536):
                for event in h2.receive_data(piece):
                    if isinstance(event, RequestReceived):
                        path = dict(event.headers)[":path"]
                        if self.page is not None:
                            status, body = self.page
                            fields = [(":status", status), ("content-type", "text/html")]
                            h2.send_headers(event.stream_id, fields)
                            h2.send_data(event.stream_id, body, end_stream=True)
                        methods[event.stream_id] = path.rsplit("/", 1)[-1]
                        bodies[event.stream_id] = b""
                        self.calls.append(methods[event.stream_id])
                    elif isinstance(event, DataReceived):
                        self.received_bytes += len(event.data)
                        h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                        if event.stream_id in bodies:
                            bodies[event.stream_id] = (bodies[event.stream_id] + event.data)[:KEPT_BYTES]
                            self._maybe_answer(h2, methods, bodies, event.stream_id, False)
                    elif isinstance(event, StreamEnded):
                        self._maybe_answer(h2, methods, bodies, event.stream_id, True)
                    elif isinstance(event, StreamReset):
                        self.resets += 1
                        bodies.pop(event.stream_id, None)
                sock.sendall(h2.data_to_send())
        except OSError:
            pass  # the client has gone
        finally:
            sock.close()

    def _maybe_answer(
        self, h2: H2Connection, methods: dict[int, str], bodies: dict[int, bytes], stream: int, ended: bool
    ) -> None:
        if stream not in bodies:
            return
        message = self.answer(methods[stream], bodies[stream][5:], ended)
        if message is None:
            return
        del bodies[stream]
        if isinstance(message, tuple):
            status, text = message
            trailers = [("grpc-status", str(status)), ("grpc-message", text)]
            headers = [(":status", "200"), ("content-type", "application/grpc"), *trailers]
            h2.send_headers(stream, headers, end_stream=True)
            return
        h2.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        h2.send_data(stream, b"\x00" + struct.pack(">I", len(message)) + message)
        h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
