"""A server that is addressed wrongly: the error names the likely mistake and what would be right."""

from __future__ import annotations

import socket as plain_socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.transport.certificates import Certificates
from tests.transport.peers.h2_server import H2Server
from tests.transport.peers.raw_server import raw_server
from triton_users.transport import CallError, Channel, ChannelOptions, TargetError, TlsCredentials
from triton_users.transport.hints import with_hint
from triton_users.transport.http2 import frames

HTTP_PORT = "is it Triton's HTTP or metrics port? gRPC has a port of its own, 8001 unless Triton was told otherwise"
TLS_PORT = "a port with TLS is addressed as grpcs://HOST:PORT"


def details(target: str, tls: TlsCredentials | None = None) -> str:
    options = ChannelOptions(connect_timeout_s=2.0)
    with Channel(target, tls=tls, options=options) as channel, pytest.raises(CallError) as caught:
        channel.unary_unary("/s/m")(b"x", timeout=5)
    text: str = caught.value.details()
    return text


@pytest.mark.parametrize(
    ("target", "right"),
    [
        ("http://triton.example:8000", "grpc://triton.example:8001"),
        ("https://triton.example", "grpcs://triton.example:8001"),
        ("HTTP://10.0.0.1:8000/v2", "grpc://10.0.0.1:8001"),
        ("http://[::1]:8000", "grpc://[::1]:8001"),
    ],
)
def test_an_address_for_http(target: str, right: str) -> None:
    with pytest.raises(TargetError, match="is an address for HTTP") as caught:
        Channel(target)
    assert str(caught.value).endswith(right)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"HTTP/1.0", b"HTTP/1"])
def test_a_port_that_answers_in_http_1(answer: bytes) -> None:
    def script(sock: Any) -> None:
        sock.recv(65_536)
        sock.sendall(answer)

    with raw_server(script) as target:
        assert HTTP_PORT in details(target)
        assert "grpc://HOST:8001" in details(target)


@pytest.mark.triton
@pytest.mark.parametrize("port", ["http", "metrics"])
def test_tritons_other_ports(triton: Any, port: str) -> None:
    url = triton.http_url if port == "http" else triton.metrics_url
    told = details(url.removeprefix("http://").partition("/")[0])
    assert "8001 unless" in told


def test_a_port_with_tls_without_tls(certificates: Certificates, grpcio_server: Callable[..., int]) -> None:
    port = grpcio_server("--tls", *map(str, certificates.server))
    assert "grpcs://HOST:PORT" in details(f"grpc://127.0.0.1:{port}")


def test_a_tls_alert() -> None:
    def script(sock: Any) -> None:
        sock.recv(65_536)
        sock.sendall(b"\x15\x03\x01\x00\x02\x02\x46")

    with raw_server(script) as target:
        assert TLS_PORT in details(target)


def test_a_port_that_closes_without_a_word() -> None:
    with raw_server(lambda sock: sock.recv(65_536)) as target:
        assert "address it as grpcs://HOST:PORT" in details(target)


def test_a_port_that_resets_without_a_word() -> None:
    def script(sock: Any) -> None:
        sock.recv(65_536)
        sock.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_LINGER, struct.pack("ii", 1, 0))

    with raw_server(script) as target:
        assert "address it as grpcs://HOST:PORT" in details(target)


def test_a_port_without_tls_with_tls(server: H2Server) -> None:
    told = details(f"grpcs://127.0.0.1:{server.port}", TlsCredentials(insecure=True))
    assert "a port without TLS is addressed as grpc://HOST:PORT" in told


def test_a_server_that_greets_and_goes_is_addressed_rightly() -> None:
    def script(sock: Any) -> None:
        sock.sendall(frames.encode_settings({}) + frames.encode_goaway(0, 0, b"shutdown"))
        sock.recv(65_536)

    with raw_server(script) as target:
        assert "HOST" not in details(target)


def test_an_ordinary_refusal_needs_no_hint() -> None:
    reason = "[Errno 111] Connection refused"
    assert with_hint(reason, secure=False, greeted=False) == reason
