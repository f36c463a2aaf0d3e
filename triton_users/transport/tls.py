"""TLS as a transformation of bytes, and the credentials it needs; touches no socket.

gRPC demands ALPN "h2" (RFC 9113 section 3.2) and at least TLS 1.2 (section 9.2).
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from triton_users.transport.errors import ConnectFailure, ConnectionLost

#: Plaintext read from OpenSSL at once.
_READ_SIZE: Final = 256 * 1024


@dataclass(frozen=True)
class TlsCredentials:
    """How to trust a server, and how to be trusted by it. Files hold PEM."""

    root: str | os.PathLike[str] | None = None
    """File of the certificate authorities to trust; None: the system's."""
    certificate: str | os.PathLike[str] | None = None
    """File of our certificate chain, for mutual TLS."""
    key: str | os.PathLike[str] | None = None
    """File of our private key; None: it is in the certificate's file."""
    server_name: str | None = None
    """The name that the server's certificate must bear, also sent as `:authority`; None: the target's host."""
    insecure: bool = False
    """Trust any server. For tests only: the connection can be read and changed by anyone on its way."""

    def context(self) -> ssl.SSLContext:
        """The OpenSSL context; ValueError names the file that cannot be used."""
        if self.key is not None and self.certificate is None:
            raise ValueError(f"TLS: the key {os.fspath(self.key)!r} is given without a certificate")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["h2"])
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif self.root is None:
            context.load_default_certs()
        else:
            try:
                context.load_verify_locations(cafile=self.root)
            except OSError as exc:
                raise ValueError(f"TLS: cannot use the root certificates {os.fspath(self.root)!r}: {exc}") from exc
        if self.certificate is not None:
            try:
                context.load_cert_chain(self.certificate, self.key)
            except OSError as exc:
                raise ValueError(f"TLS: cannot use the certificate {os.fspath(self.certificate)!r}: {exc}") from exc
        return context


class TlsPipe:
    """One TLS session between plaintext and ciphertext. Nothing here blocks."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        #: Why the session has ended; None while it has not.
        self.over: ConnectionLost | None = None
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)

    def handshake(self, ciphertext: bytes) -> tuple[bool, bytes]:
        """Go on with the handshake: whether it is done, and bytes to send. ConnectFailure if it failed."""
        if ciphertext:
            self._incoming.write(ciphertext)
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return False, self._outgoing.read()
        except ssl.SSLError as exc:
            raise ConnectFailure(f"TLS handshake failed: {exc}") from exc
        if self._session.selected_alpn_protocol() != "h2":
            raise ConnectFailure(
                f"TLS: the server speaks {self._session.selected_alpn_protocol() or 'no ALPN protocol'}, not h2"
            )
        return True, self._outgoing.read()

    def encrypt(self, parts: Iterable[bytes | bytearray | memoryview]) -> bytes:
        """Ciphertext of all parts; an empty memory BIO takes any amount."""
        for part in parts:
            if len(part):
                self._session.write(part)
        return self._outgoing.read()

    def decrypt(self, ciphertext: bytes) -> tuple[bytes, bytes]:
        """The plaintext that `ciphertext` completes, and bytes to send back. Sets `over` if the session ends."""
        self._incoming.write(ciphertext)
        pieces = []
        try:
            while True:
                piece = self._session.read(_READ_SIZE)
                if not piece:  # that is how a close_notify shows
                    self.over = ConnectionLost("the server closed the TLS session")
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass  # all complete records are read
        except ssl.SSLError as exc:
            self.over = ConnectionLost(f"TLS failed: {exc}")
            self.over.__cause__ = exc
        return b"".join(pieces), self._outgoing.read()
