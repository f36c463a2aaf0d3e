"""Certificates for the tests of TLS, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path


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
