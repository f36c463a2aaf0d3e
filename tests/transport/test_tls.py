"""TLS and mutual TLS against grpcio's server and `h2`; what is refused, and why."""

from __future__ import annotations

import shutil
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import grpc
import pytest

from tests.transport.certificates import Certificates
from tests.transport.peers.h2_server import h2_server
from tests.transport.peers.raw_server import raw_server
from triton_users.transport import CallError, Channel, ChannelOptions, TlsCredentials
from triton_users.transport.http2 import frames

OPTIONS = ChannelOptions(connect_timeout_s=2, backoff_initial_s=0.01)

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command to make certificates"
)


def echo(channel: Channel, message: bytes = b"secret") -> bytes:
    answer: bytes = channel.unary_unary("/peer.Peer/echo")(message, timeout=10)
    return answer


def test_tls_with_a_name_override(certificates: Certificates, grpcio_server: Callable[..., int]) -> None:
    port = grpcio_server("--tls", *map(str, certificates.server))
    tls = TlsCredentials(root=certificates.authority, server_name="triton.test")
    with Channel(f"grpcs://127.0.0.1:{port}", tls=tls) as channel:
        assert echo(channel) == b"secret"
        large = bytes(range(256)) * 40_000
        assert echo(channel, large) == large
        assert list(channel.stream_stream("/peer.Peer/chat")(iter([b"a", b"b" * 100_000]))) == [b"a", b"b" * 100_000]


def test_mutual_tls(certificates: Certificates, grpcio_server: Callable[..., int]) -> None:
    port = grpcio_server("--tls", *map(str, certificates.server), str(certificates.authority))
    certificate, key = certificates.client
    tls = TlsCredentials(certificates.authority, certificate, key, "triton.test")
    with Channel(f"127.0.0.1:{port}", tls=tls) as channel:
        assert echo(channel) == b"secret"
    without = TlsCredentials(certificates.authority, server_name="triton.test")
    with Channel(f"127.0.0.1:{port}", tls=without, options=OPTIONS) as channel:
        with pytest.raises(CallError) as caught:
            echo(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("tls", "reason"),
    [
        (lambda made: TlsCredentials(server_name="triton.test"), "certificate verify failed"),
        (lambda made: TlsCredentials(root=made.authority), "certificate verify failed"),
        (lambda made: TlsCredentials(root=made.authority, server_name="other.test"), "certificate verify failed"),
    ],
    ids=["unknown authority", "wrong host", "wrong name"],
)
def test_a_server_that_cannot_prove_its_name(
    certificates: Certificates,
    grpcio_server: Callable[..., int],
    tls: Callable[[Certificates], TlsCredentials],
    reason: str,
) -> None:
    port = grpcio_server("--tls", *map(str, certificates.server))
    with Channel(f"grpcs://127.0.0.1:{port}", tls=tls(certificates), options=OPTIONS) as channel:
        with pytest.raises(CallError, match=reason) as caught:
            echo(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_any_server_only_by_an_explicit_option(certificates: Certificates, grpcio_server: Callable[..., int]) -> None:
    port = grpcio_server("--tls", *map(str, certificates.server))
    with Channel(f"grpcs://127.0.0.1:{port}", tls=TlsCredentials(insecure=True)) as channel:
        assert echo(channel) == b"secret"


def test_a_server_without_alpn(certificates: Certificates) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificates.server)
    tls = TlsCredentials(insecure=True)
    with h2_server(context) as server, Channel(f"grpcs://{server.target}", tls=tls, options=OPTIONS) as channel:
        with pytest.raises(CallError, match="no ALPN protocol"):
            echo(channel)
        context.set_alpn_protocols(["h2"])
    with h2_server(context) as server, Channel(f"grpcs://{server.target}", tls=tls, options=OPTIONS) as channel:
        assert echo(channel) == b"secret"


