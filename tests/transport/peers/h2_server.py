"""`h2`'s server on a gevent socket, in this process: a gRPC server whose every step a test can change."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import h2.config
import h2.connection
import h2.events
import h2.exceptions
from gevent import socket
from gevent.server import StreamServer

RESPONSE = [(":status", "200"), ("content-type", "application/grpc")]


class H2Connection:
    """One accepted connection."""

    def __init__(self, server: H2Server, sock: Any) -> None:
        self.server = server
        self.sock = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.requests: dict[int, tuple[dict[str, str], bytearray]] = {}
        self.resets: dict[int, int] = {}
        self.finished = 0
        self.closed = False

    def run(self) -> None:
        """Serve until the client goes."""
        self.h2.initiate_connection()
        if self.server.settings:
            self.h2.update_settings(self.server.settings)
        self.flush()
        try:
            while data := self.sock.recv(65_536):
                for event in self.h2.receive_data(data):
                    self.on_event(event)
                self.flush()
        except (OSError, h2.exceptions.ProtocolError) as exc:
            self.server.errors.append(exc)
        finally:
            self.closed = True
            self.sock.close()

    def on_event(self, event: Any) -> None:
        """Collect a request; hand it to the server's `on_request` when it is whole."""
        if isinstance(event, h2.events.RequestReceived):
            self.requests[event.stream_id] = (dict(event.headers), bytearray())
            self.server.on_headers(self, event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            self.requests[event.stream_id][1].extend(event.data)
            if self.server.reads:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.resets[event.stream_id] = event.error_code
        elif isinstance(event, h2.events.StreamEnded):
            self.finished += 1
            headers, body = self.requests[event.stream_id]
            self.server.on_request(self, event.stream_id, headers, bytes(body))

    def flush(self) -> None:
        """Send what `h2` has ready."""
        data = self.h2.data_to_send()
        if data and not self.closed:
            self.sock.sendall(data)

    def answer(self, stream_id: int, body: bytes, status: int = 0) -> None:
        """A whole answer, `body` being framed messages. Cut short if the client has reset the stream."""
        try:
            self.h2.send_headers(stream_id, RESPONSE)
            view = memoryview(body)
            while len(view):
                size = min(len(view), 16_384, self.h2.local_flow_control_window(stream_id))
                self.h2.send_data(stream_id, bytes(view[:size]))
                view = view[size:]
            self.h2.send_headers(stream_id, [("grpc-status", str(status))], end_stream=True)
        except h2.exceptions.ProtocolError:
            pass  # `h2` has seen the reset already, though its event is still to come
        self.flush()


class H2Server:
    """Answers each call with its own request. Tests change what it does by setting its attributes."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.settings: dict[int, int] = {}
        self.reads = True
        self.connections: list[H2Connection] = []
        self.errors: list[Exception] = []
        self.on_headers: Callable[[H2Connection, int], None] = lambda connection, stream_id: None
        self.on_request: Callable[[H2Connection, int, dict[str, str], bytes], None] = (
            lambda connection, stream_id, headers, body: connection.answer(stream_id, body)
        )
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        options = {"ssl_context": tls} if tls is not None else {}
        self._listener = StreamServer(listener, self._serve, **options)
        self._listener.start()
        self.port: int = listener.getsockname()[1]

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def calls(self) -> int:
        """Whole requests received so far."""
        return sum(connection.finished for connection in self.connections)

    def _serve(self, sock: Any, address: Any) -> None:
        connection = H2Connection(self, sock)
        self.connections.append(connection)
        connection.run()

    def close(self) -> None:
        """Stop listening and drop all connections."""
        self._listener.stop(timeout=0.1)
        for connection in self.connections:
            connection.closed = True
            connection.sock.close()


@contextmanager
def h2_server(tls: ssl.SSLContext | None = None) -> Iterator[H2Server]:
    """A server, closed at the end."""
    server = H2Server(tls)
    try:
        yield server
    finally:
        server.close()
        gevent.sleep(0)
