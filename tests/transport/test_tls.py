"""TLS and mutual TLS against grpcio's server and `h2`; what is refused, and why."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from tests.transport.peers.h2_server import h2_server
from tests.transport.peers.raw_server import raw_server
from triton_users.transport import CallError, Channel, ChannelOptions, TlsCredentials

OPTIONS = ChannelOptions(connect_timeout_s=2, backoff_initial_s=0.01)

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command to make certificates"
)


class Certificates:
    """An authority, and certificates that it signed: for a server called `triton.test`, and for a client."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._make("authority", "/CN=test authority", [])
        self.authority = folder / "authority.pem"
        self.server = self._make("server", "/CN=server", ["-addext", "subjectAltName=DNS:triton.test"], signed=True)
        self.client = self._make("client", "/CN=client", ["-addext", "subjectAltName=DNS:client"], signed=True)

    def _make(self, name: str, subject: str, extra: list[str], signed: bool = False) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", subject]
        command += ["-keyout", str(key), "-out", str(certificate), *extra]
        if signed:
            command += ["-CA", str(self.authority), "-CAkey", str(self.folder / "authority.key")]
            command += ["-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run(command, check=True, capture_output=True, timeout=30)
        return certificate, key


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


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