def test_a_server_that_speaks_no_tls() -> None:
    with raw_server(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as target:
        with Channel(f"grpcs://{target}", options=OPTIONS) as channel, pytest.raises(CallError, match="TLS") as caught:
            echo(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


class TlsScript:
    """One connection of a server whose every byte, and every TLS record, a test decides about."""

    def __init__(self, sock: Any, certificates: Certificates) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificates.server)
        context.set_alpn_protocols(["h2"])
        self._sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._until_done(self._session.do_handshake)
        self.send(frames.encode_settings({}))
        self._until_done(lambda: self._session.read(24))

    def _until_done(self, step: Callable[[], Any]) -> None:
        while True:
            try:
                step()
                break
            except ssl.SSLWantReadError:
                self.flush()
                self._incoming.write(self._sock.recv(65_536))
        self.flush()

    def flush(self) -> None:
        self._sock.sendall(self._outgoing.read())

    def wait_for_call(self) -> None:
        """Read until a request's message has come."""
        received = b""

        def read() -> None:
            nonlocal received
            while b"secret" not in received:
                received += self._session.read(65_536)

        self._until_done(read)

    def write(self, data: bytes) -> None:
        """Make records; they leave with the next `flush`."""
        self._session.write(data)

    def send(self, data: bytes) -> None:
        self.write(data)
        self.flush()

    def end(self) -> None:
        """Make a close_notify."""
        try:
            self._session.unwrap()
        except ssl.SSLError:
            pass  # for want of the client's own


def answer(stream_id: int) -> bytes:
    return (
        frames.encode_headers(stream_id, b"\x88\x5f\x10application/grpc", False, 16_384)
        + frames.encode_frame(frames.FrameType.DATA, 0, stream_id, b"\0\0\0\0\3yes")
        + frames.encode_headers(stream_id, b"\x00\x0bgrpc-status\x010", True, 16_384)
    )


def test_an_answer_together_with_the_end_of_the_session(certificates: Certificates) -> None:
    def script(sock: Any) -> None:
        server = TlsScript(sock, certificates)
        server.wait_for_call()
        server.write(answer(1))
        server.end()
        server.flush()  # in one segment; and the TCP connection stays
        gevent.sleep(5)

    tls = TlsCredentials(insecure=True)
    with raw_server(script) as target, Channel(f"grpcs://{target}", tls=tls, options=OPTIONS) as channel:
        held = gevent.spawn(echo, channel)  # stream 3, when the first call was faster
        for _ in range(2):
            assert echo(channel) == b"yes"
        with pytest.raises(CallError, match="closed the TLS session") as caught:
            held.get(timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("cut", [0, 1, 30, 60])
def test_a_connection_that_is_cut_within_an_answer(certificates: Certificates, cut: int) -> None:
    def script(sock: Any) -> None:
        server = TlsScript(sock, certificates)
        server.wait_for_call()
        server.write(answer(1)[:cut])
        server.flush()  # and no close_notify

    tls = TlsCredentials(insecure=True)
    with raw_server(script) as target, Channel(f"grpcs://{target}", tls=tls, options=OPTIONS) as channel:
        with pytest.raises(CallError) as caught:
            echo(channel)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert channel.stats().open_streams == 0


@pytest.mark.parametrize("position", [0, 3, 5, 40])
def test_a_record_that_was_tampered_with(certificates: Certificates, position: int) -> None:
    def script(sock: Any) -> None:
        server = TlsScript(sock, certificates)
        server.wait_for_call()
        server.write(answer(1))
        record = bytearray(server._outgoing.read())
        record[position] ^= 0x55
        sock.sendall(record)
        sock.recv(1)

    tls = TlsCredentials(insecure=True)
    with raw_server(script) as target, Channel(f"grpcs://{target}", tls=tls, options=OPTIONS) as channel:
        with pytest.raises(CallError) as caught:
            channel.unary_unary("/s/m")(b"secret", timeout=0.5)
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        assert channel.stats().open_streams == 0


def test_files_that_cannot_be_used_are_named(tmp_path: Path, certificates: Certificates) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for tls in (
        TlsCredentials(root=tmp_path / "missing.pem"),
        TlsCredentials(root=bad),
        TlsCredentials(certificate=bad),
        TlsCredentials(key=certificates.client[1]),
    ):
        with pytest.raises(ValueError, match=r"TLS: .*(missing|bad|client)"):
            Channel("grpcs://host:1", tls=tls)


def test_the_name_of_the_certificate_is_the_authority_too(certificates: Certificates) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates.server)
    context.set_alpn_protocols(["h2"])
    tls = TlsCredentials(root=certificates.authority, server_name="triton.test")
    with h2_server(context) as server:
        for options, authority in ((OPTIONS, "triton.test"), (replace(OPTIONS, authority="other:1"), "other:1")):
            with Channel(f"grpcs://{server.target}", tls=tls, options=options) as channel:
                echo(channel)
            assert server.connections[-1].requests[1][0][":authority"] == authority
